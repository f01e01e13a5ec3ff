"""Masks against plain loops over the area that a pixel covers, and by the laws of averages."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.pictures.masks import (
    as_mask,
    fit_mask,
    keep_content,
    read_mask,
    reduce_mask,
    style_masks,
)


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


### Files


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16", "I", "F"])
def test_white_is_1_and_black_is_0_in_files_of_any_mode(tmp_path, mode):
    bits = drawn(0, 4, 6) > 0.5
    grey = Image.fromarray(np.uint8(255) * bits)
    if mode == "I;16":
        grey = Image.fromarray(np.uint16(65535) * bits)
    grey.convert(mode).save(tmp_path / "mask.tif")
    mask = read_mask(tmp_path / "mask.tif")
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, bits)


def test_greys_are_soft_and_colors_count_by_their_grey_value(tmp_path):
    pixels = np.array([[[51] * 3, [204] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    expected = [[0.2, 0.8, 0.299, 0.587, 0.114]]
    np.testing.assert_allclose(read_mask(tmp_path / "mask.png"), expected, atol=0.5 / 255)


def test_what_is_transparent_counts_as_0(tmp_path):
    rgba = np.full((1, 3, 4), 255, np.uint8)
    rgba[..., 3] = 0, 51, 255
    Image.fromarray(rgba).save(tmp_path / "mask.png")
    np.testing.assert_allclose(read_mask(tmp_path / "mask.png"), [[0, 0.2, 1]], atol=1e-6)


def test_masks_are_read_upright_as_pictures_are(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.uint8([[0, 255]])).save(tmp_path / "mask.png", exif=exif)
    assert read_mask(tmp_path / "mask.png").tolist() == [[0], [1]]


def test_a_file_that_is_no_mask_is_refused_by_name(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(PictureError, match="text.png is not a picture"):
        read_mask(tmp_path / "text.png")
    Image.fromarray(np.uint8([[0, 1]])).save(tmp_path / "labels.png")
    with pytest.raises(PictureError, match="labels.png: the brightest .* Multiply it by 255"):
        read_mask(tmp_path / "labels.png")
    Image.fromarray(np.uint8([[0, 0]])).save(tmp_path / "nothing.png")
    assert not read_mask(tmp_path / "nothing.png").any()


### Kinds


def test_paths_images_and_arrays_of_any_kind_are_one_mask(tmp_path):
    grey = np.uint8([[0, 51, 255], [102, 3, 7]])
    expected = grey.astype(np.float32) / 255
    Image.fromarray(grey).save(tmp_path / "mask.png")
    clear = np.dstack([np.full((2, 3, 3), 255, np.uint8), grey])
    for kind in (
        *(tmp_path / "mask.png", str(tmp_path / "mask.png"), Image.fromarray(grey), grey),
        *(expected, expected.astype(np.float64), jnp.asarray(expected), Image.fromarray(clear)),
        *(np.dstack([grey] * 3), np.dstack([expected] * 3)),
    ):
        mask = as_mask(kind)
        assert mask.dtype == np.float32
        np.testing.assert_allclose(mask, expected, atol=1e-6)
    assert as_mask(grey > 100).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_colors_of_arrays_count_as_those_of_images():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    for kind in (pixels, pixels / 255):
        np.testing.assert_allclose(as_mask(kind), as_mask(Image.fromarray(pixels)), atol=1 / 255)
    assert as_mask(np.ones((2, 2, 3))).max() == 1


### Sizes


def averaged(row: np.ndarray, size: int) -> np.ndarray:
    """Averages a row over the share of each new pixel, old pixel by old pixel."""
    scale, out = len(row) / size, np.zeros(size)
    for i in range(size):
        for j, value in enumerate(row):
            covered = min((i + 1) * scale, j + 1) - max(i * scale, j)
            out[i] += value * max(covered, 0) / scale
    return out


def interpolated(row: np.ndarray, size: int) -> np.ndarray:
    places = (np.arange(size) + 0.5) * len(row) / size - 0.5
    return np.interp(places, np.arange(len(row)), row)


def fitted(mask: np.ndarray, *size: int) -> np.ndarray:
    for axis in range(2):
        resize = averaged if size[axis] < mask.shape[axis] else interpolated
        mask = np.apply_along_axis(resize, axis, mask, size[axis])
    return mask


@pytest.mark.parametrize("size", [(12, 7), (5, 3), (12, 20), (30, 4), (1, 1), (24, 14), (11, 8)])
@pytest.mark.parametrize("shape", [(12, 7), (1, 1), (1, 9), (31, 2)])
def test_masks_are_averaged_where_they_shrink_and_interpolated_where_they_grow(shape, size):
    mask = drawn(1, *shape)
    out = fit_mask(mask, *size)
    assert out.dtype == np.float32 and out.shape == size and out.flags.c_contiguous
    np.testing.assert_allclose(out, fitted(mask, *size), atol=1e-6)


def test_a_mask_of_the_size_is_the_same_and_a_copy():
    mask = drawn(2, 5, 4)
    out = fit_mask(mask, 5, 4)
    np.testing.assert_array_equal(out, mask)
    assert not np.shares_memory(out, mask)


def test_shrinking_keeps_the_masked_share_and_edges_stay_soft_and_in_range():
    mask = (drawn(3, 97, 61) > 0.7).astype(np.float32)
    for size in ((10, 10), (96, 60), (13, 61), (1, 1)):
        np.testing.assert_allclose(fit_mask(mask, *size).mean(), mask.mean(), atol=1e-5)
    edge = np.repeat([[0.0, 1.0]], 2, axis=0)
    assert fit_mask(edge, 2, 8)[0].tolist() == [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]
    assert fit_mask(np.ones((7, 11)), 300, 5).max() == 1


def cells(mask: np.ndarray, side: int) -> np.ndarray:
    height, width = (-(-x // side) for x in mask.shape)
    return np.array(
        [
            [mask[i : i + side, j : j + side].mean() for j in range(0, width * side, side)]
            for i in range(0, height * side, side)
        ]
    )


@pytest.mark.parametrize("shape", [(32, 48), (33, 47), (1, 1), (5, 100), (17, 3)])
@pytest.mark.parametrize("poolings", range(5))
def test_each_cell_of_a_layer_averages_the_pixels_it_has(shape, poolings):
    mask = drawn(4, *shape)
    expected = cells(mask, 2**poolings)
    for stack in (mask, np.stack([mask, 1 - mask])[:, None]):
        out = reduce_mask(stack, *expected.shape)
        assert out.dtype == np.float32 and out.shape == stack.shape[:-2] + expected.shape
    np.testing.assert_allclose(out[0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(out[1, 0], 1 - expected, atol=1e-6)


def test_weights_that_sum_to_1_do_so_in_every_layer():
    weights = style_masks([drawn(5, 37, 53) for _ in range(3)], 37, 53)
    for i in range(5):
        reduced = reduce_mask(weights, -(-37 >> i), -(-53 >> i))
        np.testing.assert_allclose(reduced.sum(axis=0), 1, atol=1e-6)


### Several styles


def test_style_weights_are_the_masks_divided_by_their_sum():
    masks = [drawn(6, 9, 9), drawn(7, 18, 27), drawn(8, 4, 3)]
    weights = style_masks(masks, 9, 9)
    assert weights.dtype == np.float32 and weights.shape == (3, 9, 9)
    fitted_masks = np.stack([fitted(mask, 9, 9) for mask in masks])
    np.testing.assert_allclose(weights, fitted_masks / fitted_masks.sum(axis=0), atol=1e-5)


def test_where_no_mask_applies_all_styles_weigh_the_same():
    left, faint = np.zeros((2, 3)), np.zeros((2, 3))
    left[:, 0], faint[:, 1] = 1, 1e-39  # a denormal number
    weights = style_masks([left, faint, np.zeros((2, 3))], 2, 3)
    np.testing.assert_allclose(weights[:, 0, 0], [1, 0, 0])
    np.testing.assert_allclose(weights[:, 0, 1], 1 / 3)
    np.testing.assert_allclose(weights[:, 0, 2], 1 / 3)


def test_weights_sum_to_1_however_faint_the_masks_are():
    masks = [drawn(9, 50, 50) * 10.0**-i for i in range(0, 30, 10)]
    for some in (masks, masks[1:], masks[2:]):
        np.testing.assert_allclose(style_masks(some, 70, 20).sum(axis=0), 1, atol=1e-6)


### The content


def test_the_content_shows_where_the_mask_is_1_and_mixes_at_soft_edges():
    stylized, content = drawn(10, 4, 5, 3), drawn(11, 4, 5, 3)
    mask = drawn(12, 4, 5)
    mask[0], mask[1] = 1, 0
    out = keep_content(stylized, content, mask)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[0], content[0])
    np.testing.assert_array_equal(out[1], stylized[1])
    for i in range(2, 4):
        for j in range(5):
            m = float(mask[i, j])
            np.testing.assert_allclose(
                out[i, j], m * content[i, j] + (1 - m) * stylized[i, j], atol=1e-6
            )


def test_one_mask_serves_a_batch_and_each_picture_may_have_its_own():
    stylized, content = drawn(13, 2, 4, 5, 3), drawn(14, 2, 4, 5, 3)
    masks = drawn(15, 2, 4, 5)
    for mask, own in ((masks, masks), (masks[0], masks[[0, 0]])):
        out = keep_content(stylized, content, mask)
        for i in range(2):
            np.testing.assert_array_equal(out[i], keep_content(stylized[i], content[i], own[i]))


### Refusals


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros(4), r"has shape \(4,\); expected \[height, width\]"),
        (np.zeros((0, 4)), r"has shape \(0, 4\)"),
        (np.zeros((4, 4, 3)), r"has shape \(4, 4, 3\)"),
        (np.uint8([[0, 255]]), r"ranges from 0 to 255; expected values in \[0, 1\]"),
        (np.array([[-0.1, 1]]), "ranges from -0.1 to 1"),
        (np.array([[np.nan, 1]]), "ranges from nan to nan"),
        (np.array([["a"]]), "is of <U1"),
    ],
)
def test_what_is_no_mask_is_refused(mask, message):
    with pytest.raises(UserError, match=f"mask {message}"):
        fit_mask(mask, 4, 4)
    if mask.dtype != np.uint8 and mask.shape != (4, 4, 3):
        with pytest.raises(UserError, match=f"mask {message}"):
            as_mask(mask)
    with pytest.raises(UserError, match=f"The 2. of 2 masks: mask {message}"):
        style_masks([np.ones((4, 4)), mask], 4, 4)
    with pytest.raises(UserError, match="mask "):
        keep_content(np.zeros((4, 4, 3)), np.zeros((4, 4, 3)), mask)
    with pytest.raises(UserError, match="mask "):
        reduce_mask(mask, 3, 3)


def test_truth_values_are_a_mask():
    assert fit_mask(np.array([[True, False]]), 1, 2).tolist() == [[1, 0]]


def test_no_masks_and_sizes_that_do_not_belong_together_are_refused():
    with pytest.raises(UserError, match="There are no masks"):
        style_masks([], 4, 4)
    picture = np.zeros((4, 5, 3), np.float32)
    with pytest.raises(UserError, match=r"fit it first with `fit_mask\(mask, 4, 5\)`"):
        keep_content(picture, picture, np.zeros((5, 4)))
    with pytest.raises(UserError, match=r"shape \(4, 5, 3\) and content \(4, 4, 3\)"):
        keep_content(picture, picture[:, :4], np.zeros((4, 5)))
    with pytest.raises(UserError, match="A mask of 10x12 does not reduce to 4x6"):
        reduce_mask(np.zeros((10, 12)), 4, 6)
