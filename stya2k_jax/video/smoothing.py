"""Temporal smoothing: what does not change in a clip keeps its look in the stylized clip.

A stylized frame is drawn towards the smoothed frame before it, which is first moved as the content
moves. This happens only where that is sure: neither hidden nor at the edge of a motion (Lai et al.
2018), and of the same content. Elsewhere, and after a cut, the frame stays as it is; so nothing
trails behind what moves.
"""

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.video.flow import SMALLEST_FLOW_PX, estimate_flow
from stya2k_jax.video.warping import known_points, occluded, warp

# Difference of the content, of 255, at which trust has fallen to 1/e. Noise and compression stay
# below it.
CHANGE = 12.0
# Mean trust under which a frame does not follow from the one before. It was 0.59 or more between
# frames of three real clips, three frames apart, and 0.02 or less between different pictures.
CUT = 0.15
SPREAD_PX = 1.5  # over which trust is blurred: points that differ from theirs would be specks


class Smoother:
    """Smooths a clip frame by frame; keeps one frame in memory."""

    def __init__(self, strength: float):
        """Begins a clip.

        Args:
          strength: share of the frame before, in [0, 1); 0.8 is much. 0 changes nothing.

        Raises:
          UserError: another strength, or OpenCV is not installed.
        """
        if not 0 <= strength < 1:
            raise UserError(f"smoothing is {strength}; give 0 (none) to 0.95, such as 0.8.")
        try:
            import cv2
        except ImportError as error:
            raise UserError(
                "Smoothing needs OpenCV; install it with: pip install 'stya2k-jax[video]'"
            ) from error
        self._cv2, self._strength = cv2, strength
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, content: np.ndarray, stylized: np.ndarray) -> np.ndarray:
        """Smooths the next frame.

        Args:
          content: unstylized, uint8 `[H, W, 3]`.
          stylized: the same.

        Returns:
          The smoothed frame, uint8 `[H, W, 3]`.

        Raises:
          UserError: a side has less than `SMALLEST_FLOW_PX` pixels.
        """
        if min(content.shape[:2]) < SMALLEST_FLOW_PX:
            raise UserError(
                f"Frames of {content.shape[1]}x{content.shape[0]} are too small for smoothing: it "
                f"takes {SMALLEST_FLOW_PX} pixels a side. Set smoothing to 0."
            )
        smoothed = stylized.astype(np.float32)
        if self._before is not None:
            content_before, smoothed_before = self._before
            flow = estimate_flow(content, content_before)
            trust = self._trust(content, content_before, flow)
            if trust.mean() >= CUT:
                moved = self._moved(smoothed_before, flow)
                smoothed += self._strength * trust[..., None] * (moved - smoothed)
        self._before = content, smoothed  # not rounded: small steps add up
        return np.clip(np.round(smoothed), 0, 255).astype(np.uint8)

    def _trust(self, content: np.ndarray, before: np.ndarray, flow: np.ndarray) -> np.ndarray:
        """Returns how surely each point is what the flow leads to, in [0, 1], `[H, W]`."""
        sure = known_points(flow, occluded(flow, estimate_flow(before, content)))
        change = np.abs(content - warp(before, flow)[0]).mean(axis=2)
        trust = np.where(sure, np.exp(-((change / CHANGE) ** 2)), 0).astype(np.float32)
        return self._cv2.GaussianBlur(trust, (0, 0), SPREAD_PX)

    def _moved(self, picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
        """Fetches points as `warp` does, but bicubically.

        A frame is moved many times, and bilinear interpolation blurs it each time.
        """
        rows, columns = np.indices(flow.shape[:2], np.float32)
        x, y = columns + flow[..., 0], rows + flow[..., 1]
        return self._cv2.remap(picture, x, y, self._cv2.INTER_CUBIC)
