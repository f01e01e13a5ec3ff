"""Pictures as users hold them, to float arrays and back: paths, PIL images, arrays."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.pictures.reading import PictureError, read_picture, to_float, to_rgb, to_uint8

Picture = str | os.PathLike | Image.Image | np.ndarray | jax.Array


def as_pixels(picture: Picture, name: str) -> np.ndarray:
    """Returns a picture of any kind as float32 `[b, H, W, 3]` in [0, 1].

    Raises:
      PictureError: a file cannot be read.
      UserError: an array has another shape, type or range.
    """
    if isinstance(picture, str | os.PathLike):
        return to_float(read_picture(picture))[None]
    if isinstance(picture, Image.Image):
        return to_float(_rgb(picture, name))[None]
    if not isinstance(picture, np.ndarray | jax.Array):
        raise UserError(
            f"{name} is a {type(picture).__name__}; expected a path, a PIL image or an array."
        )
    array = np.asarray(picture)
    if array.ndim not in (3, 4) or array.shape[-1] != 3 or not array.size:
        raise UserError(
            f"{name} has shape {array.shape}; expected [height, width, 3] or "
            "[batch, height, width, 3]."
        )
    if array.dtype != np.uint8 and not jnp.issubdtype(array.dtype, jnp.floating):
        raise UserError(f"{name} is of {array.dtype}; expected uint8, or floats in [0, 1].")
    pixels = array.astype(np.float32) / (255 if array.dtype == np.uint8 else 1)
    low, high = pixels.min(), pixels.max()
    if not (-0.5 <= low and high <= 1.5):  # resizing may overshoot a little
        raise UserError(f"{name} ranges from {low:g} to {high:g}; expected floats in [0, 1].")
    return pixels.reshape(-1, *array.shape[-3:])


def as_kind_of(content: Picture, painted: np.ndarray) -> Any:
    """Returns painted pictures `[b, H, W, 3]` as what the content was.

    Returns:
      A PIL image for a path or a PIL image; for an array one of its shape and dtype, floats clipped
      to [0, 1].
    """
    if isinstance(content, str | os.PathLike | Image.Image):
        return Image.fromarray(to_uint8(painted[0]))
    shape, dtype = content.shape, np.dtype(content.dtype)
    if dtype == np.uint8:
        return to_uint8(painted).reshape(shape)
    return np.clip(painted, 0, 1).astype(dtype).reshape(shape)


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if 0 in image.size:
        raise UserError(f"{name} has shape {image.size[::-1]}; expected at least one pixel.")
    try:
        image.load()  # a file that was opened may not be read yet
        return to_rgb(image)
    except UserError:
        raise
    except Exception as error:  # of Pillow's decoders, which raise whatever they run into
        where = getattr(image, "filename", "")
        raise PictureError(f"{name} cannot be read{where and f', {where}'}: {error}.") from error
