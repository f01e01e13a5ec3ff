"""Cutting feature maps into the blocks in which all-to-key attention works, and joining them."""

import jax
import jax.numpy as jnp
import numpy as np


def grid_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """Returns how many `size` x `size` blocks cover a map: rows and columns of blocks."""
    return -(-height // size), -(-width // size)


def pad_to_blocks(x: jax.Array, size: int) -> jax.Array:
    """Adds zeros at the bottom and right of `[b, H, W, c]` up to whole blocks."""
    rows, columns = grid_shape(x.shape[1], x.shape[2], size)
    return jnp.pad(
        x, ((0, 0), (0, rows * size - x.shape[1]), (0, columns * size - x.shape[2]), (0, 0))
    )


def real_points(height: int, width: int, size: int) -> np.ndarray | None:
    """Tells which points of the padded blocks lie in the map.

    Returns:
      Booleans `[n, r]`, True inside an H x W map; None where the map is whole blocks already.
    """
    rows, columns = grid_shape(height, width, size)
    if (rows * size, columns * size) == (height, width):
        return None
    inside = np.zeros((rows * size, columns * size), bool)
    inside[:height, :width] = True
    return inside.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size * size)


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
