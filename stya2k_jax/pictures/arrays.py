"""Pictures as users hold them, to float arrays and back: paths, PIL images, arrays."""

import os
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.pictures.reading import Layers, layers_of, read_layers

Picture = str | os.PathLike | Image.Image | np.ndarray | jax.Array


def as_pixels(picture: Picture, name: str) -> np.ndarray:
    """Returns a picture of any kind as float32 `[b, H, W, 3]` in [0, 1].

    Raises:
      PictureError: a file cannot be read.
      UserError: an array has another shape, type or range.
    """
    return as_layers(picture, name)[0]


def as_layers(picture: Picture, name: str) -> tuple[np.ndarray, Image.Image | None]:
    """Returns `as_pixels` and the transparency, mode L; None for arrays and where all is opaque."""
    if isinstance(picture, str | os.PathLike):
        rgb, alpha = read_layers(picture)
        return to_float(rgb)[None], alpha
    if isinstance(picture, Image.Image):
        rgb, alpha = _layers(picture, name)
        return to_float(rgb)[None], alpha
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
    pixels = to_float(array) if array.dtype == np.uint8 else array.astype(np.float32)
    return _in_range(pixels, name).reshape(-1, *array.shape[-3:]), None


def as_kind_of(content: Picture, painted: np.ndarray, alpha: Image.Image | None = None) -> Any:
    """Returns painted pictures `[b, H, W, 3]` as what the content was.

    Args:
      content: what was painted.
      painted: floats.
      alpha: of the content, which a PIL image keeps.

    Returns:
      A PIL image for a path or a PIL image; for an array one of its shape and dtype, floats clipped
      to [0, 1].
    """
    if isinstance(content, str | os.PathLike | Image.Image):
        image = Image.fromarray(to_uint8(painted[0]))
        if alpha is not None:
            image.putalpha(alpha)
        return image
    shape, dtype = content.shape, np.dtype(content.dtype)
    if dtype == np.uint8:
        return to_uint8(painted).reshape(shape)
    return np.clip(painted, 0, 1).astype(dtype).reshape(shape)


def _layers(image: Image.Image, name: str) -> Layers:
    if 0 in image.size:
        raise UserError(f"{name} has shape {image.size[::-1]}; expected at least one pixel.")
    try:
        image.load()  # a file that was opened may not be read yet
        return layers_of(image)
    except UserError:
        raise
    except Exception as error:  # of Pillow's decoders, which raise whatever they run into
        where = getattr(image, "filename", "")
        raise PictureError(f"{name} cannot be read{where and f', {where}'}: {error}.") from error


def checked_range(picture: np.ndarray, name: str) -> np.ndarray:
    """Returns a picture as `float_pixels` does, and refuses a range far beyond [0, 1]."""
    return _in_range(float_pixels(picture, name), name)


def to_float(image: Image.Image | np.ndarray) -> np.ndarray:
    """Returns an RGB picture, or an array of uint8, as float32 `[H, W, 3]` in [0, 1]."""
    return np.asarray(image, np.float32) / 255


def float_pixels(picture: np.ndarray, name: str) -> np.ndarray:
    """Returns an array of floats `[..., H, W, 3]` as float32, which it may be already.

    Raises:
      UserError: another shape, no floats, or NaN and infinity; speaks of it as `name`.
    """
    array = np.asarray(picture)
    if array.ndim < 3 or array.shape[-1] != 3 or not array.size:
        raise UserError(f"{name} has shape {array.shape}; expected [..., height, width, 3].")
    if array.dtype.kind in "biucOSU":
        raise UserError(f"{name} is of {array.dtype}; expected floats in [0, 1].")
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise UserError(f"{name} holds NaN or infinity; expected floats in [0, 1].")
    return array


def to_uint8(array: np.ndarray) -> np.ndarray:
    """Clips to [0, 1] and rounds to 8 bits (the released code truncates instead)."""
    array = np.asarray(array)
    if array.dtype != np.float64:  # float16 and bfloat16 are too coarse for 255 steps
        array = array.astype(np.float32)
    return np.round(np.clip(array, 0, 1) * 255).astype(np.uint8)


def _in_range(pixels: np.ndarray, name: str) -> np.ndarray:
    low, high = pixels.min(), pixels.max()
    if not (-0.5 <= low and high <= 1.5):  # resizing may overshoot a little; NaN is refused, too
        raise UserError(f"{name} ranges from {low:g} to {high:g}; expected floats in [0, 1].")
    return pixels


def write_png(path: str | os.PathLike, array: np.ndarray, alpha: Image.Image | None = None) -> None:
    """Writes uint8 `[H, W, 3]`, or floats in [0, 1], as PNG: the whole file or none.

    `alpha`, mode L, becomes the transparency.
    """
    image = Image.fromarray(array if array.dtype == np.uint8 else to_uint8(array))
    if alpha is not None:
        image.putalpha(alpha)
    write_whole(path, lambda name: image.save(name, format="PNG"))


def grid(rows: Iterable[Iterable[np.ndarray]], gap_px: int = 2) -> np.ndarray:
    """Lays pictures `[H, W, 3]` of one size, floats in [0, 1], out in rows on white."""
    padded = [np.concatenate([_with_gap(cell, gap_px) for cell in row], axis=1) for row in rows]
    return np.concatenate(padded, axis=0)[gap_px:, gap_px:]


def _with_gap(cell: np.ndarray, gap_px: int) -> np.ndarray:
    widths = ((gap_px, 0), (gap_px, 0), (0, 0))
    return np.pad(np.clip(cell, 0, 1), widths, constant_values=1.0)
