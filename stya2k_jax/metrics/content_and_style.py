"""Content and style loss of stylized pictures, picture by picture.

Papers use one name for different definitions, so each function says which one it is. All of them
compare two batches and return one number for each picture, `[b]`.
"""

import jax
import jax.numpy as jnp

from stya2k_jax.network.architecture import CONTENT_TAPS, TAPS
from stya2k_jax.network.encoder import Taps
from stya2k_jax.network.normalization import mean_and_std, normalize

Statistics = dict[str, tuple[jax.Array, jax.Array]]


def content_terms(stylized: Taps, content: Taps) -> Taps:
    """Content loss, form A, tap by tap; the loss is the sum of both (StyTr², `models/StyTR.py`).

    MSE(N(F_cs), N(F_c)) at relu4_1 and relu5_1 = 2(1 - rho), with rho the correlation over space,
    averaged over channels; so each term lies in [0, 4].

    Args:
      stylized: taps of the stylized pictures.
      content: taps of their contents, of the same sizes.

    Returns:
      `{tap: [b]}`.
    """
    return {
        tap: _mean_square(normalize(stylized[tap]) - normalize(content[tap]))
        for tap in CONTENT_TAPS
    }


def raw_content_terms(stylized: Taps, content: Taps) -> Taps:
    """Content loss, form B, tap by tap; the loss is the mean of both (MicroAST, `calc_cs_loss.py`).

    MSE(F_cs, F_c) at relu4_1 and relu5_1, features as they are. Arguments as `content_terms`.
    """
    return {
        tap: _mean_square(stylized[tap].astype(jnp.float32) - content[tap].astype(jnp.float32))
        for tap in CONTENT_TAPS
    }


def statistics(taps: Taps) -> Statistics:
    """Returns mu and sigma of every tap, all that the style loss needs of a picture."""
    return {tap: mean_and_std(taps[tap]) for tap in TAPS}


def style_terms(stylized: Statistics, style: Statistics) -> Taps:
    """Style loss, tap by tap: the sum of all five is form A, their mean form B.

    MSE(mu(F_cs), mu(F_s)) + MSE(sigma(F_cs), sigma(F_s)) at relu1_1 ... relu5_1, over channels.

    Args:
      stylized: `statistics` of the stylized pictures.
      style: `statistics` of their styles, which may have any size.

    Returns:
      `{tap: [b]}`.
    """
    return {
        tap: sum(_mean_square(x - y) for x, y in zip(stylized[tap], style[tap], strict=True))
        for tap in TAPS
    }


def as_form_b(pictures: jax.Array, *, blue_first: bool, size_px: int) -> jax.Array:
    """Changes pictures `[b, H, W, 3]` in [0, 1] to the input of form B's original script.

    Args:
      pictures: RGB.
      blue_first: give the channels to the encoder as BGR, as that script did (its encoder expects
        RGB, so this is another measure and no improvement).
      size_px: squash to this square, by the four nearest points as OpenCV does; 0 keeps the size.
    """
    if size_px:
        shape = (pictures.shape[0], size_px, size_px, 3)
        pictures = jax.image.resize(pictures, shape, "linear", antialias=False)
        pictures = jnp.round(pictures * 255) / 255  # pictures of 8 bits stay 8 bits
    return pictures[..., ::-1] if blue_first else pictures


def _mean_square(difference: jax.Array) -> jax.Array:
    return jnp.mean(difference**2, axis=(1, 2, 3))
