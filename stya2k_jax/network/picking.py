"""Borders of the real part of a map, by indices: the form for programs that are exported.

They hold it as one operation an axis, also where sizes are symbolic. `convolution` and `sizes` have
the forms that are fastest when XLA compiles the program.
"""

import jax
import jax.numpy as jnp
from jax import lax

from stya2k_jax.network.sizes import Extent


def pick_reflected(x: jax.Array, extent: Extent) -> jax.Array:
    """Adds one reflected point on each side of the real part: [b, H, W, c] -> [b, H+2, W+2, c]."""
    for axis, length in zip((1, 2), extent, strict=True):
        place = jnp.abs(_count(x.shape[axis] + 2) - 1)
        last = length - 1
        x = _pick(x, jnp.maximum(last - jnp.abs(last - place), 0), axis)
    return x


def pick_last(x: jax.Array, extent: Extent) -> jax.Array:
    """Repeats the last real row and column of `[b, H, W, c]` in all of the padding."""
    for axis, length in zip((1, 2), extent, strict=True):
        x = _pick(x, jnp.minimum(_count(x.shape[axis]), length - 1), axis)
    return x


def _pick(x: jax.Array, index: jax.Array, axis: int) -> jax.Array:
    # Any `mode` would make the converter to ONNX transpose the map there and back.
    return jnp.take(x, index, axis=axis)


def _count(length: int) -> jax.Array:
    return lax.broadcasted_iota(jnp.int32, (length,), 0)
