"""Stylizing a clip: all of its frames, its sound and times, and what is left of a broken run."""

import gc
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")

from stya2k_jax.errors import UserError
from stya2k_jax.video.clip_format import Frame
from stya2k_jax.video.stylize_clip import Stopped, stylize_clip
from tests.support.paths import ROOT
from tests.support.rendered_clips import boxes_of, frames_of, pictures, render, sound_of, times_of


def negative(frames: np.ndarray) -> np.ndarray:
    return 255 - frames


class Painter:
    """A negative that notes the shapes it is given and may be interrupted."""

    def __init__(self, error: BaseException | None = None, at: int = 0):
        self.shapes, self.error, self.at = [], error, at

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        if self.error is not None and len(self.shapes) == self.at:
            raise self.error
        self.shapes.append(frames.shape)
        return 255 - frames


@pytest.fixture
def clip(tmp_path):
    return render(tmp_path / "a.mp4", pictures(22))


def folder(path: Path, frames: np.ndarray) -> Path:
    path.mkdir()
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"frame{t}.png")
    return path


@pytest.mark.parametrize("batch", [1, 4, 30])
def test_every_frame_is_painted_in_batches_of_one_shape(clip, tmp_path, batch):
    paint = Painter()
    result = stylize_clip(paint, clip, tmp_path / "new" / "b.mp4", batch=batch)
    assert result == (tmp_path / "new" / "b.mp4", 22, ())
    assert set(paint.shapes) == {(batch, 48, 64, 3)} and len(paint.shapes) == -(-22 // batch)
    assert times_of(result.path) == times_of(clip) and len(times_of(clip)) == 22
    assert sound_of(result.path) == sound_of(clip)
    assert np.abs(frames_of(result.path) - (255 - frames_of(clip))).mean() < 4
    assert [path.name for path in result.path.parent.iterdir()] == ["b.mp4"]


def test_a_turned_clip_is_painted_upright_and_stays_turned(tmp_path):
    source = render(tmp_path / "a.mp4", pictures(6), rotation=(90,))
    paint = Painter()
    result = stylize_clip(paint, source, tmp_path / "b.mp4", batch=2)
    assert set(paint.shapes) == {(2, 64, 48, 3)}
    assert np.abs(frames_of(result.path) - (255 - frames_of(source))).mean() < 4


def test_frames_are_resized_where_asked(clip, tmp_path):
    result = stylize_clip(negative, clip, tmp_path / "b.mp4", size_px=30)
    assert frames_of(result.path).shape == (22, 30, 40, 3)


def test_smoothing_steadies_the_result(clip, tmp_path):
    pytest.importorskip("cv2")

    def flickering():
        rng = np.random.default_rng(0)
        return lambda frames: np.clip(
            frames.astype(int) + rng.normal(0, 25, frames.shape).astype(int), 0, 255
        ).astype(np.uint8)

    def error(smoothing):
        path = stylize_clip(flickering(), clip, tmp_path / "b.mp4", smoothing=smoothing).path
        return np.abs(frames_of(path) - frames_of(clip))[6:].mean()

    assert error(0.8) < 0.8 * error(0)


def test_few_frames_are_alive_at_once_however_long_the_clip(tmp_path):
    source = render(tmp_path / "a.mp4", pictures(90, (16, 16)), sound=())
    alive = []

    def paint(frames):
        alive.append(sum(type(x) is Frame for x in gc.get_objects()))
        return frames

    stylize_clip(paint, source, tmp_path / "b.mp4", batch=3)
    assert len(alive) == 30 and max(alive) <= 2 * 3  # a batch, and as many read ahead


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_what_was_painted_before_an_error_plays(clip, tmp_path, error):
    output, partial = tmp_path / "b.mp4", tmp_path / "b.partial.mp4"
    output.write_bytes(b"an earlier result")
    with pytest.raises(type(error)):
        stylize_clip(Painter(error, at=3), clip, output, batch=4)
    assert output.read_bytes() == b"an earlier result"
    assert times_of(partial) == times_of(clip)[:12] and "moof" not in boxes_of(partial)
    heard = sound_of(partial)
    assert heard == sound_of(clip)[: len(heard)] and heard[-1][1] > Fraction(10, 25)
    stylize_clip(negative, clip, output)
    assert times_of(output) == times_of(clip) and not partial.exists()


def test_nothing_is_left_of_a_run_that_painted_nothing(clip, tmp_path):
    for output in (tmp_path / "b.mp4", tmp_path / "frames"):
        with pytest.raises(RuntimeError):
            stylize_clip(Painter(RuntimeError(), at=0), clip, output)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


PROGRAM = """
import sys
import time
from stya2k_jax.video.stylize_clip import stylize_clip

def paint(frames):
    print("painting", flush=True)
    time.sleep(0.05)
    return 255 - frames

stylize_clip(paint, sys.argv[1], sys.argv[2], batch=2)
"""


def broken_off(source: Path, output: Path, number: int) -> tuple[int, str]:
    """Runs a program until it paints its sixth batch, and sends it a signal."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(source), str(output)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(6):
        assert process.stdout.readline() == "painting\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def test_a_killed_run_leaves_a_clip_that_plays(tmp_path):
    source = render(tmp_path / "a.mp4", pictures(100))
    code, _ = broken_off(source, tmp_path / "b.mp4", signal.SIGKILL)
    assert code == -signal.SIGKILL and not (tmp_path / "b.mp4").exists()
    partial = tmp_path / "b.partial.mp4"
    times, heard = times_of(partial), sound_of(partial)
    assert times == times_of(source)[: len(times)] and 9 <= len(times) < 100  # the last may be lost
    assert heard == sound_of(source)[: len(heard)] and heard[-1][1] > times[-2]
    expected = 255 - frames_of(source)[: len(times)]
    assert np.abs(frames_of(partial) - expected).mean() < 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_finishes_its_batch_and_says_where_it_is(tmp_path, number):
    source = render(tmp_path / "a.mp4", pictures(100))
    code, said = broken_off(source, tmp_path / "b.mp4", number)
    partial = tmp_path / "b.partial.mp4"
    assert code == 1 and f"Stopped by {number.name}; start again" in said
    count = len(times_of(partial))
    assert f"The first {count} frames are in {partial}." in said
    assert 12 <= count < 100 and count % 2 == 0 and "moof" not in boxes_of(partial)
    assert issubclass(Stopped, UserError)


def test_a_damaged_clip_is_painted_up_to_the_damage(tmp_path):
    source = render(tmp_path / "a.mkv", pictures(100), time_base=Fraction(1, 1000))
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(UserError, match=r"a\.mkv is cut off at .* The first \d+ frames are in"):
        stylize_clip(negative, source, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()
    assert times_of(tmp_path / "b.partial.mp4") == times_of(source)


def test_a_full_disk_leaves_a_clip_that_plays(tmp_path):
    resource = pytest.importorskip("resource")
    source = render(
        tmp_path / "a.mp4",
        np.random.default_rng(0).integers(0, 256, (40, 96, 96, 3)).astype(np.uint8),
        options={"crf": "1"},
    )
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(OSError):
            stylize_clip(negative, source, tmp_path / "b.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    times = times_of(tmp_path / "b.partial.mp4")
    assert times == times_of(source)[: len(times)] and len(times) > 3


def test_a_folder_of_frames_becomes_a_clip_of_the_given_rate(tmp_path):
    source = folder(tmp_path / "frames", pictures(12, (45, 63)))
    result = stylize_clip(negative, source, tmp_path / "b.mp4", batch=5, fps=Fraction(30000, 1001))
    assert times_of(result.path) == [Fraction(1001 * i, 30000) for i in range(12)]
    assert np.abs(frames_of(result.path) - (255 - pictures(12, (45, 63)))).mean() < 4
    result = stylize_clip(negative, source, tmp_path / "c.mp4")
    assert times_of(result.path)[1] == Fraction(1, 25)


def test_a_folder_of_frames_becomes_a_folder_of_frames_of_the_same_names(tmp_path):
    source = folder(tmp_path / "frames", pictures(12))
    result = stylize_clip(negative, source, tmp_path / "out", batch=5)
    assert result.frames == 12 and {p.name for p in tmp_path.iterdir()} == {"frames", "out"}
    for t, frame in enumerate(pictures(12)):
        np.testing.assert_array_equal(Image.open(result.path / f"frame{t}.png"), 255 - frame)


def test_a_clip_becomes_a_folder_of_frames_without_sound(clip, tmp_path):
    result = stylize_clip(negative, clip, tmp_path / "out")
    assert [path.name for path in sorted(result.path.iterdir())][-1] == "000021.png"
    assert result.notes == ("The sound of a.mp4 is left out: a folder of frames holds none.",)


def test_what_cannot_be_is_refused_before_anything_is_painted(clip, tmp_path):
    full = folder(tmp_path / "full", pictures(2))
    (tmp_path / "d.mp4").mkdir()
    for arguments, options, message in [
        ((tmp_path / "z.mp4", tmp_path / "b.mp4"), {}, r"z\.mp4 does not exist"),
        ((full / "frame0.png", tmp_path / "b.mp4"), {}, r"frame0\.png is no clip: .*\.webm"),
        ((clip, clip), {}, r"a\.mp4 would be overwritten"),
        ((clip, tmp_path / "b.webm"), {}, r"b\.webm cannot be written: .*\.mp4, .*\.mkv"),
        ((clip, tmp_path / "b.png"), {}, r"b\.png cannot be written"),
        ((clip, full), {}, "full is there already"),
        ((clip, tmp_path / "d.mp4"), {}, r"d\.mp4 is a folder"),
        ((clip, tmp_path / "b.mp4"), {"fps": 25}, "fps is 25, but .* times of its own"),
        ((clip, tmp_path / "b.mp4"), {"batch": 0}, "batch is 0"),
        ((clip, tmp_path / "b.mp4"), {"size_px": -1}, "size_px -1"),
        ((clip, tmp_path / "b.mp4"), {"smoothing": 1.0}, "smoothing is 1.0"),
        ((full, tmp_path / "b.mp4"), {"fps": 0}, "fps is 0"),
        ((tmp_path / "d.mp4", tmp_path / "b.mp4"), {}, r"d\.mp4 holds no pictures"),
    ]:
        paint = Painter()
        with pytest.raises(UserError, match=message):
            stylize_clip(paint, *arguments, **options)
        assert not paint.shapes
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "full", "d.mp4"}


def test_a_partial_result_is_not_its_own_source(clip, tmp_path):
    partial = clip.rename(tmp_path / "b.partial.mp4")
    with pytest.raises(UserError, match=r"b\.partial\.mp4 would be overwritten"):
        stylize_clip(negative, partial, tmp_path / "b.mp4")
    assert len(times_of(partial)) == 22


def test_a_paint_that_changes_the_shape_is_refused(clip, tmp_path):
    with pytest.raises(UserError, match="paint made uint8 .* it has to keep type and shape"):
        stylize_clip(lambda frames: frames[:, 1:], clip, tmp_path / "b.mp4")
    with pytest.raises(UserError, match="paint made float64"):
        stylize_clip(lambda frames: frames / 255, clip, tmp_path / "b.mp4")
