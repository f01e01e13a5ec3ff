"""The borders of exported programs are those that the model computes."""

import jax
import numpy as np
import pytest

from stya2k_jax.network.convolution import pad_reflect, portable_form
from stya2k_jax.network.picking import pick_last, pick_reflected
from stya2k_jax.network.pooling import max_pool
from stya2k_jax.network.sizes import Extent

SHAPE = (1, 8, 12, 3)


@pytest.mark.parametrize("size", [(8, 12), (5, 7), (2, 11), (8, 2)])
def test_the_real_part_is_bordered_by_its_reflection_whatever_the_padding(size):
    height, width = size
    x = np.array(jax.random.normal(jax.random.key(0), SHAPE))
    x[:, height:], x[:, :, width:] = np.nan, np.nan
    picked = np.asarray(pick_reflected(x, Extent(*size)))
    assert picked.shape == (1, 10, 14, 3)
    expected = np.pad(x[:, :height, :width], ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(picked[:, : height + 2, : width + 2], expected)
    with portable_form():
        np.testing.assert_array_equal(pad_reflect(x, Extent(*size)), picked)


def test_a_side_of_one_point_repeats_it():
    x = np.array(jax.random.normal(jax.random.key(0), SHAPE))
    picked = np.asarray(pick_reflected(x, Extent(1, 1)))[:, :3, :3]
    np.testing.assert_array_equal(picked, np.broadcast_to(x[:, :1, :1], picked.shape))


@pytest.mark.parametrize("size", [(8, 12), (5, 7), (1, 1)])
def test_the_padding_holds_the_last_real_points_and_pools_alike(size):
    height, width = size
    x = np.array(jax.random.normal(jax.random.key(0), SHAPE))
    real = x[:, :height, :width]
    missing = ((0, 0), (0, 8 - height), (0, 12 - width), (0, 0))
    picked = pick_last(x, Extent(*size))
    np.testing.assert_array_equal(picked, np.pad(real, missing, mode="edge"))
    half = Extent(*size).halved()
    with portable_form():
        pooled = np.asarray(max_pool(x, Extent(*size)))
    np.testing.assert_array_equal(pooled[:, : half.height, : half.width], max_pool(real))
