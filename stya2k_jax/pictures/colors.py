"""Keeping the content's colors, after or before it is stylized.

Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016 (arXiv:1606.05897). All
pictures are sRGB, floats in [0, 1], `[..., H, W, 3]`. The arithmetic is in float64 on a few pixels
at a time, so that the memory beyond the pictures themselves does not grow with them.
"""

from collections.abc import Iterator

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.pictures.arrays import float_pixels

_PIXELS_AT_ONCE = 2**16

# Linear sRGB to CIE XYZ under D65, of the primaries and the white of ITU-R BT.709, as in
# scikit-image; IEC 61966-2-1 prints it with four digits.
_XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_RGB_FROM_XYZ = np.linalg.inv(_XYZ_FROM_RGB)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # XYZ of D65, 2 degree observer

_BEND = 6 / 29  # where the cube root of CIELAB becomes a line

# Directions of color in which a picture deviates by less than a step of 8 bits hold nothing but
# rounding.
_LEAST_VARIANCE = 1 / 255**2


def keep_luminance(stylized: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Returns the lightness of the stylized picture in the colors of the content.

    CIELAB L is the stylized picture's, a and b are the content's. (The paper does this in YIQ; in
    CIELAB a step of L looks equally large in all colors.) What sRGB cannot show is clipped.

    Args:
      stylized: floats in [0, 1] `[..., H, W, 3]`; what lies beyond is clipped.
      content: the same, of the same shape.

    Returns:
      float32 in [0, 1], of that shape.

    Raises:
      UserError: the shapes differ, or something is no picture of floats.
    """
    stylized, content = float_pixels(stylized, "stylized"), float_pixels(content, "content")
    if stylized.shape != content.shape:
        raise UserError(
            f"stylized has shape {stylized.shape} and content {content.shape}; colors are kept "
            "pixel by pixel. Resize one of them first."
        )
    result = np.empty(stylized.shape, np.float32)
    for lightness, colors, out in _few_pixels(stylized, content, result):
        lab = srgb_to_lab(colors)
        lab[:, 0] = srgb_to_lab(lightness)[:, 0]
        out[...] = lab_to_srgb(lab)
    return result


def match_color(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Recolors the style so that its mean and covariance of RGB are those of the content.

    To be done before stylizing. Each pixel x becomes A (x - mean_s) + mean_c, where
    A = C_c^(1/2) C_s^(-1/2) with the symmetric roots of the covariances, the "image analogies"
    variant of the paper: unlike Cholesky factors they do not depend on the order of the channels.

    Directions of color in which the style varies by less than a step of 8 bits (all of them, if it
    is flat) are not stretched, so that every result is finite; there the covariances may differ.

    Args:
      style: floats in [0, 1] `[..., H, W, 3]`.
      content: the same, of any size. Leading axes pair up, or one picture serves all.

    Returns:
      float32 like the style (with the leading axes of both), clipped to [0, 1].

    Raises:
      UserError: batches that do not pair up, or something is no picture of floats.
    """
    style, content = float_pixels(style, "style"), float_pixels(content, "content")
    try:
        batch = np.broadcast_shapes(style.shape[:-3], content.shape[:-3])
    except ValueError:
        raise UserError(
            f"style has shape {style.shape} and content {content.shape}; give as many styles as "
            "contents, or one."
        ) from None
    styles = np.broadcast_to(style, batch + style.shape[-3:])
    contents = np.broadcast_to(content, batch + content.shape[-3:])
    result = np.empty(styles.shape, np.float32)
    for i in np.ndindex(batch):
        _recolor(styles[i], *color_moments(contents[i]), result[i])
    return result


def color_moments(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean [3] and covariance [3, 3] of the pixels `[H, W, 3]`; divides by their number."""
    count = picture.size // 3
    mean = sum(pixels.sum(axis=0, dtype=np.float64) for (pixels,) in _few_pixels(picture)) / count
    covariance = np.zeros((3, 3))
    for (pixels,) in _few_pixels(picture):
        centred = pixels - mean
        covariance += centred.T @ centred / count
    return mean, covariance


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Maps sRGB `[..., 3]`, clipped to [0, 1], to CIELAB: L in [0, 100], a and b about +-100.

    IEC 61966-2-1 (sRGB) and CIE 15 (CIELAB), white D65.
    """
    rgb = np.clip(np.asarray(rgb, np.float64), 0, 1)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    t = linear @ _XYZ_FROM_RGB.T / _WHITE
    f = np.where(t > _BEND**3, np.cbrt(t), t / (3 * _BEND**2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """Maps CIELAB `[..., 3]` to sRGB, float64 clipped to [0, 1]: the inverse of `srgb_to_lab`."""
    lightness, a, b = np.moveaxis(np.asarray(lab, np.float64), -1, 0)
    y = (lightness + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    t = np.where(f > _BEND, f**3, 3 * _BEND**2 * (f - 4 / 29))
    linear = np.clip(t * _WHITE @ _RGB_FROM_XYZ.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _recolor(style: np.ndarray, mean: np.ndarray, covariance: np.ndarray, out: np.ndarray):
    own_mean, own_covariance = color_moments(style)
    variances, axes = np.linalg.eigh(own_covariance)
    varies = variances > _LEAST_VARIANCE
    scales = 1 / np.sqrt(np.where(varies, variances, 1))
    stretch = _root(covariance) @ (axes * np.where(varies, scales, 0)) @ axes.T
    stretch += axes * ~varies @ axes.T  # what hardly varies stays as it is
    for pixels, result in _few_pixels(style, out):
        result[...] = np.clip((pixels - own_mean) @ stretch.T + mean, 0, 1)


def _root(covariance: np.ndarray) -> np.ndarray:
    variances, axes = np.linalg.eigh(covariance)
    return axes * np.sqrt(np.maximum(variances, 0)) @ axes.T


def _few_pixels(*pictures: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields views `[n, 3]` of the same pixels of pictures of one shape."""
    flat = [picture.reshape(-1, 3) for picture in pictures]
    for first in range(0, len(flat[0]), _PIXELS_AT_ONCE):
        yield tuple(pixels[first : first + _PIXELS_AT_ONCE] for pixels in flat)
