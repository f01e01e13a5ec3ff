"""How much of the surroundings of edges has a color that neither side of the edge has."""

import numpy as np
from scipy import ndimage

_BLUR = 2.0  # pixels, of the content in which edges are sought
_STRONG = 0.04  # grey per pixel after that blur: a step of a fifth of the range from 0 to 1
_ZONE = 12  # pixels to each side of an edge that are looked at
_SIDES = np.array([12, 15, 18, 21, 24])  # pixels from the edge where the sides' colors are taken
_MARGIN = 0.1  # by which a color must leave the range of the sides


def rims(stylized: np.ndarray, content: np.ndarray) -> float:
    """Measures the rims of a stylized picture: halos and colored lines along edges.

    Strong edges are the points where the gradient of the content, grey and blurred by a Gaussian of
    2 pixels, is at least 0.04 per pixel and largest across the edge. For a pixel x at most 12
    pixels from such a point, let q be the nearest one and n the direction of its gradient. With
    the stylized picture S, blurred by a Gaussian of 1 pixel, the colors of both sides are
    S(q + t n) with |t| = 12, 15, 18, 21 and 24. The pixel is a rim if in red, green or blue

        S(x) < min_t S(q + t n) - 0.1   or   S(x) > max_t S(q + t n) + 0.1.

    Args:
      stylized: uint8 `[H, W, 3]`.
      content: the same.

    Returns:
      The share of rims among the pixels near strong edges; 0 where the content has no such edge.

    Raises:
      ValueError: pictures of two sizes.
    """
    if stylized.shape != content.shape:
        raise ValueError(f"rims: shapes {stylized.shape} and {content.shape} differ.")
    edges, across = _edges(content)
    if not edges.any():
        return 0.0
    distance, (row, column) = ndimage.distance_transform_edt(~edges, return_indices=True)
    zone = distance <= _ZONE
    row, column = row[zone], column[zone]
    colors = ndimage.gaussian_filter(stylized.astype(np.float32) / 255, (1, 1, 0), mode="nearest")
    low = np.full((len(row), 3), np.inf, np.float32)
    high = -low
    for t in (*-_SIDES, *_SIDES):
        at = [
            np.clip(np.rint(start + t * part[row, column]), 0, size - 1).astype(int)
            for start, part, size in zip((row, column), across, edges.shape, strict=True)
        ]
        side = colors[at[0], at[1]]
        low, high = np.minimum(low, side), np.maximum(high, side)
    outside = (colors[zone] < low - _MARGIN) | (colors[zone] > high + _MARGIN)
    return float(outside.any(axis=1).mean())


def _edges(content: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Returns where strong edges are, bool `[H, W]`, and unit vectors across: down and right."""
    grey = content.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    down, right = np.gradient(ndimage.gaussian_filter(grey, _BLUR, mode="nearest"))
    length = np.hypot(down, right)
    across = tuple(part / np.maximum(length, 1e-12) for part in (down, right))
    points = np.indices(grey.shape)
    beside = [
        ndimage.map_coordinates(
            length,
            [p + t * a for p, a in zip(points, across, strict=True)],
            order=1,
            mode="nearest",
        )
        for t in (-1, 1)
    ]
    return (length >= _STRONG) & (length >= np.maximum(*beside)), across
