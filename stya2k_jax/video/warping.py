"""Warping by optical flow, and where flow can be trusted.

A flow `[H, W, 2]` holds, for each point of a frame, where it is in another frame: u to the right
and v downwards, in pixels.
"""

from collections.abc import Sequence

import numpy as np


def warp(picture: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fetches every point from where the flow says it is, bilinearly.

    Args:
      picture: the other frame `[H, W, c]`.
      flow: from this frame to that one.

    Returns:
      The picture as seen from this frame, float64 `[H, W, c]`, and where that is known: False for
      points that are outside of it.
    """
    from scipy.ndimage import map_coordinates  # a quarter second, which pictures need not wait

    (x, y), inside = _places(flow)
    # Outside any value will do, but it must lie in the picture.
    places = np.where(inside, (y, x), 0)
    channels = np.moveaxis(np.asarray(picture, np.float64), 2, 0)
    return np.stack([map_coordinates(c, places, order=1) for c in channels], axis=2), inside


def _places(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the flow leads, x and y `[2, H, W]`, and whether that is inside the frame."""
    height, width = flow.shape[:2]
    x, y = np.moveaxis(flow.astype(np.float64), 2, 0) + np.mgrid[:height, :width][::-1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return np.stack([x, y]), inside


def occluded(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Finds points that the other frame hides, or where motion breaks (Lai et al. 2018).

    Hidden: |w_f + w_b|^2 > 0.01 (|w_f|^2 + |w_b|^2) + 0.5, with w_b fetched from where w_f leads.
    Breaking: |grad u|^2 + |grad v|^2 > 0.01 |w_f|^2 + 0.002.

    Args:
      forward: w_f, from this frame to the other one.
      backward: w_b, from the other frame to this one.

    Returns:
      Booleans `[H, W]`.
    """
    back, _ = warp(backward, forward)
    forward = forward.astype(np.float64)
    square = (forward**2).sum(2)
    hidden = ((forward + back) ** 2).sum(2) > 0.01 * (square + (back**2).sum(2)) + 0.5
    gradients = np.gradient(forward, axis=(0, 1))
    breaking = sum((g**2).sum(2) for g in gradients) > 0.01 * square + 0.002
    return hidden | breaking


def known_points(flow: np.ndarray, hidden: np.ndarray | None) -> np.ndarray:
    """Returns the mask M of the errors, `[H, W]`: inside the other frame and not hidden in it."""
    _, inside = _places(flow)
    return inside if hidden is None else inside & ~hidden


def follow(steps: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Chains flows from frame to frame to the flow from the first frame to the last.

    Args:
      steps: flow `[H, W, 2]` from each frame to the next, and where it is known, `[H, W]`.

    Returns:
      The flow, and where it is known: nowhere on the way has a point left the frame, or come upon
      unknown points among the four around it.
    """
    flow, known = steps[0][0].astype(np.float64), steps[0][1]
    for step, step_known in steps[1:]:
        both = np.concatenate([step, ~step_known[..., None]], axis=2)
        fetched, inside = warp(both, flow)
        known = known & inside & (fetched[..., 2] == 0)
        flow = flow + np.where(known[..., None], fetched[..., :2], 0)
    return flow, known
