"""Smoothing: steadier where the content is, unchanged where it is not."""

import numpy as np
import pytest

pytest.importorskip("cv2")

import cv2

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.clips.measure import warping_error_1
from stya2k_jax.evaluation.clips.rendered import moving_window
from stya2k_jax.video.smoothing import Smoother
from stya2k_jax.video.warping import known_points

NOISE = 20.0


def texture(seed: int, height: int = 160, width: int = 200) -> np.ndarray:
    """Draws a picture with detail of several sizes, float `[h, w, 3]` in [30, 225]."""
    rng = np.random.default_rng(seed)
    layers = [
        weight * cv2.GaussianBlur(rng.normal(size=(height, width, 3)), None, sigma) * sigma
        for sigma, weight in ((1.5, 1.0), (5.0, 1.0), (15.0, 2.0))
    ]
    picture = sum(layers)
    low, high = picture.min(), picture.max()
    return 30 + 195 * (picture - low) / (high - low)


def to_8_bits(frames: np.ndarray) -> np.ndarray:
    return np.clip(np.round(frames), 0, 255).astype(np.uint8)


def with_noise(frames: np.ndarray, seed: int = 5) -> np.ndarray:
    """Adds noise that is another in each frame, as a network's uncertainty is."""
    noise = np.random.default_rng(seed).normal(0, NOISE, frames.shape)
    return to_8_bits(frames + noise)


def smoothed(content: np.ndarray, stylized: np.ndarray, strength: float = 0.8) -> np.ndarray:
    smooth = Smoother(strength)
    return np.stack([smooth(*pair) for pair in zip(content, stylized, strict=True)])


def error(frames: np.ndarray, ideal: np.ndarray) -> float:
    return float(np.sqrt(np.mean((frames.astype(float) - ideal) ** 2)))


def moving_square(count: int = 12) -> tuple[np.ndarray, list[np.ndarray]]:
    """Renders a square that crosses a still picture.

    Returns:
      Frames `[t, h, w, 3]`, and for each where the square was in the five before it and is not now.
    """
    background, square = texture(1), texture(2)[:40, :40]
    frames, trails = np.stack([background] * count), []
    for t, frame in enumerate(frames):
        frame[50:90, 20 + 4 * t : 60 + 4 * t] = square
        trail = np.zeros(frame.shape[:2], bool)
        trail[50:90, 20 + 4 * max(0, t - 5) : 20 + 4 * t] = True
        trails.append(trail)
    return frames, trails


@pytest.mark.parametrize("velocity", [(2, 1), (1.5, -0.75), (0, 0)])
def test_the_warping_error_falls_where_only_noise_changes(velocity):
    content, flow = moving_window(texture(0), (100, 140), velocity, frames=10)
    stylized = with_noise(255 - content)
    steady = smoothed(to_8_bits(content), stylized)
    mask = known_points(flow, None)

    def mean_error(frames):
        pairs = zip(frames[4:] / 255, frames[5:] / 255, strict=False)
        return np.mean([warping_error_1(*pair, flow, mask) for pair in pairs])

    assert mean_error(steady) < 0.6 * mean_error(stylized)
    assert error(steady[4:], (255 - content)[4:]) < 0.8 * error(stylized[4:], (255 - content)[4:])


def test_more_strength_is_steadier():
    content = np.stack([texture(0)] * 10)
    stylized = with_noise(content)
    left = [
        error(smoothed(to_8_bits(content), stylized, s)[-1], content[-1]) for s in (0.2, 0.5, 0.8)
    ]
    assert error(stylized[-1], content[-1]) > left[0] > left[1] > left[2]


def test_nothing_trails_behind_what_moves():
    content, trails = moving_square()
    ideal = 255 - content
    stylized = with_noise(ideal)
    steady = smoothed(to_8_bits(content), stylized)
    for t in range(1, len(content)):
        for where in (trails[t], ~trails[t]):
            assert error(steady[t][where], ideal[t][where]) <= error(
                stylized[t][where], ideal[t][where]
            )
    # How much of what was there is still seen, where it has just gone: 0.8 without any caution.
    clean = smoothed(to_8_bits(content), to_8_bits(ideal))
    for t in range(2, len(content)):
        gone = trails[t] & ~trails[t - 1]
        old, left = ideal[t - 1][gone] - ideal[t][gone], clean[t][gone] - ideal[t][gone]
        assert np.sum(old * left) / np.sum(old**2) < 0.1


def test_the_frame_after_a_cut_is_unchanged_and_a_new_clip_begins_there():
    before, after = (to_8_bits(np.stack([texture(seed)] * 5)) for seed in (3, 4))
    content = np.concatenate([before, after])
    stylized = with_noise(255 - content.astype(float))
    steady = smoothed(content, stylized)
    np.testing.assert_array_equal(steady[5], stylized[5])
    np.testing.assert_array_equal(steady[5:], smoothed(after, stylized[5:]))
    assert error(steady[6], stylized[6]) > 5


@pytest.mark.parametrize(("kept", "follows"), [(0.15, False), (0.3, True)])
def test_a_frame_follows_the_one_before_if_enough_of_it_is_there_still(kept, follows):
    content = np.stack([texture(3), texture(4)])
    columns = int(kept * content.shape[2])
    content[1, :, :columns] = content[0, :, :columns]
    stylized = with_noise(255 - content)
    steady = smoothed(to_8_bits(content), stylized)
    assert (steady[1] != stylized[1]).any() == follows


def test_what_changes_in_its_place_is_unchanged():
    content = np.stack([texture(0)] * 2)
    content[1, 60:100, 60:120] += 60  # a lamp is switched on
    stylized = with_noise(content)
    steady = smoothed(to_8_bits(content), stylized)
    changed = np.s_[64:96, 64:116]  # but for its edge
    assert error(steady[1][changed], stylized[1][changed]) < 1
    assert error(steady[1], stylized[1]) > 5  # elsewhere it smooths


def test_no_strength_changes_nothing():
    stylized = with_noise(np.stack([texture(0)] * 3))
    np.testing.assert_array_equal(smoothed(stylized, stylized, 0), stylized)


@pytest.mark.parametrize("strength", [-0.1, 1.0, float("nan")])
def test_other_strengths_are_refused(strength):
    with pytest.raises(UserError, match="smoothing is .*; give 0"):
        Smoother(strength)


@pytest.mark.parametrize("size", [(16, 16), (16, 40), (45, 63)])
def test_frames_of_any_size_are_smoothed(size):
    content = to_8_bits(np.stack([texture(0)[: size[0], : size[1]]] * 3))
    assert smoothed(content, content).shape == content.shape


def test_frames_too_small_for_flow_are_refused():
    with pytest.raises(UserError, match="Frames of 40x15 are too small for smoothing"):
        Smoother(0.5)(*np.zeros((2, 15, 40, 3), np.uint8))
