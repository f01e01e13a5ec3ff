"""Clips: known motion, estimated motion, and errors that are measured once."""

import numpy as np
import pytest
from PIL import Image

from stya2k_jax import Stylizer
from stya2k_jax.errors import UserError
from stya2k_jax.flow import estimate_flow, read_flow, write_flo
from stya2k_jax.results import ROWS_FILE, Results
from stya2k_jax.video import (
    Clip,
    measure_clip,
    measure_clips,
    pan,
    read_clip,
    stylize_clips,
)
from stya2k_jax.warping import moving_window
from tests.recipe import needs_reference, reference_path
from tests.small_model import small_model


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    skimage_data = pytest.importorskip("skimage.data")
    path = tmp_path_factory.mktemp("photograph") / "astronaut.png"
    Image.fromarray(skimage_data.astronaut()[:140, 150:330]).save(path)
    return path


def saved(folder, frames) -> None:
    folder.mkdir(parents=True)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{t:03d}.png")


def test_a_panned_clip_has_no_error_and_noise_has_that_of_its_variance(photograph):
    clip = pan(photograph)
    assert clip.name == "pan_astronaut" and clip.frames.shape == (21, 120, 120, 3)
    errors = measure_clip(clip, clip.frames)
    assert list(errors) == [f"warping_{form}_interval_{k}" for k in (1, 10) for form in (1, 2)]
    assert all(value < 1e-6 for value in errors.values())
    noise = np.random.default_rng(0).integers(0, 256, clip.frames.shape).astype(np.uint8)
    errors = measure_clip(clip, noise)
    variance = (256**2 - 1) / 12 / 255**2
    for k in (1, 10):  # whole pixels: nothing is interpolated
        np.testing.assert_allclose(errors[f"warping_2_interval_{k}"], 2 * variance, rtol=0.01)


def test_estimated_flow_is_the_known_one_where_nothing_is_hidden(photograph):
    pytest.importorskip("cv2")
    pixels = np.asarray(Image.open(photograph), np.float64)
    frames, known = moving_window(pixels, (130, 160), (2, 1), frames=2)
    frames = np.round(frames).astype(np.uint8)
    flow, mask = Clip("clip", frames).motion(0, 1)
    assert mask.mean() > 0.5
    assert np.median(np.abs(flow - known)[mask]) < 0.2
    assert estimate_flow(*frames).dtype == np.float32


def test_an_interval_longer_than_the_clip_is_left_out(photograph):
    clip = pan(photograph)
    short = Clip("short", clip.frames[:5], clip.known_flow)
    assert list(measure_clip(short, short.frames)) == [
        "warping_1_interval_1",
        "warping_2_interval_1",
    ]


def test_every_clip_is_measured_in_every_style_and_not_again(photograph, tmp_path):
    clip = pan(photograph)
    clip = Clip("clip", clip.frames[:3, :32, :32], clip.known_flow[:32, :32])
    stylize_clips(Stylizer(small_model()[0]), [clip], {"s": photograph}, tmp_path / "ours")
    saved(tmp_path / "theirs" / "clip_stylized_s", 255 - clip.frames)
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


def test_frames_of_another_size_or_number_are_refused(photograph, tmp_path):
    clip = Clip("clip", pan(photograph).frames[:3])
    saved(tmp_path / "theirs" / "clip_stylized_s", clip.frames[:, 1:])
    with pytest.raises(UserError, match="theirs: clip in s has frames .* stylize it at its own"):
        measure_clips(
            Results(tmp_path / "out", {}),
            [Clip("clip", clip.frames, np.zeros((120, 120, 2)))],
            {"s": photograph},
            {"theirs": tmp_path / "theirs"},
        )
    saved(tmp_path / "one", clip.frames[:1])
    with pytest.raises(UserError, match="one has 1 frames of 1 sizes; a clip has at least 2"):
        read_clip(tmp_path / "one")


def test_flow_files_come_back_as_written_and_unknown_points_are_masked(tmp_path):
    flow = np.random.default_rng(0).normal(size=(4, 5, 2)).astype(np.float32)
    flow[1, 2] = 1e10
    write_flo(tmp_path / "a.flo", flow)
    read, valid = read_flow(tmp_path / "a.flo")
    assert not valid[1, 2] and valid.sum() == 19
    np.testing.assert_array_equal(read[valid], flow[valid])
    np.savez(tmp_path / "a.npz", flow=flow.astype(np.float64), valid=valid)
    np.testing.assert_array_equal(read_flow(tmp_path / "a.npz")[0], read)
    (tmp_path / "b.flo").write_bytes(b"something else")
    with pytest.raises(UserError, match="b.flo is not a flow, .flo or .npz"):
        read_flow(tmp_path / "b.flo")


@needs_reference
def test_known_flow_of_real_frames_explains_them(tmp_path):
    from stya2k_jax.warping import known_points, warping_error_2

    folder = reference_path("data", "flow")
    flow, valid = read_flow(folder / "rubberwhale_flow10.npz")
    first, second = (
        np.asarray(Image.open(folder / f"rubberwhale_frame{i}.jpg").convert("RGB")) / 255
        for i in (10, 11)
    )
    mask = known_points(flow, ~valid)
    still = warping_error_2(first, second, np.zeros_like(flow), valid)
    assert warping_error_2(first, second, flow, mask) < still / 4
