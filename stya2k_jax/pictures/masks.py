"""Masks: where each of several styles applies, and where the content stays.

A mask is float32 `[H, W]` in [0, 1]; values between 0 and 1 are soft edges.
"""

import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from PIL import Image

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.pictures.arrays import float_pixels
from stya2k_jax.pictures.reading import layers_of, read_picture

_GREY = np.array((0.299, 0.587, 0.114), np.float32)  # ITU-R BT.601, by which Pillow converts too


def as_mask(mask: str | os.PathLike | Image.Image | np.ndarray | jax.Array) -> np.ndarray:
    """Returns a path, a PIL image or an array as a mask `[H, W]`.

    Files and images as `read_mask` says; an array is `[H, W]`, uint8 (255 is 1), truth values or
    numbers in [0, 1], or such an RGB picture `[H, W, 3]`, whose grey value counts.

    Raises:
      PictureError: a file cannot be read, or is nearly black.
      UserError: something is no mask.
    """
    if isinstance(mask, str | os.PathLike):
        return read_mask(mask)
    if isinstance(mask, Image.Image):
        return _grey_of(layers_of(mask, background=0, use_profile=False).rgb, "the mask")
    array = np.asarray(mask)
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / 255
    array = _checked(array, "mask")
    if array.ndim == 3 and array.shape[2] == 3:
        array = np.clip(array @ _GREY, 0, 1)
    if array.ndim != 2:
        raise UserError(f"mask has shape {array.shape}; expected [height, width].")
    return array


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture file as a mask `[H, W]`: white is 1, black is 0.

    A color counts by its grey value (0.299 R + 0.587 G + 0.114 B, of the stored sRGB values, no
    gamma undone), and what is transparent is 0: half transparent white is 0.5.

    Raises:
      PictureError: the file cannot be read, or its brightest value is 1 of 255, as where somebody
        has stored 0 and 1 for black and white.
    """
    return _grey_of(read_picture(path, background=0, use_profile=False), str(path))


def fit_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a mask to a picture's size: `[H, W]` to float32 `[height, width]`.

    Each axis that shrinks is averaged over the area that a new pixel covers; one that grows is
    interpolated linearly between the centres of pixels. So edges stay soft, and thin lines count
    by their share of a pixel.

    Raises:
      UserError: the mask is not `[H, W]` in [0, 1].
    """
    mask = _checked(mask, "mask")
    if mask.ndim != 2:
        raise UserError(f"mask has shape {mask.shape}; expected [height, width].")
    if mask.shape[0] != height:
        mask = _resizing(mask.shape[0], height) @ mask
    if mask.shape[1] != width:
        mask = (_resizing(mask.shape[1], width) @ mask.T).T
    return np.clip(mask, 0, 1, dtype=np.float32, order="C")


def style_masks(masks: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Makes the weights of k styles from k masks of any size: float32 `[k, height, width]`.

    The weights of a pixel sum to 1: the masks' values divided by their sum. Where all masks are 0,
    all styles weigh the same.

    Raises:
      UserError: no masks, or one that is not `[H, W]` in [0, 1]; names it by its number from 1.
    """
    if not len(masks):
        raise UserError("There are no masks; give one for each style.")
    weights = np.empty((len(masks), height, width), np.float32)
    for i, mask in enumerate(masks):
        try:
            weights[i] = fit_mask(mask, height, width)
        except UserError as error:
            raise UserError(f"The {i + 1}. of {len(masks)} masks: {error}") from None
    total = weights.sum(axis=0)
    nowhere = total < np.finfo(np.float32).tiny  # below it, divisions lose digits
    weights[:, nowhere], total[nowhere] = 1, len(masks)
    return np.divide(weights, total, out=weights)


def reduce_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Averages a mask over the cells of a feature layer: `[..., H, W]` to `[..., height, width]`.

    A layer below i poolings has ceil(H / 2^i) by ceil(W / 2^i) cells, each of 2^i by 2^i pixels; a
    last cell that reaches beyond the picture averages those that it has. Weights which sum to 1
    still do.

    Returns:
      float32.

    Raises:
      UserError: the mask is not in [0, 1], or no number of poolings leads to that size.
    """
    mask = _checked(mask, "mask")
    reduced = mask
    for axis, size in ((-2, height), (-1, width)):
        whole = mask.shape[axis]
        side = next((2**i for i in range(whole.bit_length() + 1) if -(-whole >> i) == size), None)
        if side is None:
            raise UserError(
                f"A mask of {mask.shape[-2]}x{mask.shape[-1]} does not reduce to {height}x{width}: "
                "halving it, rounded up, does not lead there. Fit it to the picture first."
            )
        starts = np.arange(0, whole, side)
        counts = np.minimum(starts + side, whole) - starts
        sums = np.add.reduceat(reduced, starts, axis=axis)
        reduced = sums / (counts[:, None] if axis == -2 else counts).astype(np.float32)
    return reduced


def keep_content(stylized: np.ndarray, content: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Puts the content back where the mask is 1: mask * content + (1 - mask) * stylized.

    Args:
      stylized: floats `[..., H, W, 3]`.
      content: the same, of the same shape.
      mask: `[H, W]`, or with the leading axes of the pictures.

    Returns:
      float32 of the pictures' shape; exactly the content where the mask is 1, exactly the stylized
      picture where it is 0.

    Raises:
      UserError: sizes that differ, a mask beyond [0, 1], or pictures that are not floats.
    """
    stylized, content = float_pixels(stylized, "stylized"), float_pixels(content, "content")
    mask = _checked(mask, "mask")
    if stylized.shape != content.shape:
        raise UserError(
            f"stylized has shape {stylized.shape} and content {content.shape}; they are mixed "
            "pixel by pixel. Resize one of them first."
        )
    if mask.shape not in (stylized.shape[-3:-1], stylized.shape[:-1]):
        raise UserError(
            f"mask has shape {mask.shape}, the pictures {stylized.shape}; fit it first with "
            f"`fit_mask(mask, {stylized.shape[-3]}, {stylized.shape[-2]})`."
        )
    mask = mask[..., None]
    return mask * content + (1 - mask) * stylized


def _grey_of(image: Image.Image, name: str) -> np.ndarray:
    grey = np.asarray(image.convert("L"))
    if grey.max(initial=0) == 1:
        raise PictureError(
            f"{name}: the brightest value of this mask is 1 of 255, which is nearly black; white "
            "(255) marks what a mask selects. Multiply it by 255."
        )
    return grey.astype(np.float32) / 255


def _checked(mask: np.ndarray, name: str) -> np.ndarray:
    """Returns a mask as float32, which it may be already."""
    mask = np.asarray(mask)
    if mask.ndim < 2 or not mask.size:
        raise UserError(f"{name} has shape {mask.shape}; expected [height, width].")
    if mask.dtype.kind in "cOSU":
        raise UserError(f"{name} is of {mask.dtype}; expected floats in [0, 1].")
    low, high = mask.min(), mask.max()
    if not (0 <= low and high <= 1):
        raise UserError(f"{name} ranges from {low:g} to {high:g}; expected values in [0, 1].")
    return mask.astype(np.float32, copy=False)


def _resizing(old: int, new: int) -> Any:
    """Returns the sparse matrix [new, old] that resizes an axis; its rows sum to 1."""
    from scipy.sparse import csr_array  # takes longer to import than the rest of the package

    rows = np.arange(new)[:, None]
    if new < old:  # pixel i covers what the old pixels from i * old / new on do
        first, end = rows * old, (rows + 1) * old  # in units of 1 / new of an old pixel
        columns = first // new + np.arange(-(-old // new) + 1)
        covered = np.minimum(end, (columns + 1) * new) - np.maximum(first, columns * new)
        weights = np.maximum(covered, 0) / old
    else:
        place = np.clip((rows + 0.5) * old / new - 0.5, 0, old - 1)
        columns = np.floor(place).astype(int) + np.arange(2)
        weights = 1 - np.abs(place - columns)
    weights, columns = weights.astype(np.float32), np.minimum(columns, old - 1)
    places = np.arange(new + 1) * columns.shape[1]
    return csr_array((weights.ravel(), columns.ravel(), places), shape=(new, old))
