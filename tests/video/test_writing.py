"""Writing clips: the sound is the source's bit for bit, the picture keeps all but its colors."""

import shutil
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("av")

from stya2k_jax.errors import UserError
from stya2k_jax.video.reading import ClipReader
from stya2k_jax.video.writing import ClipWriter
from tests.support.rendered_clips import (
    TICKS,
    av,
    boxes_of,
    frames_of,
    pictures,
    render,
    sound_of,
    times_of,
)

VARYING = [0, 500, 512, 2000, 2600, 9000, 9001, 12000]


def copy(source, target, frames: int | None = None):
    """Writes the frames as they are; only some where `frames` is given, and abandons the rest."""
    with ClipReader(source) as reader:
        writer = ClipWriter(target, reader.format, source if reader.has_sound else None)
        for i, frame in enumerate(reader.frames()):
            if i == frames:
                writer.abandon()
                return target
            writer.write(frame)
        writer.finish()
    return target


def stream_of(path):
    """Returns what a player needs to know of the video stream."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frame = next(container.decode(video))
        matrix = frame.side_data.get("DISPLAYMATRIX")
        return {
            "size": (video.width, video.height),
            "matrix": None if matrix is None else np.frombuffer(matrix, np.int32).tolist(),
            "pixel_aspect": video.sample_aspect_ratio,
            "colors": (
                *(frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range),
            ),
            "frames": video.frames,
            "rate": video.average_rate,
            "duration": video.duration * video.time_base,
        }


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
@pytest.mark.parametrize(
    "pts",
    [
        [TICKS * i for i in range(12)],
        VARYING,
        [TICKS * i + 3001 for i in range(12)],  # begins after the sound, between milliseconds
    ],
)
def test_sound_and_times_are_those_of_the_source(tmp_path, suffix, pts):
    source = render(
        tmp_path / "a.mp4", pictures(len(pts)), pts=pts, sound=["aac", "aac"], options={"bf": "0"}
    )
    target = copy(source, tmp_path / f"b{suffix}")
    assert sound_of(target) == sound_of(source) and len(sound_of(source)) > 10
    assert sound_of(source)[0][1] < 0  # what the encoder primes with
    assert sound_of(target, 1) == sound_of(source, 1) != sound_of(source)
    assert times_of(target) == times_of(source)
    ours, theirs = stream_of(target), stream_of(source)
    assert ours == theirs and ours["frames"] == len(pts)


def test_b_frames_of_the_source_do_not_matter(tmp_path):
    source = render(tmp_path / "a.mp4", pictures(30), options={"bf": "3"})
    target = copy(source, tmp_path / "b.mp4")
    assert times_of(target) == times_of(source) and sound_of(target) == sound_of(source)


def test_pictures_survive_within_the_encoders_loss(tmp_path):
    source = render(tmp_path / "a.mp4", pictures(12))
    target = copy(source, tmp_path / "b.mp4")
    assert np.abs(frames_of(target) - frames_of(source)).mean() < 2.5


@pytest.mark.parametrize(
    "display",
    [
        {"rotation": (90,)},
        {"rotation": (-90, True, False)},
        {"matrix": [46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30]},
        {"sample_aspect_ratio": Fraction(4, 3)},
    ],
)
def test_the_picture_is_shown_as_the_source_is(tmp_path, display):
    source = render(tmp_path / "a.mp4", pictures(4), **dict(display))
    target = copy(source, tmp_path / "b.mp4")
    ours, theirs = stream_of(target), stream_of(source)
    assert ours == theirs
    assert theirs["matrix"] is not None or theirs["pixel_aspect"] == Fraction(4, 3)
    assert np.abs(frames_of(target) - frames_of(source)).mean() < 3


@pytest.mark.parametrize("size", [(45, 64), (48, 63), (45, 63), (1, 1)])
def test_any_size_is_kept(tmp_path, size):
    source = render(tmp_path / "a.mkv", pictures(3, size), codec="ffv1", pix_fmt="yuv444p")
    target = copy(source, tmp_path / "b.mp4")
    assert frames_of(target).shape == (3, *size, 3)
    assert np.abs(frames_of(target) - frames_of(source)).mean() < 3


@pytest.mark.parametrize(
    "colors",
    [
        dict(colorspace=1, color_primaries=1, color_trc=1, color_range=1),
        dict(colorspace=1, color_primaries=1, color_trc=1, color_range=2),
        dict(colorspace=5, color_primaries=5, color_trc=6, color_range=1),
        dict(colorspace=9, color_primaries=9, color_trc=14, color_range=1),
    ],
)
def test_colors_and_their_tags_are_those_of_the_source(tmp_path, colors):
    flat = np.full((3, 48, 64, 3), (200, 40, 90), np.uint8)
    source = render(tmp_path / "a.mp4", flat, options={"crf": "1"}, **colors)
    target = copy(source, tmp_path / "b.mp4")
    assert stream_of(target)["colors"] == stream_of(source)["colors"]
    np.testing.assert_allclose(frames_of(target), flat, atol=6)


def test_a_whole_file_is_an_ordinary_one_and_plays_before_it_is_whole(tmp_path):
    source, growing = render(tmp_path / "a.mp4", pictures(20)), tmp_path / "b.mp4"
    with ClipReader(source) as reader:
        writer = ClipWriter(growing, reader.format, source)
        for i, frame in enumerate(reader.frames()):
            writer.write(frame)
            if i in (1, 2, 10, 19):
                now = shutil.copy(growing, tmp_path / "now.mp4")  # as if killed here
                assert "moof" in boxes_of(now)
                assert times_of(now) == times_of(source)[: len(times_of(now))]
                assert len(times_of(now)) >= i
                heard = sound_of(now)
                assert heard == sound_of(source)[: len(heard)] and heard
        writer.finish()
    assert "moof" not in boxes_of(growing) and "moov" in boxes_of(growing)
    assert sound_of(growing) == sound_of(source)


def test_an_abandoned_file_is_an_ordinary_one_whose_sound_ends_with_its_picture(tmp_path):
    source = render(tmp_path / "a.mp4", pictures(20))
    target = copy(source, tmp_path / "b.mp4", frames=7)
    assert "moof" not in boxes_of(target)
    assert times_of(target) == times_of(source)[:7]
    heard = sound_of(target)
    assert (
        heard == sound_of(source)[: len(heard)]
        and Fraction(5, 25) < heard[-1][1] <= times_of(source)[7]
    )


def test_an_abandoned_file_without_frames_leaves_what_was_there(tmp_path):
    source = render(tmp_path / "a.mp4", pictures(3))
    assert not copy(source, tmp_path / "b.mp4", frames=0).exists()
    (tmp_path / "b.mp4").write_bytes(b"of an earlier run")
    assert copy(source, tmp_path / "b.mp4", frames=0).read_bytes() == b"of an earlier run"


def test_an_mkv_has_the_times_to_the_millisecond(tmp_path):
    source = render(tmp_path / "a.mp4", pictures(8), pts=VARYING)
    target = copy(source, tmp_path / "b.mkv")
    rounded = [round(1000 * time) for time in times_of(source)]
    assert [round(1000 * time) for time in times_of(target)] == rounded
    assert [data for data, _ in sound_of(target)] == [data for data, _ in sound_of(source)]
    ours, theirs = ([float(t) for _, t in sound_of(path)] for path in (target, source))
    np.testing.assert_allclose(ours, theirs, atol=6e-4)


@pytest.mark.parametrize("sound", ["pcm_s16le", "libmp3lame", "ac3"])
def test_an_avi_becomes_an_mp4_with_its_sound(tmp_path, sound):
    source = render(
        tmp_path / "a.avi",
        pictures(10),
        time_base=Fraction(1, 25),
        sound=[sound],
        codec="mpeg4",
        options={"bf": "0"},
    )
    target = copy(source, tmp_path / "b.mp4")
    assert [data for data, _ in sound_of(target)] == [data for data, _ in sound_of(source)]
    assert times_of(target) == times_of(source)


def test_sound_that_an_mp4_cannot_hold_is_refused_with_the_remedy(tmp_path):
    base = Fraction(1, 25)
    source = render(tmp_path / "a.avi", pictures(3), sound=["pcm_u8"], time_base=base)
    remedy = r"a\.avi \(pcm_u8\) cannot be copied to \.mp4\. Name the result \.mov or \.mkv"
    with pytest.raises(UserError, match=remedy):
        copy(source, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()
    for suffix in (".mov", ".mkv"):
        target = copy(source, tmp_path / f"b{suffix}")
        assert [data for data, _ in sound_of(target)] == [data for data, _ in sound_of(source)]
