"""What a clip is: suffixes, pixel format, colors and rotation that reading and writing share."""

import os
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from stya2k_jax.errors import UserError

CLIP_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
# FFmpeg's numbers (libavutil/pixfmt.h), the same as those of ITU-T H.273.
BT709, _UNSPECIFIED, LIMITED_RANGE = 1, 2, 1


class ClipColors(NamedTuple):
    """The meaning of a clip's numbers for a player, in FFmpeg's numbering."""

    primaries: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED
    matrix: int = _UNSPECIFIED
    range: int = 0


class ClipFormat(NamedTuple):
    """What a stylized clip shares with its source.

    Attributes:
      height: of an upright frame in pixels.
      width: the same.
      time_base: the unit of times, in seconds.
      rate: frames per second, the mean where they vary.
      pixel_aspect: width to height of a stored pixel; None where it is not said.
      matrix: the display matrix, see `stya2k_jax.orientation`; None where there is none.
      colors: of the 8-bit frames.
    """

    height: int
    width: int
    time_base: Fraction
    rate: Fraction
    pixel_aspect: Fraction | None = None
    matrix: tuple[int, ...] | None = None
    colors: ClipColors = ClipColors()


class Frame(NamedTuple):
    """One frame.

    Attributes:
      pixels: uint8 `[H, W, 3]`, upright.
      pts: when it is shown, in units of the clip's time base.
      duration: for how long, in the same units; 0 where it is not known.
      name: for a file that holds this frame alone, without suffix.
    """

    pixels: np.ndarray
    pts: int
    duration: int
    name: str


def is_clip(path: str | os.PathLike) -> bool:
    """Returns whether a path has the suffix of a clip."""
    return Path(path).suffix.lower() in CLIP_SUFFIXES


def scaled_size(height: int, width: int, size_px: int) -> tuple[int, int]:
    """Returns height and width with a short side of `size_px`, to even numbers; 0 keeps them."""
    if size_px in (0, min(height, width)):
        return height, width
    factor = size_px / min(height, width)
    return max(2, 2 * round(height * factor / 2)), max(2, 2 * round(width * factor / 2))


def exact_conversion() -> int:
    """Returns FFmpeg's flags for converting a frame bicubically, without its rounding shortcuts."""
    from av.video.reformatter import Interpolation as Flag

    return Flag.BICUBIC | Flag.ACCURATE_RND | Flag.FULL_CHR_H_INT | Flag.FULL_CHR_H_INP


def file_url(path: str | os.PathLike) -> str:
    """Returns a path as FFmpeg takes it; without the prefix, `12:30.mp4` would be a protocol."""
    return f"file:{os.fspath(path)}"


def import_av() -> ModuleType:
    """Returns the module `av`.

    Raises:
      UserError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(
            "Clips need PyAV; install it with: pip install 'stya2k-jax[video]'"
        ) from error
    return av
