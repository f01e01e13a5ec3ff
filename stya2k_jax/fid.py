"""Fréchet distance between two sets of features, and ArtFID, which is made of it and LPIPS.

Published ArtFID numbers use the 2048 features of an Inception-v3 trained on art (Wright and Ommer
2022). That network is not part of this package: compute its features of styles and of stylized
pictures (input in [0, 1], at native size, without mean and deviation) and give them here.
"""

import numpy as np

from stya2k_jax.errors import UserError


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Returns FID: ||m_x - m_y||^2 + Tr(C_x + C_y - 2 (C_x C_y)^(1/2)).

    m are means and C covariances, which divide by n - 1. Common implementations add 1e-6 to the
    diagonals of singular covariances; the root taken here needs no such help.

    Args:
      x: features `[n, d]`.
      y: features `[m, d]`.

    Raises:
      UserError: not two such sets, fewer than two rows, or NaN.
    """
    for name, features in (("x", x), ("y", y)):
        if features.ndim != 2 or len(features) < 2 or not np.isfinite(features).all():
            raise UserError(
                f"frechet_distance: {name} has shape {features.shape}; expected finite features "
                "[n, d] of at least two pictures."
            )
    if x.shape[1] != y.shape[1]:
        raise UserError(f"frechet_distance: {x.shape[1]} and {y.shape[1]} features differ.")
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    c_x, c_y = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (x, y))
    difference = x.mean(axis=0) - y.mean(axis=0)
    trace = np.trace(c_x) + np.trace(c_y) - 2 * _trace_of_root(c_x, c_y)
    return float(difference @ difference + trace)


def art_fid(lpips: float, fid: float) -> float:
    """Returns ArtFID = (1 + LPIPS)(1 + FID).

    A copy of the style, or of the content, does well in one factor: never rank by this alone, and
    compare only equal numbers of equal pairs.

    Args:
      lpips: mean over pairs of LPIPS on AlexNet between content and stylized picture.
      fid: between the styles and the stylized pictures.
    """
    return (1 + lpips) * (1 + fid)


def _trace_of_root(c_x: np.ndarray, c_y: np.ndarray) -> float:
    # The eigenvalues of C_x C_y are those of the symmetric C_x^(1/2) C_y C_x^(1/2), which unlike
    # a root of C_x C_y itself stay real and accurate where a covariance is singular.
    values, vectors = np.linalg.eigh(c_x)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    eigenvalues = np.linalg.eigvalsh(root @ c_y @ root)
    return float(np.sqrt(np.maximum(eigenvalues, 0)).sum())
