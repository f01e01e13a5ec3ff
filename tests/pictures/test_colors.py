"""Colors of the content kept: against scikit-image, the definition of moments, and limits."""

import colorsys

import numpy as np
import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.pictures import colors as color
from stya2k_jax.pictures.colors import (
    color_moments,
    keep_luminance,
    lab_to_srgb,
    match_color,
    srgb_to_lab,
)


def drawn(seed: int, *shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (*shape, 3)).astype(np.float32)


def muted(seed: int, height: int = 20, width: int = 30) -> np.ndarray:
    """Draws a picture of correlated colors, far from black and white."""
    rng = np.random.default_rng(seed)
    mix, mean = rng.uniform(-0.04, 0.04, (3, 3)), rng.uniform(0.4, 0.6, 3)
    picture = mean + rng.uniform(-1, 1, (height, width, 3)) @ mix
    return picture.astype(np.float32)


### CIELAB


def test_lab_is_that_of_scikit_image_and_back():
    skimage = pytest.importorskip("skimage.color")
    rgb = drawn(0, 100, 100)
    lab = srgb_to_lab(rgb)
    # Its constants where the cube root becomes a line are rounded to four digits.
    np.testing.assert_allclose(lab, skimage.rgb2lab(rgb.astype(np.float64)), atol=2e-4)
    np.testing.assert_allclose(lab_to_srgb(lab), skimage.lab2rgb(lab), atol=1e-4)


def test_lab_of_the_primaries_is_as_published():
    rgb = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    expected = [[0, 0, 0], [100, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18]]
    expected.append([32.30, 79.19, -107.86])
    np.testing.assert_allclose(srgb_to_lab(rgb), expected, atol=0.02)


def test_all_8_bit_greys_and_many_colors_survive_lab():
    greys = np.repeat(np.arange(256)[:, None] / 255, 3, axis=1)
    for rgb in (greys, drawn(1, 50, 50)):
        np.testing.assert_allclose(lab_to_srgb(srgb_to_lab(rgb)), rgb, atol=1e-6)


### Luminance


def test_the_result_has_the_lightness_of_one_and_the_colors_of_the_other():
    skimage = pytest.importorskip("skimage.color")
    stylized, content = muted(1), muted(2)
    lab = skimage.rgb2lab(content.astype(np.float64))
    lab[..., 0] = skimage.rgb2lab(stylized.astype(np.float64))[..., 0]
    out = keep_luminance(stylized, content)
    assert out.dtype == np.float32 and out.shape == content.shape
    np.testing.assert_allclose(out, skimage.lab2rgb(lab), atol=1e-4)


def test_keeping_the_luminance_of_the_content_itself_changes_nothing():
    content = drawn(3, 7, 5)
    np.testing.assert_allclose(keep_luminance(content, content), content, atol=1e-6)


def test_a_grey_content_gives_greys_and_a_flat_hue_stays():
    grey = np.repeat(drawn(4, 20, 20)[..., :1], 3, axis=-1)
    out = keep_luminance(drawn(5, 20, 20), grey)
    assert np.ptp(out, axis=-1).max() < 1e-4
    out = keep_luminance(muted(6), np.full((20, 30, 3), (0.6, 0.4, 0.4), np.float32))
    hues = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in out.reshape(-1, 3)]
    assert np.ptp([(hue + 0.5) % 1 for hue in hues]) < 0.02


def test_what_cannot_be_shown_is_clipped_and_input_beyond_0_to_1_too():
    blue = np.broadcast_to(np.float32([0, 0, 1]), (2, 2, 3))
    for stylized in (np.ones((2, 2, 3), np.float32), np.full((2, 2, 3), 7.0, np.float32)):
        out = keep_luminance(stylized, blue)
        assert 0 <= out.min() and out.max() <= 1
        np.testing.assert_array_equal(out, keep_luminance(np.ones((2, 2, 3)), blue))


def test_a_batch_is_done_picture_by_picture_and_in_parts_as_at_once(monkeypatch):
    stylized, content = drawn(7, 2, 9, 11), drawn(8, 2, 9, 11)
    out = keep_luminance(stylized, content)
    for i in range(2):
        np.testing.assert_array_equal(out[i], keep_luminance(stylized[i], content[i]))
    monkeypatch.setattr(color, "_PIXELS_AT_ONCE", 13)
    np.testing.assert_allclose(keep_luminance(stylized, content), out, atol=1e-7)
    np.testing.assert_allclose(
        match_color(stylized, content)[1], match_color(stylized[1], content[1])
    )


### Matching


def test_the_recolored_style_has_mean_and_covariance_of_the_content():
    style, content = muted(9), muted(10, 40, 25)
    out = match_color(style, content)
    assert out.dtype == np.float32 and out.shape == style.shape
    assert 0 < out.min() and out.max() < 1  # nothing was clipped
    for picture in (out, content):  # NumPy's own, by their definition
        pixels = picture.reshape(-1, 3).astype(np.float64)
        mean, covariance = color_moments(picture)
        np.testing.assert_allclose(mean, pixels.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(covariance, np.cov(pixels.T, bias=True), atol=1e-12)
    for ours, wanted in zip(color_moments(out), color_moments(content), strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-6)


@pytest.mark.parametrize(
    "picture",
    [
        drawn(11, 20, 30),
        muted(12),
        np.repeat(drawn(13, 9, 9)[..., :1], 3, axis=-1),  # grey: a singular covariance
        drawn(14, 1, 1),
        np.full((4, 4, 3), 0.3, np.float32),
        np.float32(0.5) + drawn(15, 9, 9, low=-1e-4, high=1e-4),
    ],
)
def test_a_style_of_the_same_colors_is_left_as_it_is(picture):
    np.testing.assert_allclose(match_color(picture, picture), picture, atol=1e-5)


def test_the_order_of_the_channels_does_not_matter():
    style, content = muted(16), muted(17)
    out = match_color(style[..., ::-1], content[..., ::-1])
    np.testing.assert_allclose(out[..., ::-1], match_color(style, content), atol=1e-6)


FLAT = np.full((3, 3, 3), (0.2, 0.4, 0.6), np.float32)
GREY = np.repeat(drawn(18, 8, 8)[..., :1], 3, axis=-1)


@pytest.mark.parametrize("style", [FLAT, FLAT[:1, :1], GREY, drawn(19, 1, 2), drawn(20, 8, 8)])
@pytest.mark.parametrize("content", [FLAT, FLAT[:1, :1], GREY, drawn(21, 2, 1), drawn(22, 8, 8)])
def test_flat_grey_and_tiny_pictures_stay_finite(style, content):
    out = match_color(style, content)
    assert out.shape == style.shape and np.isfinite(out).all()
    assert 0 <= out.min() and out.max() <= 1
    if np.ptp(style, axis=(0, 1)).max() == 0 or np.ptp(content, axis=(0, 1)).max() == 0:
        np.testing.assert_allclose(out.mean(axis=(0, 1)), content.mean(axis=(0, 1)), atol=1e-5)


def test_the_rounding_of_a_grey_style_is_not_blown_up_to_colors():
    grey, content = GREY * 0.2 + 0.4, muted(23)
    rounded = np.round(grey * 255 + np.random.default_rng(0).uniform(-0.5, 0.5, grey.shape)) / 255
    # A color deviation of a step at most, where matching it to the content's would make it ten.
    out, expected = match_color(rounded, content), match_color(grey, content)
    assert np.abs(out - expected).max() < 0.02


def test_one_content_serves_many_styles_and_the_reverse():
    many, one = np.stack([muted(i) for i in range(3)]), muted(24, 5, 5)
    assert match_color(many, one).shape == many.shape
    out = match_color(one, many)
    assert out.shape == (3, 5, 5, 3)
    for i in range(3):
        np.testing.assert_array_equal(match_color(many, one)[i], match_color(many[i], one))
        np.testing.assert_array_equal(out[i], match_color(one, many[i]))


### Refusals


@pytest.mark.parametrize("function", [keep_luminance, match_color])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((4, 4), np.float32), r"has shape \(4, 4\); expected \[..., height, width, 3\]"),
        (np.zeros((0, 4, 3), np.float32), r"has shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), "is of uint8; expected floats in"),
        (np.full((4, 4, 3), np.nan), "holds NaN or infinity; expected floats"),
    ],
)
def test_what_is_no_picture_of_floats_is_refused(function, bad, message):
    good = drawn(25, 4, 4)
    with pytest.raises(UserError, match=f"content {message}"):
        function(good, bad)
    with pytest.raises(UserError, match=f"styl(e|ized) {message}"):
        function(bad, good)


def test_pictures_that_do_not_pair_up_are_refused_with_both_shapes():
    with pytest.raises(UserError, match=r"shape \(4, 4, 3\) and content \(5, 4, 3\).* Resize"):
        keep_luminance(drawn(0, 4, 4), drawn(0, 5, 4))
    with pytest.raises(UserError, match="as many styles as contents, or one"):
        match_color(drawn(0, 2, 4, 4), drawn(0, 3, 4, 4))
