"""Channel statistics."""

import jax.numpy as jnp
import numpy as np
import pytest

from stya2k_jax.network.normalization import mean_and_std, normalize


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 2, 4), (3, 9, 1, 1)])
def test_statistics_are_numpys_with_the_unbiased_variance(shape):
    x = np.random.default_rng(0).normal(3, 2, shape)
    mean, std = mean_and_std(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(mean, x.mean((1, 2), keepdims=True), rtol=1e-5)
    expected = np.sqrt(x.var((1, 2), keepdims=True, ddof=1) + 1e-5)
    np.testing.assert_allclose(std, expected, rtol=1e-5)


def test_one_point_has_no_variance():
    x = jnp.full((1, 1, 1, 2), 7.0)
    np.testing.assert_allclose(mean_and_std(x)[1], np.sqrt(1e-5), rtol=1e-6)
    np.testing.assert_array_equal(normalize(x), np.zeros((1, 1, 1, 2)))


def test_normalizing_ignores_scale_and_shift_of_a_channel():
    x = np.random.default_rng(1).normal(size=(2, 6, 5, 3)).astype(np.float32)
    moved = x * np.array([2.0, 30.0, 0.5], np.float32) + np.array([1.0, -4.0, 9.0], np.float32)
    np.testing.assert_allclose(normalize(moved), normalize(x), atol=2e-4)


def test_statistics_of_bfloat16_are_taken_in_float32():
    x = jnp.asarray(np.random.default_rng(2).normal(100, 1, (1, 64, 64, 1)), jnp.bfloat16)
    mean, std = mean_and_std(x)
    assert mean.dtype == std.dtype == jnp.float32
    np.testing.assert_allclose(mean, np.asarray(x, np.float64).mean(), rtol=1e-6)
