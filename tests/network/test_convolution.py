"""The fast forms of a convolution equal its plain meaning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stya2k_jax.network import convolution, pooling
from stya2k_jax.network.layers import Conv3x3
from stya2k_jax.network.sizes import Extent

SIDES = st.integers(1, 9)

# One program for each size, not one for each operation.
conv3x3 = jax.jit(convolution.conv3x3)
upsample_conv3x3 = jax.jit(convolution.upsample_conv3x3, static_argnums=(3, 4))
max_pool, avg_pool = jax.jit(pooling.max_pool), jax.jit(pooling.avg_pool)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def reflected_conv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolves point by point, in float64."""
    b, height, width, _ = x.shape

    def reflect(i, length):
        return 0 if length == 1 else 1 if i < 0 else length - 2 if i >= length else i

    out = np.zeros((b, height, width, kernel.shape[3])) + bias
    for i, j, y, z in np.ndindex(3, 3, height, width):
        point = x[:, reflect(y + i - 1, height), reflect(z + j - 1, width)]
        out[:, y, z] += point.astype(np.float64) @ kernel[i, j]
    return out


@settings(max_examples=25, deadline=None)
@given(height=SIDES, width=SIDES)
def test_a_convolution_reflects_its_border_at_any_size(height, width):
    x, kernel, bias = normal(0, 2, height, width, 3), normal(1, 3, 3, 3, 4), normal(2, 4)
    out = conv3x3(x, kernel, bias)
    np.testing.assert_allclose(out, reflected_conv(x, kernel, bias), rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(height=SIDES, width=SIDES)
def test_convolving_a_doubled_map_is_upsampling_then_convolving_at_any_size(height, width):
    x = normal(0, 2, -(-height // 2), -(-width // 2), 3)
    kernel, bias = normal(1, 3, 3, 3, 4), normal(2, 4)
    doubled = x.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    out = upsample_conv3x3(x, kernel, bias, height, width)
    np.testing.assert_allclose(out, reflected_conv(doubled, kernel, bias), rtol=1e-5, atol=1e-5)


def test_a_map_doubles_to_its_size_only():
    x = jnp.zeros((1, 4, 4, 3))
    assert convolution.upsample(x, 7, 8).shape == (1, 7, 8, 3)
    with pytest.raises(ValueError, match="4x4 does not double to 9x8"):
        convolution.upsample(x, 9, 8)


@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_the_form_for_the_cpu_and_the_form_for_accelerators_agree(monkeypatch, size):
    x = jnp.asarray(normal(0, 1, -(-size[0] // 2), -(-size[1] // 2), 3))
    kernel, bias = jnp.asarray(normal(1, 3, 3, 3, 4)), jnp.asarray(normal(2, 4))
    here = convolution.upsample_conv3x3(x, kernel, bias, *size)
    monkeypatch.setattr(convolution, "on_cpu", lambda: False)
    there = convolution.upsample_conv3x3(x, kernel, bias, *size)
    np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("extent", [None, (7, 8), (5, 6), (2, 2)])
@pytest.mark.parametrize("relu", [False, True])
def test_a_large_map_on_an_accelerator_reflects_its_border(monkeypatch, extent, relu):
    monkeypatch.setattr(convolution, "on_cpu", lambda: False)
    monkeypatch.setattr(convolution, "_NUMBERS_TO_OVERWRITE", 1)
    x, kernel, bias = normal(0, 2, 7, 8, 3), normal(1, 3, 3, 3, 4), normal(2, 4)
    height, width = extent or (7, 8)
    expected = reflected_conv(x[:, :height, :width], kernel, bias)
    real = extent and Extent(*map(jnp.int32, extent))
    out = jax.jit(convolution.conv3x3, static_argnames="relu")(x, kernel, bias, real, relu=relu)
    expected = np.maximum(expected, 0) if relu else expected
    np.testing.assert_allclose(out[:, :height, :width], expected, rtol=1e-5, atol=1e-5)


def test_a_map_beside_a_doubled_one_is_convolved_as_if_concatenated():
    from flax import nnx

    conv = Conv3x3(5, 4, kernel_init=jax.nn.initializers.normal(1), rngs=nnx.Rngs(0))
    x, skip = jnp.asarray(normal(0, 1, 3, 4, 2)), jnp.asarray(normal(1, 1, 6, 7, 3))
    doubled = convolution.upsample(x, 6, 7)
    expected = conv(jnp.concatenate([doubled, skip], axis=-1))
    np.testing.assert_allclose(conv.after_upsample_beside(x, skip), expected, atol=1e-5)


@pytest.mark.parametrize(("pool", "take"), [(max_pool, np.max), (avg_pool, np.mean)])
@settings(max_examples=25, deadline=None)
@given(height=SIDES, width=SIDES)
def test_a_partial_window_pools_what_it_has(pool, take, height, width):
    x = normal(0, 1, height, width, 2)
    out = pool(x)
    assert out.shape == (1, -(-height // 2), -(-width // 2), 2)
    for i, j in np.ndindex(*out.shape[1:3]):
        window = x[0, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        np.testing.assert_allclose(out[0, i, j], take(window, axis=(0, 1)), rtol=1e-6)


def test_the_gradient_of_a_maximum_goes_to_the_first_of_equals():
    gradient = jax.grad(lambda x: max_pool(x).sum())(jnp.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 0], [0, 0]])
