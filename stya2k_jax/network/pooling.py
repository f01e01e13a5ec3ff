"""2x2 pooling with stride 2 that keeps a last partial window (ceil mode)."""

import jax
import jax.numpy as jnp
from jax import lax

from stya2k_jax.network.convolution import is_portable
from stya2k_jax.network.picking import pick_last
from stya2k_jax.network.sizes import Extent, repeat_last


def max_pool(x: jax.Array, extent: Extent | None = None) -> jax.Array:
    """Takes the largest of each 2x2 window of `[b, H, W, c]`; a partial window has fewer points.

    Only `extent` of x may be real. The maximum is written as comparisons, whose gradient is a
    selection: on the CPU several times as fast as the gradient of a window reduction. The first of
    equal values wins, as in PyTorch.
    """
    a, b, c, d = _corners(_completed(x, extent), fill=-jnp.inf)
    top, bottom = jnp.where(b > a, b, a), jnp.where(d > c, d, c)
    return jnp.where(bottom > top, bottom, top)


def avg_pool(x: jax.Array, extent: Extent | None = None) -> jax.Array:
    """Averages each 2x2 window of `[b, H, W, c]`; a partial window averages what it has."""
    total = sum(_corners(_completed(x, extent), fill=0))
    count = sum(_corners(jnp.ones((1, *x.shape[1:3], 1), x.dtype), fill=0))
    return jnp.divide(total, count)


def _completed(x: jax.Array, extent: Extent | None) -> jax.Array:
    # Repeating a window's points changes neither its maximum nor its mean.
    if extent is None:
        return x
    return pick_last(x, extent) if is_portable() else repeat_last(x, extent)


def _corners(x: jax.Array, fill: float) -> tuple[jax.Array, ...]:
    odd_rows, odd_columns = x.shape[1] % 2, x.shape[2] % 2
    x = jnp.pad(x, ((0, 0), (0, odd_rows), (0, odd_columns), (0, 0)), constant_values=fill)
    # `x[:, i::2]` is a gather where a size is symbolic, in programs to be exported.
    rows = [lax.slice_in_dim(x, i, None, 2, axis=1) for i in (0, 1)]
    return tuple(lax.slice_in_dim(row, j, None, 2, axis=2) for row in rows for j in (0, 1))
