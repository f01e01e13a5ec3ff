"""The CPU's forms of a convolution, and their gradients, equal XLA's own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from stya2k_jax.network import convolution, cpu_convolution

SIDES = st.integers(1, 9)


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def plain(x: jax.Array, kernel: jax.Array, padding: str) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=layout)


def assert_equal_with_gradients(ours, x, kernel, padding):
    gradient = normal(3, *jax.eval_shape(ours, x, kernel).shape)

    @partial(jax.jit, static_argnums=0)
    def results(convolve, *inputs):
        out, transpose = jax.vjp(convolve, *inputs)
        return out, *transpose(gradient)

    expected = results(lambda *inputs: plain(*inputs, padding), x, kernel)
    for a, b in zip(results(ours, x, kernel), expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(jnp.abs(b).max() + 1))


@settings(max_examples=8, deadline=None)
@given(height=SIDES, width=SIDES)
def test_winograd_is_a_convolution_without_padding_at_any_size(height, width):
    x, kernel = normal(0, 2, height + 2, width + 2, 3), normal(1, 3, 3, 3, 4)
    assert_equal_with_gradients(cpu_convolution.winograd, x, kernel, "VALID")


@pytest.mark.parametrize("side", [2, 3])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (70, 40)])
@pytest.mark.parametrize("channels", [(3, 4), (64, 65)])  # XLA's gradient, and ours
def test_same_is_a_zero_padded_convolution(side, size, channels):
    x, kernel = normal(0, 2, *size, channels[0]), normal(1, side, side, *channels)
    assert_equal_with_gradients(cpu_convolution.same, x, kernel, "SAME")


@pytest.mark.parametrize("size", [(16, 16), (15, 19)])
def test_a_wide_convolution_reflects_its_border(monkeypatch, size):
    x, kernel, bias = normal(0, 1, *size, 256), normal(1, 3, 3, 256, 256), normal(2, 256)
    assert cpu_convolution.winograd_pays(x, kernel)
    here = convolution.conv3x3(x, kernel, bias)
    monkeypatch.setattr(convolution, "on_cpu", lambda: False)
    there = convolution.conv3x3(x, kernel, bias)
    np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5 * float(jnp.abs(there).max()))


def test_winograd_is_for_wide_float32_maps_of_bounded_size():
    kernel = jnp.zeros((3, 3, 256, 256))

    def pays(*shape, dtype=jnp.float32):
        return cpu_convolution.winograd_pays(jax.ShapeDtypeStruct(shape, dtype), kernel)

    assert pays(1, 16, 16, 256)
    assert not pays(1, 8, 8, 256)
    assert not pays(1, 16, 16, 128)
    assert not pays(1, 1024, 1024, 256)
    assert not pays(1, 16, 16, 256, dtype=jnp.bfloat16)
