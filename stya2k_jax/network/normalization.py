"""Channel statistics over space: the mu, sigma and N of the paper."""

import jax
import jax.numpy as jnp

from stya2k_jax.network.architecture import TAPS
from stya2k_jax.network.sizes import Extent

Moments = tuple[jax.Array, jax.Array]  # means and deviations

EPSILON = 1e-5


def mean_and_std(x: jax.Array, eps: float = EPSILON, extent: Extent | None = None) -> Moments:
    """Returns each channel's mean and deviation over space, in float32 (mu, sigma of Eq. 16).

    Args:
      x: features `[b, H, W, c]`.
      eps: added to the variance, so that a flat channel stays finite.
      extent: the part of x that counts; None: all of it.

    Returns:
      Two arrays `[b, 1, 1, c]`. The variance divides by H·W - 1, as in the release; one point has
      none.
    """
    x = x.astype(jnp.float32)
    if extent is None:
        mean = x.mean(axis=(1, 2), keepdims=True)
        squares = jnp.sum((x - mean) ** 2, axis=(1, 2), keepdims=True)
        variance = squares / max(x.shape[1] * x.shape[2] - 1, 1)
    else:
        inside = jnp.expand_dims(extent.inside(*x.shape[1:3]), (0, 3))
        points = jnp.asarray(extent.height * extent.width, jnp.float32)
        mean = jnp.sum(jnp.where(inside, x, 0), axis=(1, 2), keepdims=True) / points
        distance = jnp.where(inside, x - mean, 0)
        squares = jnp.sum(distance * distance, axis=(1, 2), keepdims=True)
        variance = squares / jnp.maximum(points - 1.0, 1.0)
    return mean, jnp.sqrt(variance + eps)


def normalize(
    x: jax.Array,
    eps: float = EPSILON,
    extent: Extent | None = None,
    moments: Moments | None = None,
) -> jax.Array:
    """Gives each channel zero mean and unit deviation over space: N(.) of Eq. 6, in float32.

    Args:
      x: features `[b, H, W, c]`.
      eps: as in `mean_and_std`.
      extent: as in `mean_and_std`.
      moments: mean and deviation to use in place of those of x, which is part of a larger map.
    """
    mean, std = moments or mean_and_std(x, eps, extent)
    return (x.astype(jnp.float32) - mean) / std


def taps_up_to(tap: str) -> tuple[str, ...]:
    """Returns the taps from the first to this one."""
    return TAPS[: TAPS.index(tap) + 1]


def ladder(taps: dict[str, jax.Array], tap: str) -> jax.Array:
    """Concatenates N of the taps up to this one, resized to it by the nearest point."""
    height, width = taps[tap].shape[1:3]
    return jnp.concatenate(
        [normalize(resize_nearest(taps[t], height, width)) for t in taps_up_to(tap)], axis=-1
    )


def resize_nearest(x: jax.Array, height: int, width: int) -> jax.Array:
    """Resizes `[b, h, w, c]` to H x W: row i is taken from row floor(i h / H), columns alike."""
    rows = jnp.arange(height) * x.shape[1] // height
    columns = jnp.arange(width) * x.shape[2] // width
    return x[:, rows][:, :, columns]
