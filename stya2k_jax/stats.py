"""Channel statistics over space: the mu, sigma and N of the paper."""

import jax
import jax.numpy as jnp

EPSILON = 1e-5


def mean_and_std(x: jax.Array, eps: float = EPSILON) -> tuple[jax.Array, jax.Array]:
    """Returns each channel's mean and deviation over space, in float32 (mu, sigma of Eq. 16).

    Args:
      x: features `[b, H, W, c]`.
      eps: added to the variance, so that a flat channel stays finite.

    Returns:
      Two arrays `[b, 1, 1, c]`. The variance divides by H·W - 1, as in the release; one point has
      none.
    """
    x = x.astype(jnp.float32)
    mean = x.mean(axis=(1, 2), keepdims=True)
    squares = jnp.sum((x - mean) ** 2, axis=(1, 2), keepdims=True)
    variance = squares / max(x.shape[1] * x.shape[2] - 1, 1)
    return mean, jnp.sqrt(variance + eps)


def normalize(x: jax.Array, eps: float = EPSILON) -> jax.Array:
    """Gives each channel zero mean and unit deviation over space: N(.) of Eq. 6, in float32.

    Args:
      x: features `[b, H, W, c]`.
      eps: as in `mean_and_std`.
    """
    mean, std = mean_and_std(x, eps)
    return (x.astype(jnp.float32) - mean) / std
