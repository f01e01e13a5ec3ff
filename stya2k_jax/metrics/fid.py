"""Fréchet distance between two sets of features, and ArtFID, which combines it with LPIPS.

Published ArtFID numbers use the 2048 features of an Inception-v3 trained on art (Wright and Ommer
2022), see `metrics/inception.py`.
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
    difference = x.mean(axis=0) - y.mean(axis=0)
    r_x, r_y = _root_of_covariance(x), _root_of_covariance(y)
    # C_x C_y = R_x^T R_x R_y^T R_y has the eigenvalues of (R_x R_y^T)(R_x R_y^T)^T, so the trace of
    # its root is the sum of singular values of R_x R_y^T, which stays accurate where a covariance
    # is singular.
    trace = np.sum(r_x**2) + np.sum(r_y**2) - 2 * np.linalg.norm(r_x @ r_y.T, "nuc")
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


def _root_of_covariance(x: np.ndarray) -> np.ndarray:
    """Returns R `[min(n, d), d]` with R^T R = C."""
    return np.linalg.qr(x - x.mean(axis=0), mode="r") / np.sqrt(len(x) - 1)
