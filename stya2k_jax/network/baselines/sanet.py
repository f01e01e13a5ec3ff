"""SANet (Park and Lee 2019): every content point averages style features by attention."""

from functools import partial

import jax
from flax import nnx

from stya2k_jax.network.attention import all_to_all_attention
from stya2k_jax.network.layers import Conv1x1
from stya2k_jax.network.normalization import normalize


class SANet(nnx.Module):
    """F_cs = out(softmax(q(N(F_c)) k(N(F_s))^T) v(F_s)) + F_c, with one head."""

    sees_shallower = False

    def __init__(self, channels: int, *, dtype: str = "float32", rngs: nnx.Rngs | None):
        conv = partial(Conv1x1, channels, channels, dtype=dtype, rngs=rngs)
        self.query, self.key, self.value, self.out = conv(), conv(), conv(), conv()

    def keys(self, f_s: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns keys and values `[b, s, 1, c]` of the style features `[b, H, W, c]`."""
        return as_points(self.key(normalize(f_s))), as_points(self.value(f_s))

    def __call__(self, f_c: jax.Array, keys: tuple[jax.Array, jax.Array]) -> jax.Array:
        """Maps F_c `[b, H, W, c]` to F_cs, of its shape."""
        attended = all_to_all_attention(as_points(self.query(normalize(f_c))), *keys)
        return self.out(attended.reshape(f_c.shape)) + f_c


def as_points(x: jax.Array) -> jax.Array:
    """Lists the points of a map for one head: [b, H, W, c] -> [b, p, 1, c]."""
    return x.reshape(x.shape[0], -1, 1, x.shape[3])
