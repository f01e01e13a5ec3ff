"""Convolutions with weights: parameters in float32, computation in a chosen dtype."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from stya2k_jax.network import convolution
from stya2k_jax.network.sizes import Extent

Initializer = Callable[[jax.Array, tuple[int, ...], jnp.dtype], jax.Array]

# Every trained convolution starts so, as in the release.
release_init = jax.nn.initializers.normal(0.02)


def parameter(shape: tuple[int, ...], init: Initializer, rngs: nnx.Rngs | None) -> nnx.Param:
    """Makes a float32 parameter; without `rngs` only its shape, for numbers that are read later."""
    if rngs is None:
        return nnx.Param(jax.ShapeDtypeStruct(shape, jnp.float32))
    return nnx.Param(init(rngs.params(), shape, jnp.float32))


class Conv1x1(nnx.Module):
    """A 1x1 convolution with bias: [b, H, W, c] -> [b, H, W, d]; kernel `[c, d]`."""

    def __init__(
        self,
        c: int,
        d: int,
        *,
        dtype: str = "float32",
        kernel_init: Initializer = release_init,
        rngs: nnx.Rngs | None,
    ):
        self.dtype = jnp.dtype(dtype)
        self.kernel = parameter((c, d), kernel_init, rngs)
        self.bias = parameter((d,), jax.nn.initializers.zeros, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns `[b, H, W, d]` in the module's dtype."""
        return convolution.conv1x1(*_as_dtype(self.dtype, x, self.kernel[...], self.bias[...]))


class Conv3x3(nnx.Module):
    """A 3x3 convolution with bias and reflection padding: [b, H, W, c] -> [b, H, W, d]."""

    def __init__(
        self,
        c: int,
        d: int,
        *,
        dtype: str = "float32",
        kernel_init: Initializer = release_init,
        rngs: nnx.Rngs | None,
    ):
        self.dtype = jnp.dtype(dtype)
        self.kernel = parameter((3, 3, c, d), kernel_init, rngs)
        self.bias = parameter((d,), jax.nn.initializers.zeros, rngs)

    def __call__(
        self, x: jax.Array, extent: Extent | None = None, *, relu: bool = False
    ) -> jax.Array:
        """Returns `[b, H, W, d]` in the module's dtype; of x, only `extent` may be real."""
        x, kernel, bias = _as_dtype(self.dtype, x, self.kernel[...], self.bias[...])
        return convolution.conv3x3(x, kernel, bias, extent, relu=relu)

    def after_conv1x1(
        self, first: Conv1x1, x: jax.Array, extent: Extent | None = None, *, relu: bool = False
    ) -> jax.Array:
        """Convolves `first(x)`, in one convolution: reflection may as well come before `first`."""
        kernel, bias = self.kernel[...], self.bias[...]
        bias = bias + jnp.einsum("c,ijcd->d", first.bias[...], kernel, precision="highest")
        kernel = jnp.einsum("bc,ijcd->ijbd", first.kernel[...], kernel, precision="highest")
        x, kernel, bias = _as_dtype(self.dtype, x, kernel, bias)
        return convolution.conv3x3(x, kernel, bias, extent, relu=relu)

    def after_upsample(
        self,
        x: jax.Array,
        height: int,
        width: int,
        extent: Extent | None = None,
        *,
        relu: bool = False,
    ) -> jax.Array:
        """Doubles x by repetition, crops it to H x W and convolves: -> [b, H, W, d]."""
        x, kernel, bias = _as_dtype(self.dtype, x, self.kernel[...], self.bias[...])
        return convolution.upsample_conv3x3(x, kernel, bias, height, width, extent, relu=relu)

    def after_upsample_beside(
        self, x: jax.Array, skip: jax.Array, extent: Extent | None = None
    ) -> jax.Array:
        """Convolves the channels of the doubled x followed by those of `skip`, of skip's size."""
        x, skip, kernel, bias = _as_dtype(self.dtype, x, skip, self.kernel[...], self.bias[...])
        c, (height, width) = x.shape[3], skip.shape[1:3]
        # A convolution sums over channels, so the doubled half can be computed at the small size.
        doubled = convolution.upsample_conv3x3(x, kernel[:, :, :c], bias, height, width, extent)
        return doubled + convolution.conv3x3(skip, kernel[:, :, c:], jnp.zeros_like(bias), extent)


def _as_dtype(dtype: jnp.dtype, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    return tuple(array.astype(dtype) for array in arrays)
