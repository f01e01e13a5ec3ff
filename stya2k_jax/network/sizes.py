"""Sizes of pictures and taps, and the real size of a map that is padded to a larger shape.

Programs are compiled for shapes. A picture that lies in the top left corner of a larger array, with
its real size as numbers that the program is given, needs no program of its own. The
padding never affects a real point.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from stya2k_jax.network.architecture import TAPS

Size = tuple[int, int]  # height and width, in pixels or points
Length = int | jax.Array  # an int32 scalar where it is known only when the program runs


class Extent(NamedTuple):
    """How much of an array `[b, H, W, c]` is real: its first rows and columns.

    Traced lengths are at least 2, so that there is a point to reflect.
    """

    height: Length
    width: Length

    def halved(self) -> "Extent":
        """Returns the extent after pooling in ceil mode."""
        return Extent(-(-self.height // 2), -(-self.width // 2))

    def inside(self, height: int, width: int) -> jax.Array:
        """Returns booleans `[height, width]`, True at real points."""
        # Not `jnp.arange`, which the converter to ONNX does not take with symbolic sizes.
        rows, columns = (lax.broadcasted_iota(jnp.int32, (height, width), i) for i in (0, 1))
        return (rows < self.height) & (columns < self.width)


def size_of(shape: tuple[int, ...]) -> Size:
    """Returns height and width of the shape `[b, H, W, c]`."""
    _, height, width, _ = shape
    return height, width


def tap_sizes(size: Size) -> dict[str, Size]:
    """Returns the height and width of each tap's features for a picture of this size."""
    height, width = size
    return {tap: (-(-height // 2**i), -(-width // 2**i)) for i, tap in enumerate(TAPS)}


def extents_of_taps(extent: Extent) -> dict[str, Extent]:
    """Returns the real part of each tap's features, given that of the picture."""
    extents = {}
    for tap in TAPS:
        extents[tap] = extent
        extent = extent.halved()
    return extents


def line(x: jax.Array, index: Length, axis: int) -> jax.Array:
    """Returns the row (axis 1) or column (axis 2) at an index from 0, as an axis of length 1."""
    return lax.dynamic_slice_in_dim(x, index, 1, axis, allow_negative_indices=False)


def with_line(x: jax.Array, value: jax.Array, index: Length, axis: int) -> jax.Array:
    """Replaces the row or column of x at an index; an index beyond the end means the last one."""
    return lax.dynamic_update_slice_in_dim(x, value, index, axis, allow_negative_indices=False)


def repeat_last(x: jax.Array, extent: Extent) -> jax.Array:
    """Repeats the last real row and column once in the padding, where there is any."""
    for axis, length in zip((1, 2), extent, strict=True):
        x = with_line(x, line(x, length - 1, axis), length, axis)
    return x
