"""AdaIN (Huang and Belongie 2017): the content takes on the style's channel statistics."""

import jax
from flax import nnx

from stya2k_jax.network.normalization import mean_and_std, normalize


class AdaIN(nnx.Module):
    """F_cs = sigma(F_s) N(F_c) + mu(F_s), without parameters."""

    sees_shallower = False

    def __init__(self, channels: int, *, dtype: str = "float32", rngs: nnx.Rngs | None):
        del channels, dtype, rngs  # which modules with parameters need

    def keys(self, f_s: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns mu and sigma `[b, 1, 1, c]` of the style features `[b, H, W, c]`."""
        return mean_and_std(f_s)

    def __call__(self, f_c: jax.Array, keys: tuple[jax.Array, jax.Array]) -> jax.Array:
        """Maps F_c `[b, H, W, c]` to F_cs, of its shape."""
        mean, std = keys
        return (std * normalize(f_c) + mean).astype(f_c.dtype)
