"""Reading clips: frames, times, turns, colors, and what is said of a damaged file."""

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("av")

from stya2k_jax.errors import UserError
from stya2k_jax.video.clip_format import is_clip, scaled_size
from stya2k_jax.video.reading import ClipReader
from tests.support.rendered_clips import TICKS, TIME_BASE, av, frames_of, pictures, render, times_of


def read(path, **options):
    with ClipReader(path, **options) as reader:
        return list(reader.frames()), reader


def test_clips_are_told_by_their_suffix():
    assert is_clip("a/b.MP4") and is_clip("c.webm")
    assert not is_clip("photo.jpg") and not is_clip("mp4")


def test_frames_come_once_each_with_their_times(tmp_path):
    pts = [0, 500, 512, 2000, 2600, 9000, 9001, 12000]
    path = render(tmp_path / "a.mp4", pictures(8), pts=pts, options={"bf": "0"})
    frames, reader = read(path)
    assert [frame.pts for frame in frames] == pts == [t / TIME_BASE for t in times_of(path)]
    assert (reader.format.time_base, reader.expected) == (TIME_BASE, 8)
    assert [frame.duration for frame in frames[:-1]] == list(np.diff(pts))
    assert [frame.name for frame in frames[:2]] == ["000000", "000001"]
    shown = np.stack([frame.pixels for frame in frames])
    assert np.abs(shown - frames_of(path)).mean() < 2  # PyAV interpolates color otherwise


def test_frames_of_an_avi_are_evenly_spaced_also_with_b_frames(tmp_path):
    path = render(
        tmp_path / "a.avi", pictures(10), time_base=Fraction(1, 25), sound=(), options={"bf": "3"}
    )
    frames, reader = read(path)
    assert set(np.diff([frame.pts for frame in frames])) == {1} and len(frames) == 10
    assert reader.format.time_base == Fraction(1, 25)


def test_frames_without_a_time_come_one_after_the_other_from_0_on(tmp_path):
    stored = pictures(5)
    path = render(tmp_path / "a.h264", stored, sound=())  # a bare stream, which has no times
    with av.open(str(path)) as container:
        assert all(frame.pts is None for frame in container.decode(video=0))
    frames, _ = read(path)
    times = [frame.pts for frame in frames]
    assert len(times) == 5 and times[0] == 0 and times == sorted(set(times))
    levels = [frame.pixels[-8:, :, 2].mean() for frame in frames]  # which rise with time
    assert levels == sorted(levels)


def test_frames_are_upright(tmp_path):
    stored = pictures(2)
    for turn, expected in [
        ((90,), np.rot90(stored, axes=(1, 2))),
        ((-90,), np.rot90(stored, -1, axes=(1, 2))),
        ((180,), np.rot90(stored, 2, axes=(1, 2))),
        ((0, True, False), stored[:, :, ::-1]),
    ]:
        path = render(tmp_path / "a.mp4", stored, rotation=turn, options={"crf": "1"})
        frames, reader = read(path)
        shown = np.stack([frame.pixels for frame in frames]).astype(int)
        assert (reader.format.height, reader.format.width) == expected.shape[1:3]
        assert shown.shape == expected.shape and np.abs(shown - expected).mean() < 4


@pytest.mark.parametrize("size_px", [24, 31, 100])
def test_the_short_side_is_resized_and_sides_become_even(tmp_path, size_px):
    frames, reader = read(render(tmp_path / "a.mp4", pictures(2)), size_px=size_px)
    height, width, _ = frames[0].pixels.shape
    assert height % 2 == width % 2 == 0
    assert abs(height - size_px) <= 1 and abs(width - size_px * 64 / 48) <= 1
    assert (reader.format.height, reader.format.width) == (height, width)


def test_sizes_are_kept_where_nothing_is_to_do():
    assert scaled_size(45, 63, 0) == scaled_size(45, 63, 45) == (45, 63)
    assert scaled_size(3, 1000, 1)[0] == 2


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("value_range", [1, 2])
def test_colors_are_those_that_the_tags_mean(tmp_path, matrix, value_range):
    painted = np.zeros((2, 48, 64, 3), np.uint8)
    painted[:] = np.repeat(np.random.default_rng(0).integers(0, 256, (8, 3)), 8, axis=0)
    path = render(
        tmp_path / "a.mkv",
        painted,
        sound=(),
        pix_fmt="yuv444p",
        options={"qp": "0"},
        colorspace=matrix,
        color_range=value_range,
    )
    frames, reader = read(path)
    np.testing.assert_allclose(frames[0].pixels.astype(int), painted[0], atol=3)
    assert (reader.format.colors.matrix, reader.format.colors.range) == (matrix, value_range)


def test_ten_bits_are_rounded_to_eight(tmp_path):
    stored = pictures(2)
    path = render(tmp_path / "a.mp4", stored, pix_fmt="yuv444p10le", options={"crf": "1"})
    frames, reader = read(path)
    assert frames[0].pixels.dtype == np.uint8 and not reader.notes
    assert np.abs(frames[0].pixels.astype(int) - stored[0]).mean() < 2


def test_hdr_is_mapped_so_that_reference_white_is_white(tmp_path):
    def pq(nits):  # SMPTE ST 2084
        y = (nits / 10000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375

    grey = np.repeat(np.round(255 * pq(np.array([0.0, 20, 100, 203]))), 16).astype(np.uint8)
    stored = np.broadcast_to(grey[None, None, :, None], (2, 48, 64, 3))
    path = render(
        tmp_path / "a.mp4",
        stored,
        pix_fmt="yuv420p10le",
        options={"crf": "1"},
        colorspace=9,
        color_primaries=9,
        color_trc=16,
        color_range=1,
    )
    frames, reader = read(path)
    # BT.1886: the display shows (v / 255) ** 2.4 of its white, 203 nits.
    expected = 255 * (np.array([0.0, 20, 100, 203]) / 203) ** (1 / 2.4)
    shown = frames[0].pixels[24, 8::16].astype(float)
    np.testing.assert_allclose(shown, expected[:, None].repeat(3, 1), atol=6)
    assert reader.format.colors == (1, 1, 1, 1)
    assert "a.mp4 is HDR; the result is not" in reader.notes[0]


def test_other_streams_are_named_in_a_note(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        videos = [container.add_stream("libx264", rate=25) for _ in range(2)]
        subtitles = container.add_mux_stream("subrip")
        for video in videos:
            video.codec_context.width, video.codec_context.height = 64, 48
        for i, pixels in enumerate(pictures(3)):
            for video in videos:
                picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                picture.pts, picture.time_base = i, Fraction(1, 25)
                container.mux(video.encode(picture))
        for video in videos:
            container.mux(video.encode(None))
        packet = av.Packet(b"Hello")
        packet.stream, packet.pts, packet.dts, packet.duration = subtitles, 0, 0, 100
        packet.time_base = Fraction(1, 1000)
        container.mux(packet)
    frames, reader = read(path)
    assert len(frames) == 3 and not reader.has_sound
    assert reader.notes == ["a.mkv has other streams, which are left out: 1 video, 1 subtitle."]


def test_a_name_with_a_colon_is_a_file(tmp_path):
    (tmp_path / "x").mkdir()
    path = render(tmp_path / "a.mp4", pictures(3)).rename(tmp_path / "12:30 50%d.mp4")
    assert len(read(path)[0]) == 3


def test_what_is_no_clip_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"b\.mp4 does not exist; give a clip"):
        ClipReader(tmp_path / "b.mp4")
    (tmp_path / "c.mp4").write_bytes(b"something else" * 100)
    with pytest.raises(UserError, match=r"c\.mp4 is not a clip that FFmpeg can read .* Copy it"):
        ClipReader(tmp_path / "c.mp4")
    whole = render(tmp_path / "a.mp4", pictures(20)).read_bytes()
    (tmp_path / "d.mp4").write_bytes(whole[: len(whole) // 2])  # its index is at its end
    with pytest.raises(UserError, match=r"d\.mp4 is not a clip that FFmpeg can read"):
        ClipReader(tmp_path / "d.mp4")
    with av.open(str(tmp_path / "e.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux([*sound.encode(frame), *sound.encode(None)])
    with pytest.raises(UserError, match=r"e\.mp4 holds no video"):
        ClipReader(tmp_path / "e.mp4")


@pytest.mark.parametrize(
    ("suffix", "options"), [(".mp4", {"movflags": "faststart"}), (".mkv", {}), (".avi", {})]
)
def test_a_clip_that_is_cut_off_gives_its_frames_and_then_one_error(tmp_path, suffix, options):
    base = Fraction(1, 25) if suffix == ".avi" else Fraction(1, 1000)
    path = render(
        tmp_path / f"a{suffix}",
        pictures(100),
        time_base=base,
        sound=("pcm_s16le",) if suffix == ".avi" else ("aac",),
        codec="mpeg4" if suffix == ".avi" else "libx264",
        container_options=options,
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    seen = []
    with ClipReader(path) as reader:
        with pytest.raises(UserError, match=r"is cut off at \d.\d\d s: .* keep what is there with"):
            for frame in reader.frames():
                seen.append(frame)
    assert 30 < len(seen) < 80


def test_a_clip_that_is_damaged_gives_its_frames_and_then_one_error(tmp_path):
    path = render(tmp_path / "a.mp4", pictures(100), options={"bf": "0"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)
    seen = []
    with ClipReader(path) as reader:
        with pytest.raises(UserError, match=r"a\.mp4 is damaged: after frame \d+, at .* mend it"):
            for frame in reader.frames():
                seen.append(frame)
    assert 10 < len(seen) < 90
    assert [frame.pts for frame in seen] == [i * TICKS for i in range(len(seen))]


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4"])
@pytest.mark.parametrize("start", [Fraction(1, 2), Fraction(30)])
def test_a_whole_clip_that_begins_late_is_whole(tmp_path, suffix, start):
    first = int(start / TIME_BASE)
    pts = [first + i * TICKS for i in range(12)]
    path = render(
        tmp_path / f"a{suffix}",
        pictures(12),
        pts=pts,
        sound=(),
        codec="libvpx-vp9" if suffix == ".webm" else "libx264",
        options={} if suffix == ".webm" else {"bf": "0"},
    )
    frames, reader = read(path)
    assert len(frames) == 12
    assert abs(reader.expected - 12) <= 1


def test_transparency_that_is_lost_is_named_in_a_note(tmp_path):
    path = render(
        tmp_path / "a.mkv", pictures(2), sound=(), codec="ffv1", pix_fmt="yuva420p", options={}
    )
    assert "a.mkv has transparency, which the result lacks." in read(path)[1].notes
