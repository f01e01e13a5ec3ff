"""SSIM as scikit-image defines it (METRICS: grey, uniform window; or RGB, Gaussian window)."""

import numpy as np
from PIL import Image

from stya2k_jax.errors import UserError, require


def ssim(x: np.ndarray, y: np.ndarray, form: str = "grey") -> float:
    """Structural similarity of two uint8 pictures `[H, W, 3]`, by scikit-image.

    Args:
      x: a picture.
      y: another of the same size.
      form: `"grey"`: BT.601 grey of 8 bits, uniform 7x7 window, unbiased covariance, data range 255
        (scikit-image's defaults, as MicroAST). `"gaussian_rgb"`: Gaussian window of deviation 1.5,
        biased covariance, mean over the channels (Wang et al. 2004).

    Raises:
      UserError: scikit-image is not installed, or no such form.
    """
    structural_similarity = require("skimage.metrics", "evaluate", "SSIM").structural_similarity
    if form == "grey":
        grey = (np.asarray(Image.fromarray(picture).convert("L")) for picture in (x, y))
        return float(structural_similarity(*grey, data_range=255))
    if form == "gaussian_rgb":
        options = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        return float(structural_similarity(x, y, data_range=255, channel_axis=2, **options))
    raise UserError(f"SSIM form {form!r} does not exist; choose grey or gaussian_rgb.")
