"""Clips whose motion is known from files or from their rendering, or is estimated."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.clips.clip import Clip, find_clips, read_flow
from stya2k_jax.evaluation.clips.measure import INTERVALS, measure_clip
from stya2k_jax.evaluation.clips.rendered import DRAWN_PANS, drawn_pans, moving_window, pan
from stya2k_jax.video.flow import estimate_flow
from tests.support.paths import reference_path
from tests.support.picture_files import noise
from tests.support.reference_weights import needs_reference

VARIANCE = (256**2 - 1) / 12 / 255**2  # of uniform noise of 8 bits, in [0, 1]
MOVES = [(2, 1), (0, -1), (-3, 2)]  # of what is seen, whole pixels to the right and downwards


def shaken() -> list[np.ndarray]:
    """Cuts frames of 24 x 30 out of noise, so that what is seen moves as `MOVES` say."""
    scene, x, y = noise(0, 60, 60), 15, 15
    frames = []
    for u, v in [(0, 0), *MOVES]:
        x, y = x - u, y - v
        frames.append(np.repeat(scene[y : y + 24, x : x + 30, None], 3, axis=2))
    return frames


def write_clip(folder, names: list[str]) -> None:
    folder.mkdir(parents=True)
    for name, frame in zip(names, shaken(), strict=True):
        Image.fromarray(frame).save(folder / f"{name}.png")


def flow_of(move: tuple[int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(move, np.float32), (24, 30, 2))


def write_flo(path: Path, flow: np.ndarray) -> None:
    """Writes `[H, W, 2]` in Middlebury's format."""
    height, width = flow.shape[:2]
    header = np.float32(202021.25).tobytes() + np.array([width, height], "<i4").tobytes()
    path.write_bytes(header + np.ascontiguousarray(flow, "<f4").tobytes())


def write_flow(folder, names: list[str]) -> None:
    """Writes the flow from all frames but the last: of the first as .flo."""
    folder.mkdir(exist_ok=True)
    write_flo(folder / f"{names[0]}.flo", flow_of(MOVES[0]))
    for name, move in zip(names[1:-1], MOVES[1:], strict=True):
        np.savez(folder / f"{name}.npz", flow=flow_of(move))


### Rendered clips


def test_a_panned_clip_has_no_error_and_noise_has_that_of_its_variance(photograph):
    clip = pan(photograph)
    assert clip.name == "pan_astronaut" and clip.frames.shape == (21, 120, 120, 3)
    errors = measure_clip(clip, clip.frames)
    assert list(errors) == [f"warping_{form}_interval_{k}" for k in (1, 10) for form in (1, 2)]
    assert all(value < 1e-6 for value in errors.values())
    errors = measure_clip(clip, noise(0, *clip.frames.shape))
    for k in (1, 10):  # whole pixels: nothing is interpolated
        np.testing.assert_allclose(errors[f"warping_2_interval_{k}"], 2 * VARIANCE, rtol=0.01)


def test_a_photograph_without_room_for_the_way_is_refused(tmp_path):
    for size, fits in (((92, 52), True), ((91, 52), False), ((92, 51), False), ((50, 50), False)):
        Image.new("RGB", size).save(tmp_path / "small.png")
        if fits:
            assert pan(tmp_path / "small.png").frames.shape == (21, 32, 32, 3)
            continue
        with pytest.raises(UserError, match="small.png has .* pixels; .* over 92x52 or more"):
            pan(tmp_path / "small.png")


@pytest.fixture(scope="module")
def drawn():
    return drawn_pans(96)


@pytest.mark.parametrize("i", range(len(DRAWN_PANS)))
def test_a_drawn_clip_has_the_errors_that_its_motion_implies(drawn, i):
    clip, velocity = drawn[i], list(DRAWN_PANS.values())[i]
    assert clip.name == list(DRAWN_PANS)[i] and clip.frames.std() > 20
    still, of_noise = (measure_clip(clip, x) for x in (clip.frames, noise(0, *clip.frames.shape)))
    for k in INTERVALS:
        # A value of noise is weighted by 1 in one frame and by w in the other.
        a, b = (abs(k * v) % 1 for v in velocity)
        left = ((1 - a) ** 2 + a**2) * ((1 - b) ** 2 + b**2)
        expected = VARIANCE * (1 + left)
        np.testing.assert_allclose(of_noise[f"warping_2_interval_{k}"], expected, rtol=0.01)
        seen = np.prod([1 - np.ceil(abs(k * v)) / 96 for v in velocity])
        expected = np.sqrt(expected * seen)
        np.testing.assert_allclose(of_noise[f"warping_1_interval_{k}"], expected, rtol=0.01)
        whole = a == b == 0
        assert still[f"warping_2_interval_{k}"] < (1e-20 if whole else 1e-4)
        assert still[f"warping_1_interval_{k}"] < (1e-10 if whole else 1e-2)


def test_a_wrong_motion_of_a_drawn_clip_would_be_seen(drawn):
    right = drawn[1]
    wrong = Clip("wrong", right.frames, [step._replace(flow=-step.flow) for step in right.known])
    error = "warping_2_interval_10"
    assert measure_clip(wrong, right.frames)[error] > 20 * measure_clip(right, right.frames)[error]


### Clips in folders


def test_flow_beside_the_frames_is_known_and_chained(tmp_path):
    names = ["1", "2", "10", "11"]  # in this order, which is not that of the alphabet
    write_clip(tmp_path / "clip", names)
    write_flow(tmp_path / "clip" / "flow", names)
    (clip,) = find_clips(tmp_path)
    assert clip.name == "clip" and len(clip.known) == 3
    assert all(e < 1e-9 for e in measure_clip(clip, clip.frames, intervals=(1, 2, 3)).values())
    flow, mask = clip.motion(0, 3)
    total = np.sum(MOVES, axis=0)
    assert (flow[mask] == total).all()
    expected = np.zeros((24, 30), bool)
    for i in range(24):  # a point is known as long as it is inside of every frame on its way
        for j in range(30):
            way = np.cumsum([(j, i), *MOVES], axis=0)
            expected[i, j] = ((way >= 0) & (way <= (29, 23))).all()
    np.testing.assert_array_equal(mask, expected)
    assert 0 < expected.mean() < 1


def test_a_point_that_is_unknown_on_its_way_is_masked(tmp_path):
    names = ["a", "b", "c", "d"]
    write_clip(tmp_path / "clip", names)
    write_flow(tmp_path / "clip" / "flow", names)
    valid = np.ones((24, 30), bool)
    valid[9, 12] = False
    np.savez(tmp_path / "clip" / "flow" / "b.npz", flow=flow_of(MOVES[1]), valid=valid)
    (clip,) = find_clips(tmp_path / "clip")
    first, later = clip.motion(0, 1).mask, clip.motion(0, 2).mask
    u, v = MOVES[0]
    assert first[9 - v, 12 - u] and not later[9 - v, 12 - u] and later[9 - v, 13 - u]
    assert not clip.motion(1, 1).mask[9, 12]


def test_points_may_be_marked_valid_by_numbers_and_are_never_without_a_number(tmp_path):
    flow, valid = np.array(flow_of((1, 0))), np.full((24, 30), 255, np.uint8)
    valid[3, 4], flow[5, 6] = 0, np.nan
    np.savez(tmp_path / "a.npz", flow=flow, valid=valid)
    read, known = read_flow(tmp_path / "a.npz")
    assert known.dtype == bool and known.sum() == 24 * 30 - 2
    assert not known[3, 4] and not known[5, 6] and np.isfinite(read).all()


def test_other_flow_makes_another_clip(tmp_path):
    names = ["a", "b", "c", "d"]
    write_clip(tmp_path / "clip", names)
    digests = [find_clips(tmp_path)[0].digest()]
    write_flow(tmp_path / "clip" / "flow", names)
    digests.append(find_clips(tmp_path)[0].digest())
    np.savez(tmp_path / "clip" / "flow" / "b.npz", flow=flow_of((1, 1)))
    digests.append(find_clips(tmp_path)[0].digest())
    assert len(set(digests)) == 3


def test_clips_may_lie_side_by_side_with_their_flow(tmp_path):
    for name in ("tree", "big_frame"):
        frames = [f"{name}_frame{i}" for i in (9, 10, 11, 12)]
        write_clip(tmp_path / name, frames)
        write_flow(tmp_path / name, [f"{name}_flow{i}" for i in (9, 10, 11, 12)])
        for file in (tmp_path / name).iterdir():
            file.rename(tmp_path / file.name)
        (tmp_path / name).rmdir()
    clips = find_clips(tmp_path)
    assert [clip.name for clip in clips] == ["big_frame", "tree"]
    for clip in clips:
        assert all(e < 1e-9 for e in measure_clip(clip, clip.frames, intervals=(1, 3)).values())


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def unnamed(path) -> None:
    with open(path, "wb") as file:
        np.save(file, flow_of((0, 0)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "flow" / "b.npz").unlink(), "there is no .*b.npz or .*b.flo, the flow"),
        (
            lambda f: np.savez(f / "flow" / "c.npz", flow=flow_of((0, 0))[:-1]),
            re.escape("c.npz has shape (23, 30, 2); its frame, 30x24, needs (24, 30, 2)"),
        ),
        (lambda f: (f / "flow" / "a.flo").write_bytes(b"no flow"), "a.flo is not a flow"),
        (lambda f: cut(f / "flow" / "b.npz"), "b.npz is not a flow"),
        (lambda f: (f / "flow" / "b.npz").write_bytes(b""), "b.npz is not a flow"),
        (lambda f: unnamed(f / "flow" / "b.npz"), "b.npz is not a flow.*one array without a name"),
        (
            lambda f: np.savez(f / "flow" / "c.npz", flow=flow_of((0, 0)), valid=np.ones((24, 29))),
            re.escape(
                "c.npz is not a flow, .flo or .npz (flow has shape (24, 30, 2), valid (24, 29"
            ),
        ),
        (lambda f: [(f / f"{x}.png").unlink() for x in "bcd"], "has 1 frame; a clip has at least"),
        (lambda f: Image.new("RGB", (8, 8)).save(f / "d.png"), "becomes 8x8, the first frame 30x2"),
        (lambda f: Image.new("RGB", (8, 8)).save(f / "x_flow1.npz", "png"), "flow but no frames"),
        (lambda f: (f / "a.png").rename(f / "e.png"), "there is no .*d.npz or .*d.flo"),
    ],
)
def test_frames_and_flow_that_do_not_fit_are_refused(tmp_path, change, message):
    names = ["a", "b", "c", "d"]
    write_clip(tmp_path / "clip", names)
    write_flow(tmp_path / "clip" / "flow", names)
    change(tmp_path / "clip")
    with pytest.raises(UserError, match=message):
        find_clips(tmp_path / "clip")


def test_frames_side_by_side_must_follow_each_other(tmp_path):
    write_clip(tmp_path / "clips", [f"tree_frame{i}" for i in (1, 2, 4, 5)])
    write_flow(tmp_path / "clips", [f"tree_flow{i}" for i in (1, 2, 4, 5)])
    with pytest.raises(UserError, match="tree has frames 1, 2, 4, 5; give two or more in a row"):
        find_clips(tmp_path / "clips")
    with pytest.raises(UserError, match="nowhere is not a folder of frames"):
        find_clips(tmp_path / "nowhere")


### Where flow comes from


def test_estimated_flow_is_the_known_one_where_nothing_is_hidden(photograph):
    pytest.importorskip("cv2")
    pixels = np.asarray(Image.open(photograph), np.float64)
    frames, known = moving_window(pixels, (130, 160), (2, 1), frames=2)
    frames = np.round(frames).astype(np.uint8)
    flow, mask = Clip("clip", frames).motion(0, 1)
    assert mask.mean() > 0.5
    assert np.median(np.abs(flow - known)[mask]) < 0.2
    assert estimate_flow(*frames).dtype == np.float32


def test_frames_that_are_too_small_for_an_estimate_are_refused():
    pytest.importorskip("cv2")
    assert estimate_flow(*noise(0, 2, 16, 90, 3)).shape == (16, 90, 2)
    with pytest.raises(UserError, match="flow of frames of 90x15 cannot be estimated"):
        estimate_flow(*noise(0, 2, 15, 90, 3))


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
def test_known_flow_of_real_frames_explains_them():
    clips = find_clips(reference_path("data", "flow"))
    assert [clip.name for clip in clips] == ["hydrangea", "rubberwhale", "urban3", "venus"]
    for clip in clips:
        error = measure_clip(clip, clip.frames)["warping_2_interval_1"]
        known = [step._replace(flow=0 * step.flow) for step in clip.known]
        still = measure_clip(Clip("still", clip.frames, known), clip.frames)
        assert error < still["warping_2_interval_1"] / 3, clip.name
