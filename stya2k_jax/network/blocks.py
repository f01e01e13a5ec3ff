"""Cutting feature maps into the blocks in which all-to-key attention works, and joining them."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stya2k_jax.network.sizes import Extent, Length


def grid_shape(height: Length, width: Length, size: int) -> tuple[Any, Any]:
    """Returns how many `size` x `size` blocks cover a map, rows and columns, typed as its sides."""
    return -(-height // size), -(-width // size)


def pad_to_blocks(x: jax.Array, size: int) -> jax.Array:
    """Adds zeros at the bottom and right of `[b, H, W, c]` up to whole blocks."""
    rows, columns = grid_shape(x.shape[1], x.shape[2], size)
    return jnp.pad(
        x, ((0, 0), (0, rows * size - x.shape[1]), (0, columns * size - x.shape[2]), (0, 0))
    )


def real_points(
    height: int, width: int, size: int, extent: Extent | None = None
) -> np.ndarray | jax.Array | None:
    """Returns which points of the padded blocks lie in the map.

    Args:
      height: H of the map.
      width: W of the map.
      size: side of a block.
      extent: the part of the map that is real; None: all of it.

    Returns:
      Booleans `[n, r]`; None where the map is whole blocks already.
    """
    rows, columns = grid_shape(height, width, size)
    if extent is not None:
        inside: jax.Array | np.ndarray = extent.inside(rows * size, columns * size)
    elif (rows * size, columns * size) == (height, width):
        return None
    else:
        inside = np.zeros((rows * size, columns * size), bool)
        inside[:height, :width] = True
    return inside.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size * size)


def balanced_block_size(height: int, width: int, trained: int) -> int:
    """Picks the side of blocks for an H x W map of a style, so that attention stays affordable.

    For each content point, attention costs the number of style blocks plus the number of points in
    one block (Eq. 15). The two are equal at p^2 = sqrt(H W).

    Returns:
      The side p, `trained` times a power of two, whose p^2 is nearest to sqrt(H W), the smaller of
      two that are equally near.
    """
    points = math.sqrt(height * width)
    sides = [trained * 2**i for i in range(16)]
    return min(sides, key=lambda p: abs(p * p - points))


def to_blocks(x: jax.Array, size: int) -> jax.Array:
    """Cuts a map into `size` x `size` blocks, row by row: [b, H, W, c] -> [b, n, r, c].

    Raises:
      ValueError: the map does not divide into whole blocks.
    """
    b, height, width, c = x.shape
    if height % size or width % size:
        raise ValueError(
            f"to_blocks: a map of {height}x{width} does not divide into {size}x{size} blocks; "
            f"pad it first with `pad_to_blocks(x, {size})`."
        )
    x = x.reshape(b, height // size, size, width // size, size, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, -1, size * size, c)


def from_blocks(blocks: jax.Array, height: int, width: int, size: int) -> jax.Array:
    """Joins blocks [b, n, r, c] into the map [b, H, W, c] they were cut from, padding cropped."""
    rows, columns = grid_shape(height, width, size)
    b, n, r, c = blocks.shape
    if (n, r) != (rows * columns, size * size):
        raise ValueError(
            f"from_blocks: {n} blocks of {r} points are not the {rows * columns} blocks of "
            f"{size}x{size} that cover {height}x{width}; pass the height and width of the map "
            "that was cut."
        )
    x = blocks.reshape(b, rows, columns, size, size, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, rows * size, columns * size, c)[:, :height, :width]
