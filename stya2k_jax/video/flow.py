"""Optical flow, as OpenCV estimates it."""

import numpy as np

from stya2k_jax.errors import UserError

SMALLEST_FLOW_PX = 16  # smallest side of a frame for DIS, which crashes below it


def estimate_flow(frame: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Estimates the flow from a frame to another by OpenCV's DIS, medium preset.

    Args:
      frame: uint8 `[H, W, 3]`.
      other: of the same size.

    Returns:
      float32 `[H, W, 2]`.

    Raises:
      UserError: OpenCV is not installed, or the frames are too small for it.
    """
    try:
        import cv2
    except ImportError as error:
        raise UserError(
            "Flow needs OpenCV; install it with: pip install 'stya2k-jax[evaluate]'"
        ) from error
    if min(frame.shape[:2]) < SMALLEST_FLOW_PX:
        raise UserError(
            f"flow of frames of {frame.shape[1]}x{frame.shape[0]} cannot be estimated; it needs "
            f"{SMALLEST_FLOW_PX} pixels a side."
        )
    grey = (cv2.cvtColor(np.ascontiguousarray(x), cv2.COLOR_RGB2GRAY) for x in (frame, other))
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
