"""AdaAttN (Liu et al. 2021): AdaIN with a mean and a deviation for every content point."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from stya2k_jax.network.attention import all_to_all_attention
from stya2k_jax.network.baselines.sanet import as_points
from stya2k_jax.network.layers import Conv1x1
from stya2k_jax.network.normalization import normalize


class AdaAttN(nnx.Module):
    """F_cs = S N(F_c) + M, with M and S the attention-weighted mean and deviation of v(F_s).

    Queries and keys see the normalized features of all shallower taps too.
    """

    sees_shallower = True

    def __init__(
        self, channels: int, *, channels_seen: int, dtype: str = "float32", rngs: nnx.Rngs | None
    ):
        """Makes the convolutions.

        Args:
          channels: of the tap.
          channels_seen: of the tap and all shallower ones together.
          dtype: of the computation.
          rngs: of the first weights.
        """
        seen = partial(Conv1x1, channels_seen, channels_seen, dtype=dtype, rngs=rngs)
        self.query, self.key = seen(), seen()
        self.value = Conv1x1(channels, channels, dtype=dtype, rngs=rngs)

    def keys(self, f_s: jax.Array, seen_s: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns keys `[b, s, 1, e]` and values `[b, s, 1, c]` of a style.

        Args:
          f_s: features `[b, H, W, c]` of the tap.
          seen_s: `ladder` of the tap, `[b, H, W, e]`.
        """
        return as_points(self.key(seen_s)), as_points(self.value(f_s))

    def __call__(
        self, f_c: jax.Array, keys: tuple[jax.Array, jax.Array], seen_c: jax.Array
    ) -> jax.Array:
        """Maps F_c `[b, H, W, c]`, with its `ladder`, to F_cs, of its shape."""
        k, v = keys
        q, v = as_points(self.query(seen_c)), v.astype(jnp.float32)
        both = all_to_all_attention(q, k, jnp.concatenate([v, v**2], axis=3))
        mean, square = jnp.split(both.reshape(*f_c.shape[:3], -1), 2, axis=3)
        # A tiny floor keeps the gradient of the root finite where all values agree.
        deviation = jnp.sqrt(jnp.maximum(square - mean**2, 1e-6))
        return (deviation * normalize(f_c) + mean).astype(f_c.dtype)
