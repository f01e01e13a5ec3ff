"""Folders of frames: their order, their size, and what is refused."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.video.frame_folders import FolderReader, FolderWriter


def save_levels(folder, **levels):
    """Writes grey pictures, 8x6, by name."""
    folder.mkdir(exist_ok=True)
    for name, level in levels.items():
        Image.new("RGB", (8, 6), (level,) * 3).save(folder / f"{name}.png")
    return folder


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    source = save_levels(tmp_path / "a", f2=2, f10=10, f1=1, f33=33)
    save_levels(source / "below", f5=5)
    with FolderReader(source, fps=29.97) as reader:
        frames = list(reader.frames())
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [1, 2, 10, 33]
    assert [(frame.pts, frame.duration, frame.name) for frame in frames[:2]] == [
        (0, 1, "f1"),
        (1, 1, "f2"),
    ]
    assert (reader.expected, reader.has_sound, reader.notes) == (4, False, [])
    assert reader.format[:4] == (6, 8, Fraction(100, 2997), Fraction(2997, 100))


def test_frames_are_resized_to_even_sides(tmp_path):
    with FolderReader(save_levels(tmp_path / "a", f1=1), size_px=9) as reader:
        assert next(reader.frames()).pixels.shape[:2] == (8, 12)


def test_what_is_no_clip_is_refused_by_name(tmp_path):
    source = save_levels(tmp_path / "a", f1=1, f2=2)
    Image.new("RGB", (9, 6)).save(source / "f3.png")
    frames = FolderReader(source).frames()
    next(frames), next(frames)
    with pytest.raises(UserError, match=r"f3\.png becomes 9x6, the first frame 8x6"):
        next(frames)
    Image.new("RGB", (8, 6)).save(source / "f2.jpg")
    with pytest.raises(UserError, match="a has two frames called 'f2'"):
        FolderReader(source)
    save_levels(tmp_path / "b")
    save_levels(tmp_path / "b" / "below", f1=1)
    with pytest.raises(UserError, match="b holds pictures in folders only"):
        FolderReader(tmp_path / "b")
    for fps in (0, -1, float("nan"), 10_000):
        with pytest.raises(UserError, match="fps is .*; give"):
            FolderReader(source, fps=fps)


def test_frames_of_an_earlier_run_go_when_the_first_new_one_comes(tmp_path):
    save_levels(tmp_path / "a", old=1)
    writer = FolderWriter(tmp_path / "a")
    writer.abandon()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["old.png"]
    for frame in FolderReader(save_levels(tmp_path / "b", new1=7, new2=8)).frames():
        writer.write(frame)
    writer.abandon()
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"new1.png", "new2.png"}
    assert np.asarray(Image.open(tmp_path / "a" / "new1.png")).max() == 7 and writer.written == 2
