"""Writing pictures in the format that the suffix of the file names."""

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.pictures.arrays import to_uint8

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
_LOSSY = ("JPEG", "WEBP", "AVIF")
_OPAQUE = ("JPEG", "BMP")
DEFAULT_QUALITY = 92  # of 100; a painted picture has fine strokes in strong colors


class UnwritableError(UserError):
    """A picture that its format cannot hold."""


def check_suffix(suffix: str, quality: int | None = None) -> None:
    """Raises a UserError unless pictures can be written with this suffix and this quality."""
    form = FORMATS.get(suffix.lower())
    if form is None:
        raise UserError(f"No picture can be written as {suffix!r}; use {', '.join(FORMATS)}.")
    if quality is not None and form not in _LOSSY:
        lossy = ", ".join(name for name, kind in FORMATS.items() if kind in _LOSSY)
        raise UserError(f"{suffix} files have no quality: nothing is lost. Use {lossy}.")


def encoded(
    array: np.ndarray, suffix: str, alpha: Image.Image | None = None, quality: int | None = None
) -> bytes:
    """Returns the bytes of a picture file.

    Args:
      array: uint8 `[H, W, 3]`, or floats in [0, 1].
      suffix: one of `FORMATS`.
      alpha: transparency, mode L. JPEG and BMP have none: the picture is then as it is on white.
      quality: 1 to 100, of JPEG, WebP and AVIF. None: `DEFAULT_QUALITY`.

    Raises:
      UserError: no such format, or one without a quality.
      UnwritableError: a picture that is too large for the format.
    """
    check_suffix(suffix, quality)
    form = FORMATS[suffix.lower()]
    image = Image.fromarray(array if array.dtype == np.uint8 else to_uint8(array))
    if alpha is not None and form not in _OPAQUE:
        image.putalpha(alpha)
    options: dict[str, Any] = {}
    if form in _LOSSY:
        options["quality"] = DEFAULT_QUALITY if quality is None else quality
    if form == "JPEG":
        options["subsampling"] = 0  # else the edges between strong colors are smeared
    if form == "TIFF":
        options["compression"] = "tiff_deflate"
    buffer = BytesIO()
    try:
        image.save(buffer, format=form, **options)
    except (OSError, ValueError, KeyError) as error:  # KeyError: Pillow was built without it
        reason = "Pillow lacks it" if isinstance(error, KeyError) else error
        raise UnwritableError(
            f"A picture of {image.width}x{image.height} cannot be written as {suffix} ({reason}); "
            "use .png."
        ) from error
    return buffer.getvalue()


def write_picture(
    path: str | os.PathLike,
    array: np.ndarray,
    alpha: Image.Image | None = None,
    quality: int | None = None,
) -> None:
    """Writes a picture as `encoded` makes it of the path's suffix: the whole file or none."""
    data = encoded(array, Path(path).suffix, alpha, quality)
    write_whole(path, lambda name: Path(name).write_bytes(data))
