"""Features of a tap together with those of all shallower ones, for attention that sees them all."""

import jax
import jax.numpy as jnp

from stya2k_jax.network.architecture import TAPS
from stya2k_jax.network.normalization import normalize


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
