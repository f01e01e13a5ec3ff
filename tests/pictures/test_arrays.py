"""Pictures and masks of all kinds become the same numbers, and what is neither is refused."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.pictures.arrays import as_kind_of, as_pixels
from stya2k_jax.pictures.masks import as_mask
from tests.support.picture_files import saved

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = np.random.default_rng(1).integers(0, 256, (5, 7), dtype=np.uint8)


def cut_off(path: Path, pixels: np.ndarray) -> Path:
    """Writes the first half of a picture's file."""
    data = saved(path, pixels).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


### Pictures


def test_every_kind_of_picture_becomes_one_batch_of_floats(tmp_path):
    path = saved(tmp_path / "p.png", PIXELS)
    expected = PIXELS[None].astype(np.float64) / 255
    for picture in (
        *(path, str(path), Image.fromarray(PIXELS), PIXELS, PIXELS[None], jnp.asarray(PIXELS)),
        *(expected, expected[0], expected.astype(np.float32), jnp.asarray(expected)),
    ):
        pixels = as_pixels(picture, "content")
        assert isinstance(pixels, np.ndarray) and pixels.dtype == np.float32
        assert pixels.shape == (1, 5, 7, 3)
        np.testing.assert_allclose(pixels, expected, atol=1e-7)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16])
def test_short_floats_are_as_good_as_their_digits(dtype):
    pixels = as_pixels((PIXELS / 255).astype(dtype), "content")
    np.testing.assert_allclose(pixels[0], PIXELS / 255, atol=4e-3)


def test_a_batch_stays_a_batch():
    batch = np.stack([PIXELS, PIXELS[::-1]])
    np.testing.assert_allclose(as_pixels(batch, "content") * 255, batch, atol=1e-4)


@pytest.mark.parametrize("order", ["F", "strided", "swapped", "read-only"])
def test_arrays_in_any_memory_layout_are_read_as_they_are(order):
    array = PIXELS / np.float32(255)
    given = {
        "F": np.asfortranarray(array),
        "strided": array.repeat(2, axis=1)[:, ::2],
        "swapped": array.astype(array.dtype.newbyteorder()),
        "read-only": array.copy(),
    }[order]
    given.flags.writeable = order != "read-only"
    np.testing.assert_array_equal(as_pixels(given, "content")[0], array)


def test_what_is_given_is_never_written_to():
    array = PIXELS[None] / np.float32(255)
    assert not np.shares_memory(as_pixels(array, "content"), array)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (None, "style is a NoneType; expected a path, a PIL image or an array"),
        (3, "style is a int"),
        (b"picture.png", "style is a bytes"),
        ({}, "style is a dict"),
        (PIXELS.tolist(), "style is a list"),
        (PIXELS[:, :, 0], r"style has shape \(5, 7\); expected \[height, width, 3\]"),
        (PIXELS[..., :2], r"style has shape \(5, 7, 2\)"),
        (PIXELS[None, None], r"style has shape \(1, 1, 5, 7, 3\)"),
        (PIXELS[:0], r"style has shape \(0, 7, 3\)"),
        (PIXELS[:, :0], r"style has shape \(5, 0, 3\)"),
        (PIXELS[None][:0], r"style has shape \(0, 5, 7, 3\)"),
        (np.float32(0.5), "style is a float32|style has shape"),
        (PIXELS.astype(np.int32), "style is of int32; expected uint8, or floats in"),
        (PIXELS > 9, "style is of bool"),
        (PIXELS.astype(complex), "style is of complex128"),
        (PIXELS.astype(object), "style is of object"),
        (PIXELS.astype(str), "style is of <U"),
        (PIXELS.astype(np.float32), "style ranges from 0 to 248; expected floats in"),
        (PIXELS / 255 - 0.6, "style ranges from -0.6 to 0.37"),
        (PIXELS / 255 + np.inf, "style ranges from inf to inf"),
        (PIXELS / 255 + np.nan, "style ranges from nan to nan"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(picture, message):
    with pytest.raises(UserError, match=message):
        as_pixels(picture, "style")


def test_one_number_that_is_none_is_enough_to_refuse_a_picture():
    for value in (np.nan, np.inf, -np.inf):
        array = PIXELS / np.float32(255)
        array[2, 3, 1] = value
        with pytest.raises(UserError, match="content ranges from"):
            as_pixels(array, "content")


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(PictureError, match="none.png does not exist"):
        as_pixels(tmp_path / "none.png", "content")
    with pytest.raises(PictureError, match=str(tmp_path)):
        as_pixels(tmp_path, "content")
    with pytest.raises(PictureError, match="half.png"):
        as_pixels(cut_off(tmp_path / "half.png", PIXELS.repeat(20, axis=0)), "content")


def test_an_image_without_pixels_is_refused():
    for size in ((0, 5), (5, 0), (0, 0)):
        with pytest.raises(UserError, match="content has shape"):
            as_pixels(Image.new("RGB", size), "content")


def test_an_image_that_was_opened_but_cannot_be_read_is_refused(tmp_path):
    path = cut_off(tmp_path / "half.png", PIXELS.repeat(20, axis=0))
    with Image.open(path) as image, pytest.raises(UserError, match="content"):
        as_pixels(image, "content")


### Back to the content's kind


def test_a_path_or_an_image_becomes_an_image(tmp_path):
    painted = PIXELS[None] / np.float32(255) + np.float32(0.4 / 255)
    for kind in (tmp_path / "c.png", "c.png", Image.new("L", (9, 9))):
        image = as_kind_of(kind, painted)
        assert isinstance(image, Image.Image) and image.mode == "RGB" and image.size == (7, 5)
        np.testing.assert_array_equal(np.asarray(image), PIXELS)  # rounded, not cut off


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, jnp.bfloat16])
@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 5, 7, 3)])
def test_an_array_becomes_one_of_its_shape_and_type(dtype, shape):
    painted = np.linspace(-1, 2, 105, dtype=np.float32).reshape(1, 5, 7, 3)
    out = as_kind_of(np.zeros(shape, dtype), painted)
    assert out.shape == shape and out.dtype == dtype
    expected = np.clip(painted, 0, 1) * (255 if dtype == np.uint8 else 1)
    atol = {np.uint8: 0.5001, np.float16: 1e-3, jnp.bfloat16: 4e-3}.get(dtype, 1e-6)
    np.testing.assert_allclose(out.reshape(painted.shape).astype(float), expected, atol=atol)


def test_8_bits_come_back_unchanged():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    np.testing.assert_array_equal(as_kind_of(every, as_pixels(every, "content")), every)


def test_short_floats_are_masks_as_they_are_pictures():
    mask = (GREY / 255).astype(jnp.bfloat16)
    np.testing.assert_allclose(as_mask(mask), GREY / 255, atol=4e-3)
    np.testing.assert_allclose(as_mask(jnp.asarray(mask)), GREY / 255, atol=4e-3)
