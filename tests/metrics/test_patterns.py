"""The measure of regular patterns: photographs, planted weaves, and a plain statement."""

import numpy as np
import pytest

from stya2k_jax.metrics.patterns import PERIODS, patterns

SIDE = 256


def photograph(seed: int = 0) -> np.ndarray:
    """Returns noise of the spectrum that photographs have, uint8, with a flat half."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)) + 1 / SIDE
    noise = np.fft.fft2(rng.normal(size=(3, SIDE, SIDE))) / frequency**1.2
    noise = np.moveaxis(np.fft.ifft2(noise).real, 0, -1)
    noise *= np.where(np.arange(SIDE) < SIDE // 2, 0.2, 1)[None, :, None] / noise.std()
    return np.clip(128 + 40 * noise, 0, 255).astype(np.uint8)


def with_weave(picture: np.ndarray, fy: float, fx: float, levels: float) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    weave = levels * np.cos(2 * np.pi * (fy * y + fx * x))
    return np.clip(picture + weave[:, :, None], 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_a_photograph_has_no_pattern(seed):
    for ratio in patterns(photograph(seed), photograph(seed)).values():
        assert 0.3 < ratio < 3


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("along", [(0, 1), (1, 0), (1, 1)])
def test_a_planted_weave_stands_out_at_its_period_alone(period, along):
    content = photograph()
    found = patterns(with_weave(content, *(x / period for x in along), 2), content)
    other = PERIODS[1 - PERIODS.index(period)]
    assert found[period] > 30
    assert found[other] < 3


def test_only_flat_areas_of_the_content_count():
    content = photograph()
    woven = with_weave(content, 0, 1 / 2, 20)
    in_busy = np.where((np.arange(SIDE) >= SIDE // 2)[None, :, None], woven, content)
    in_flat = np.where((np.arange(SIDE) < SIDE // 2)[None, :, None], woven, content)
    assert patterns(in_busy, content)[2] < 3 < 100 < patterns(in_flat, content)[2]


def test_the_ratio_is_the_power_at_the_peak_over_the_median_around_it():
    rng = np.random.default_rng(1)
    stylized = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    grey = stylized @ np.array([0.299, 0.587, 0.114]) / 255
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * hann[:, None] * hann)) ** 2
    for period, ratio in patterns(stylized, stylized).items():
        heights = []
        for i, j in ((0, 64 // period), (64 // period, 0), (64 // period, 64 // period)):
            near = [
                power[(i + di) % 64, (j + dj) % 64]
                for di in range(-6, 7)
                for dj in range(-6, 7)
                if 9 <= di**2 + dj**2 <= 36
            ]
            heights.append(power[i, j] / np.median(near))
        np.testing.assert_allclose(ratio, max(heights), rtol=1e-6)


def test_black_pictures_have_a_finite_ratio_and_others_are_refused():
    black = np.zeros((64, 80, 3), np.uint8)
    assert patterns(black, black) == {2: 1, 4: 1}
    with pytest.raises(ValueError, match="at least 64 pixels"):
        patterns(black[:60], black[:60])
    with pytest.raises(ValueError, match="of one size"):
        patterns(black, black[:, :70])
