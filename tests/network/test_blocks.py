"""Cutting maps into blocks and joining them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stya2k_jax.network.blocks import from_blocks, grid_shape, pad_to_blocks, real_points, to_blocks


@pytest.mark.parametrize(
    ("shape", "size", "n"),
    [((2, 8, 8, 3), 4, 4), ((1, 4, 12, 5), 4, 3), ((1, 6, 6, 1), 6, 1)],
)
def test_blocks_are_the_squares_of_the_map_read_row_by_row(shape, size, n):
    x = jax.random.normal(jax.random.key(0), shape)  # b H W c
    blocks = to_blocks(x, size)  # b n r c
    assert blocks.shape == (shape[0], n, size**2, shape[3])
    for i in range(n):
        top, left = size * (i // (shape[2] // size)), size * (i % (shape[2] // size))
        square = x[:, top : top + size, left : left + size]
        np.testing.assert_array_equal(blocks[:, i], square.reshape(blocks[:, i].shape))


def test_a_map_that_does_not_divide_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="10x8 does not divide into 4x4 blocks; pad it first"):
        to_blocks(jnp.zeros((1, 10, 8, 3)), size=4)


@partial(jax.jit, static_argnums=1)
def to_padded_blocks(x, size):
    return to_blocks(pad_to_blocks(x, size), size)


joined = jax.jit(from_blocks, static_argnums=(1, 2, 3))


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 19), width=st.integers(1, 19), size=st.integers(1, 8))
def test_joining_undoes_padding_and_cutting_at_any_size(height, width, size):
    x = np.arange(2 * height * width * 3, dtype=np.float32).reshape(2, height, width, 3)
    blocks = to_padded_blocks(x, size)
    np.testing.assert_array_equal(joined(blocks, height, width, size), x)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 19), width=st.integers(1, 19), size=st.integers(1, 8))
def test_real_points_are_those_that_lie_in_the_map(height, width, size):
    real = real_points(height, width, size)
    rows, columns = grid_shape(height, width, size)
    if real is None:
        assert (rows * size, columns * size) == (height, width)
        return
    for block in range(rows * columns):
        for point in range(size * size):
            y = block // columns * size + point // size
            x = block % columns * size + point % size
            assert real[block, point] == (y < height and x < width)


def test_joining_refuses_blocks_of_another_map():
    blocks = jnp.zeros((1, 6, 16, 3))
    with pytest.raises(ValueError, match="6 blocks of 16 points are not the 4 blocks of 4x4"):
        from_blocks(blocks, 8, 8, 4)
