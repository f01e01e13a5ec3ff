"""Where flow comes from: files of known flow, or OpenCV's estimate."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from stya2k_jax.errors import UserError

_FLO_MAGIC = 202021.25
_UNKNOWN = 1e9  # in .flo files, whatever is larger is not known
SMALLEST_PX = 16  # of a frame for DIS, which crashes on flatter ones


def read_flow(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a flow and where it is known.

    Args:
      path: a Middlebury `.flo`, or an `.npz` with `flow` `[H, W, 2]` and perhaps `valid` `[H, W]`.

    Returns:
      float32 `[H, W, 2]`, unknown points 0, and booleans `[H, W]`.

    Raises:
      UserError: a file of neither kind, or damaged.
    """
    try:
        flow, valid = (_read_flo if path.suffix == ".flo" else _read_npz)(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is not a flow, .flo or .npz ({error}).") from error
    return np.where(valid[..., None], flow, 0), valid


def write_flo(path: Path, flow: np.ndarray) -> None:
    """Writes `[H, W, 2]` in Middlebury's format."""
    height, width = flow.shape[:2]
    header = np.float32(_FLO_MAGIC).tobytes() + np.array([width, height], "<i4").tobytes()
    path.write_bytes(header + np.ascontiguousarray(flow, "<f4").tobytes())


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
    if min(frame.shape[:2]) < SMALLEST_PX:
        raise UserError(
            f"flow of frames of {frame.shape[1]}x{frame.shape[0]} cannot be estimated; it needs "
            f"{SMALLEST_PX} pixels a side."
        )
    grey = (cv2.cvtColor(np.ascontiguousarray(x), cv2.COLOR_RGB2GRAY) for x in (frame, other))
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)


def _read_flo(path: Path) -> tuple[np.ndarray, np.ndarray]:
    data = path.read_bytes()
    if len(data) < 12 or np.frombuffer(data[:4], "<f4")[0] != np.float32(_FLO_MAGIC):
        raise ValueError("it does not begin as a .flo file")
    width, height = np.frombuffer(data[4:12], "<i4")
    flow = np.frombuffer(data[12:], "<f4").reshape(height, width, 2)
    return flow, (np.abs(flow) < _UNKNOWN).all(axis=2)


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open(path, "rb") as file:  # `np.load` would leave a damaged one open
        arrays = np.load(file)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        flow = arrays["flow"].astype(np.float32)
        known = np.isfinite(flow).all(axis=2)
        valid = arrays["valid"].astype(bool) if "valid" in arrays else known
    if valid.shape != known.shape:
        raise ValueError(f"flow has shape {flow.shape}, valid {valid.shape}")
    return flow, valid & known
