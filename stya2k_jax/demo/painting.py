"""Painting what a visitor of the page sends: its limits, its checks and the picture."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.inference.stylizer import COLORS
from stya2k_jax.pictures.opening import opened
from stya2k_jax.pictures.reading import decode_picture
from stya2k_jax.pictures.resizing import resize_short_side

MAX_ALPHA = 1.5
SIZES_PX = (128, 1024)  # smallest and largest short side
DEFAULT_SIZE_PX = 512
# Of an upload, whose sender the server does not know.
MAX_FILE_BYTES = 32 * 2**20
MAX_PIXELS = 50_000_000
MAX_ASPECT = 4  # long side to short side, which after resizing decides about time and memory


def paint(
    stylizer: Any,
    content: str | Path | None,
    styles: Sequence[str | Path | None],
    weights: Sequence[float],
    *,
    alpha: float,
    size_px: int,
    preserve_color: str,
    report: Callable[[float, str], Any] = lambda done, what: None,
) -> tuple[Image.Image, Image.Image]:
    """Paints an uploaded content in a mixture of uploaded styles.

    Args:
      stylizer: a `stya2k_jax.Stylizer`.
      content: picture file.
      styles: picture files; None where no picture was given.
      weights: of the styles, from 0 to 1 each; they are divided by their sum.
      alpha: strength, from 0 to `MAX_ALPHA`.
      size_px: short side to which content and styles are resized, within `SIZES_PX`.
      preserve_color: one of `COLORS`, as in `Stylizer`.
      report: is told the fraction done and what is done next.

    Returns:
      The resized content and the painted picture, of one size.

    Raises:
      UserError: something is missing, not a picture, too large or out of its range.
    """
    _check_settings(weights, alpha, size_px, preserve_color)
    if content is None:
        raise UserError("There is no content yet; upload a picture or click an example.")
    given = {i: path for i, path in enumerate(styles) if path is not None}
    if not given:
        raise UserError("There is no style yet; upload a picture or click an example.")
    total = sum(weights[i] for i in given)
    if not total:
        raise UserError("All styles have weight 0; give one of them more.")

    report(0, "Reading the pictures")
    before = read_upload(content, "The content", size_px)
    shares, pictures = [], []
    for i, path in given.items():
        if weights[i]:
            pictures.append(read_upload(path, f"Style {i + 1}", size_px))
            shares.append(weights[i] / total)
    report(0.2, "Looking at the styles")
    style = stylizer.encode_style(pictures, weights=shares)
    report(0.5, "Painting")
    return before, stylizer(before, style, alpha=alpha, preserve_color=preserve_color)


def read_upload(path: str | Path, name: str, size_px: int) -> Image.Image:
    """Reads a picture of unknown origin as RGB, its short side resized to `size_px`.

    Nothing is decoded before its size is known to be fair: a small file can be a huge picture.

    Raises:
      PictureError: calls the picture `name`, since its path means nothing to who uploaded it.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise PictureError(f"{name} is no longer on the server; upload it again.") from error
    if len(data) > MAX_FILE_BYTES:
        raise PictureError(
            f"{name} has {len(data) / 2**20:.1f} MB; give a file of at most "
            f"{MAX_FILE_BYTES // 2**20} MB."
        )
    width, height = promised_size(data)
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{name} has {width}×{height} pixels; give at most {MAX_PIXELS // 10**6} megapixels."
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError(
            f"{name} has {width}×{height} pixels; its long side may be at most {MAX_ASPECT} times "
            "its short side. Crop it."
        )
    return resize_short_side(decode_picture(data, name), size_px)


def promised_size(data: bytes) -> tuple[int, int]:
    """Returns a picture's width and height without decoding it; (1, 1) for what is no picture."""
    try:
        with opened(BytesIO(data), "") as image:
            return image.size
    except Exception:  # `decode_picture` runs into it again and says it in words
        return 1, 1


def _check_settings(
    weights: Sequence[float], alpha: float, size_px: int, preserve_color: str
) -> None:
    # The page offers nothing else, but who sends a request need not use the page.
    low, high = SIZES_PX
    if not 0 <= alpha <= MAX_ALPHA:
        raise UserError(f"The strength is {alpha}; choose one from 0 to {MAX_ALPHA}.")
    if not low <= size_px <= high:
        raise UserError(f"The size is {size_px} pixels; choose one from {low} to {high}.")
    if preserve_color not in COLORS:
        raise UserError(f"Colours are kept by {', '.join(COLORS)}, not by {preserve_color!r}.")
    if not all(0 <= weight <= 1 for weight in weights):
        raise UserError("The weight of a style is not from 0 to 1; choose another.")
