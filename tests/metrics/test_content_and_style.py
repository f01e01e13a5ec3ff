"""Losses and SSIM against plain NumPy, and their laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stya2k_jax.conversion.pytorch_files import read_state_dict
from stya2k_jax.conversion.vgg import encoder_from_vgg
from stya2k_jax.errors import UserError
from stya2k_jax.metrics import content_and_style as metrics
from stya2k_jax.metrics import ssim
from stya2k_jax.network.architecture import TAPS
from tests.support.paths import reference_path
from tests.support.reference_weights import needs_reference
from tests.support.small_model import pictures

SIZES = ((20, 12), (10, 6), (5, 3), (3, 2), (2, 1))


def random_taps(seed: int, batch: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        tap: np.maximum(rng.normal(0.3, 1, (batch, *size, 4)), 0).astype(np.float32)
        for tap, size in zip(TAPS, SIZES, strict=True)
    }


def channel(x: np.ndarray, b: int, c: int) -> np.ndarray:
    return x[b, :, :, c].astype(np.float64).ravel()


def sigma(values: np.ndarray) -> float:
    return np.sqrt(values.var(ddof=1) + 1e-5)


def test_content_loss_of_form_a_compares_normalised_channels_picture_by_picture():
    ours, theirs = random_taps(0), random_taps(1)
    terms = jax.jit(metrics.content_terms)(ours, theirs)
    assert list(terms) == ["relu4_1", "relu5_1"]
    for tap, values in terms.items():
        assert values.shape == (2,)
        for b in range(2):
            squares = []
            for c in range(4):
                x, y = channel(ours[tap], b, c), channel(theirs[tap], b, c)
                squares += list(((x - x.mean()) / sigma(x) - (y - y.mean()) / sigma(y)) ** 2)
            np.testing.assert_allclose(values[b], np.mean(squares), rtol=1e-5)


def test_a_content_term_is_twice_what_the_correlation_lacks_to_one():
    content = {
        tap: np.random.default_rng(0).gamma(1, 1, (1, 12, 9, 8)).astype(np.float32)
        for tap in TAPS[3:]
    }
    stylized = {tap: x[:, ::-1] + x[:, :, ::-1] for tap, x in content.items()}
    for tap, values in metrics.content_terms(stylized, content).items():
        rho = [
            np.corrcoef(channel(stylized[tap], 0, c), channel(content[tap], 0, c))[0, 1]
            for c in range(8)
        ]
        n = 12 * 9  # the variance divides by n - 1, the mean by n
        np.testing.assert_allclose(values[0], 2 * (1 - np.mean(rho)) * (n - 1) / n, rtol=1e-4)


@needs_reference
def test_a_content_term_of_photographs_is_twice_what_the_correlation_lacks_to_one():
    vgg = read_state_dict(reference_path("weights", "vgg_normalised.safetensors"))
    encoder, _ = encoder_from_vgg(vgg)
    taps = []
    for name in ("avril", "tubingen"):
        with Image.open(reference_path("data", "eval", "content", f"{name}.jpg")) as image:
            pixels = np.asarray(image.convert("RGB").resize((128, 128)), np.float32) / 255
        taps.append(encoder(pixels[None]))
    for tap in ("relu4_1", "relu5_1"):
        x, y = (np.asarray(found[tap]) for found in taps)
        # The 1e-5 beside a variance does not matter in channels that vary.
        alive = np.minimum(x.var((0, 1, 2)), y.var((0, 1, 2))) > 0.2
        assert alive.sum() > 20
        x, y = x[..., alive], y[..., alive]
        rho = [np.corrcoef(channel(x, 0, c), channel(y, 0, c))[0, 1] for c in range(alive.sum())]
        n = x.shape[1] * x.shape[2]
        values = metrics.content_terms({t: x for t in TAPS}, {t: y for t in TAPS})[tap]
        np.testing.assert_allclose(values, [2 * (1 - np.mean(rho)) * (n - 1) / n], rtol=1e-4)


def test_style_loss_compares_means_and_deviations_tap_by_tap():
    ours, theirs = random_taps(2), random_taps(3)
    terms = jax.jit(metrics.style_terms)(metrics.statistics(ours), metrics.statistics(theirs))
    assert list(terms) == list(TAPS)
    for tap, values in terms.items():
        for b in range(2):
            squares = []
            for c in range(4):
                x, y = channel(ours[tap], b, c), channel(theirs[tap], b, c)
                squares.append((x.mean() - y.mean()) ** 2 + (sigma(x) - sigma(y)) ** 2)
            np.testing.assert_allclose(values[b], np.mean(squares), rtol=1e-5)


def test_content_loss_of_form_b_compares_features_as_they_are():
    ours, theirs = random_taps(4), random_taps(5)
    for tap, values in metrics.raw_content_terms(ours, theirs).items():
        expected = ((ours[tap].astype(np.float64) - theirs[tap]) ** 2).mean((1, 2, 3))
        np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_losses_vanish_where_nothing_differs():
    taps = random_taps(6)
    stats = metrics.statistics(taps)
    for terms in (
        metrics.content_terms(taps, taps),
        metrics.raw_content_terms(taps, taps),
        metrics.style_terms(stats, stats),
    ):
        for values in terms.values():
            np.testing.assert_array_equal(values, np.zeros(2))


def test_a_style_of_another_size_can_be_compared():
    style = {tap: x[:, 1:] for tap, x in random_taps(7).items()}
    terms = metrics.style_terms(metrics.statistics(random_taps(8)), metrics.statistics(style))
    assert all(np.isfinite(values).all() for values in terms.values())


def test_form_b_swaps_red_and_blue_and_takes_the_nearest_four_points_of_8_bits():
    (picture,) = pictures(0, (9, 7))
    shown = metrics.as_form_b(jnp.asarray(picture), blue_first=True, size_px=4)
    for i in range(4):
        for j in range(4):
            y, x = (i + 0.5) * 9 / 4 - 0.5, (j + 0.5) * 7 / 4 - 0.5
            top, left = int(y), int(x)
            dy, dx = y - top, x - left
            cell = picture[0, top : top + 2, left : left + 2].astype(np.float64)
            value = (1 - dy) * ((1 - dx) * cell[0, 0] + dx * cell[0, 1])
            value += dy * ((1 - dx) * cell[1, 0] + dx * cell[1, 1])
            np.testing.assert_allclose(shown[0, i, j, ::-1], value, atol=0.51 / 255)
    np.testing.assert_allclose(shown * 255, np.round(shown * 255), atol=1e-4)


def test_form_b_may_keep_the_size_and_the_order_of_colours():
    (picture,) = pictures(0, (9, 7))
    same = metrics.as_form_b(jnp.asarray(picture), blue_first=False, size_px=0)
    np.testing.assert_array_equal(same, picture)


def eight_bit(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 100, (16, 19, 3))
    return (noise + np.arange(19)[:, None] * 8).astype(np.uint8)


def similarity(x: np.ndarray, y: np.ndarray, weights: np.ndarray, unbiased: bool) -> float:
    """The formula of Wang et al. in loops, over all windows that lie inside."""
    x, y, side = x.astype(np.float64), y.astype(np.float64), len(weights)
    weights = weights / weights.sum()
    factor = side**2 / (side**2 - 1) if unbiased else 1
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for i in range(x.shape[0] - side + 1):
        for j in range(x.shape[1] - side + 1):
            a, b = x[i : i + side, j : j + side], y[i : i + side, j : j + side]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a = factor * ((weights * a**2).sum() - mean_a**2)
            var_b = factor * ((weights * b**2).sum() - mean_b**2)
            both = factor * ((weights * a * b).sum() - mean_a * mean_b)
            top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
            values.append(top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return np.mean(values)


def test_ssim_of_grey_is_the_formula_over_uniform_windows_of_7():
    pytest.importorskip("skimage")
    x, y = eight_bit(0), eight_bit(1)
    grey = [np.asarray(Image.fromarray(picture).convert("L")) for picture in (x, y)]
    expected = similarity(*grey, np.ones((7, 7)), unbiased=True)
    np.testing.assert_allclose(ssim.ssim(x, y), expected, rtol=1e-6)
    assert ssim.ssim(x, x) == 1


def test_ssim_of_colours_is_the_formula_over_gaussian_windows_and_channels():
    pytest.importorskip("skimage")
    x, y = eight_bit(2), eight_bit(3)
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(line, line)
    expected = [similarity(x[..., c], y[..., c], weights, unbiased=False) for c in range(3)]
    np.testing.assert_allclose(ssim.ssim(x, y, "gaussian_rgb"), np.mean(expected), rtol=1e-5)


def test_a_form_of_ssim_that_does_not_exist_is_refused():
    pytest.importorskip("skimage")
    with pytest.raises(UserError, match="'color' does not exist; choose grey or gaussian_rgb"):
        ssim.ssim(eight_bit(0), eight_bit(1), "color")
