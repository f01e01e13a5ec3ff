"""Clips in every style: errors that are measured once, and folders that do not fit."""

import numpy as np
import pytest
from PIL import Image

from stya2k_jax import Stylizer
from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.clips.clip import Clip, Motion
from stya2k_jax.evaluation.clips.measure import measure_clip, measure_clips, stylize_clips
from stya2k_jax.evaluation.clips.rendered import pan
from stya2k_jax.evaluation.results import ROWS_FILE, Results
from tests.support.small_model import small_model


def save_frames(folder, frames) -> None:
    folder.mkdir(parents=True)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{t:03d}.png")


def test_an_interval_longer_than_the_clip_is_left_out(photograph):
    clip = pan(photograph)
    short = Clip("short", clip.frames[:5], clip.known[:4])
    assert list(measure_clip(short, short.frames)) == [
        "warping_1_interval_1",
        "warping_2_interval_1",
    ]


def test_an_error_over_no_known_points_is_left_out():
    known = [Motion(np.full((8, 8, 2), 99.0), np.ones((8, 8), bool))]
    clip = Clip("gone", np.zeros((2, 8, 8, 3), np.uint8), known)
    assert measure_clip(clip, clip.frames) == {"warping_1_interval_1": 0}


def test_every_clip_is_measured_in_every_style_and_not_again(photograph, tmp_path):
    clip = pan(photograph)
    known = [Motion(flow[:32, :32], mask[:32, :32]) for flow, mask in clip.known[:2]]
    clip = Clip("clip", clip.frames[:3, :32, :32], known)
    stylize_clips(Stylizer(small_model()[0]), [clip], {"s": photograph}, tmp_path / "ours")
    save_frames(tmp_path / "theirs" / "clip_stylized_s", 255 - clip.frames)
    systems = {name: tmp_path / name for name in ("ours", "theirs")}

    def measured():
        results = Results(tmp_path / "out", {"clip": clip.digest()})
        return measure_clips(results, [clip], {"s": photograph}, systems)

    rows = measured()
    assert [(row["system"], row["style"]) for row in rows] == [
        ("unstylized", ""),
        ("ours", "s"),
        ("theirs", "s"),
    ]
    unstylized, ours, theirs = (row["warping_2_interval_1"] for row in rows)
    assert unstylized < 1e-6 and theirs < 1e-6 and ours > 1e-4
    before = (tmp_path / "out" / ROWS_FILE).read_text()
    assert measured() == rows and (tmp_path / "out" / ROWS_FILE).read_text() == before


def test_stylized_frames_of_another_size_are_refused(photograph, tmp_path):
    clip = Clip("clip", pan(photograph).frames[:3], pan(photograph).known[:2])
    save_frames(tmp_path / "theirs" / "clip_stylized_s", clip.frames[:, 1:])
    with pytest.raises(UserError, match="theirs: clip in s has frames .* stylize it at its own"):
        measure_clips(
            Results(tmp_path / "out", {}),
            [clip],
            {"s": photograph},
            {"theirs": tmp_path / "theirs"},
        )
