"""Pictures: files, 8-bit arrays and float arrays in [0, 1]."""

import logging
import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from stya2k_jax.errors import PictureError, UserError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")

# What a file may be, whatever its name. Of the formats that Pillow reads beyond these one runs a
# program on the file (EPS: Ghostscript), and few of the others are ever tried with broken files.
PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000")

# Twice Pillow's default MAX_IMAGE_PIXELS, which is where Pillow itself refuses a decompression
# bomb: photographs of 100 megapixels, of which it only warns, are read.
MAX_PIXELS = 178_956_970

_STRIP_PIXELS = 2**20  # converted at once, because conversions take many bytes a pixel

_UPRIGHT = {  # by the EXIF orientation of the stored pixels
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = tuple(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))


def find_pictures(path: str | os.PathLike) -> list[Path]:
    """Returns the file itself, or all pictures below a folder, sorted.

    Hidden files and folders are left out, and links to folders are not followed.

    Raises:
      PictureError: the path does not exist, or the folder holds no picture.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise PictureError(f"{path} does not exist; give a picture or a folder of pictures.")
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in PICTURE_SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
    )
    if not found:
        raise PictureError(f"{path} holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
    return found


def find_all(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Returns the pictures of several files and folders, each once; errors as `find_pictures`."""
    return list(dict.fromkeys(file for path in paths for file in find_pictures(path)))


def read_picture(path: str | os.PathLike, background: int = 255) -> Image.Image:
    """Reads a picture file as RGB, upright.

    The EXIF orientation is applied; grey, palette, CMYK and 16-bit pictures are converted. Of an
    animation the first frame is taken. EXIF data that cannot be parsed are as good as none.

    Args:
      path: a file of one of `PICTURE_FORMATS`, whatever its suffix.
      background: grey level of 255 that is seen through what is transparent; 255 is white.

    Raises:
      PictureError: the file cannot be read, or its header promises more than `MAX_PIXELS`; names
        the file and the reason.
    """
    return _read(path, str(path), background)


def upright_size(path: str | os.PathLike) -> tuple[int, int] | None:
    """Returns height and width of what `read_picture` would return, by the file's header alone.

    None if there is no such picture; damage beyond the header is not found out. Of a PNG whose EXIF
    data come after its pixels it is the stored size.
    """
    try:
        with _quiet_pillow, Image.open(path, formats=PICTURE_FORMATS) as image:
            _refuse_too_many_pixels(*image.size)
            width, height = image.size
            is_turned = image.format != "TIFF" and _turn_of(image) in _SIDEWAYS
    except Exception:  # as in `_read`, which will say why
        return None
    return (width, height) if is_turned else (height, width)


def decode_picture(data: bytes, name: str) -> Image.Image:
    """Reads the bytes of a picture file as `read_picture` does.

    Raises:
      PictureError: names the picture, which is called `name`, and the reason.
    """
    return _read(BytesIO(data), name)


def to_rgb(image: Image.Image, background: int = 255) -> Image.Image:
    """Converts a picture of any mode to 8-bit RGB, transparency laid on a grey level of 255.

    Raises:
      UserError: floats that are NaN or infinite.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    white = _white_of(image)
    rgb = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        if white is not None:
            strip = _eight_bit(strip, white, background)
        rgb.paste(_opaque(strip, background).convert("RGB"), (0, top))
    return rgb


class _QuietPillow:
    """Keeps from stderr what Pillow warns of and logs while any thread reads a picture.

    A picture is returned, or refused in one message that names it; Pillow's warnings name none.
    `warnings.catch_warnings` alone leaves wrong filters behind where threads enter and leave it in
    different orders: here the first reader enters it, and the last one leaves it.
    """

    def __init__(self):
        self._lock, self._readers, self._changes = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._readers:
                self._changes.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\.")
                logger = logging.getLogger("PIL")
                self._changes.callback(logger.setLevel, logger.level)
                logger.setLevel(logging.CRITICAL)
            self._readers += 1

    def __exit__(self, *_) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                self._changes.close()


_quiet_pillow = _QuietPillow()


def _read(file: str | os.PathLike | BinaryIO, name: str, background: int = 255) -> Image.Image:
    try:
        with _quiet_pillow, Image.open(file, formats=PICTURE_FORMATS) as image:
            _refuse_too_many_pixels(*image.size)
            image.load()
            rgb = to_rgb(_upright(image), background)
    except FileNotFoundError as error:
        raise PictureError(f"{name} does not exist.") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"{name} is not a picture ({', '.join(PICTURE_FORMATS)}).") from error
    except Image.DecompressionBombError as error:
        reason = str(error).partition(",")[0]  # the rest speaks of an attack
        raise PictureError(f"{name} is too large: {reason}; make it smaller first.") from error
    except Exception as error:  # on damaged files Pillow's decoders raise whatever they run into
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(reason.split()).rstrip(".")
        raise PictureError(f"{name} cannot be read: {reason}.") from error
    if rgb is image:  # which is bound to its file
        rgb = rgb.copy()
    rgb.filename = name  # where Pillow keeps it too; `resize_short_side` names the picture by it
    return rgb


def _refuse_too_many_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError(
            f"its {width}x{height} pixels exceed the limit of {MAX_PIXELS}"
        )


def _upright(image: Image.Image) -> Image.Image:
    # Not ImageOps.exif_transpose: that writes the EXIF data anew and fails on what it cannot write.
    turn = _turn_of(image)
    return image if turn is None else image.transpose(turn)


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    try:
        # Not `image.getexif()`: for a PNG that first decodes all pixels.
        return _UPRIGHT.get(Image.Image.getexif(image).get(ExifTags.Base.Orientation))
    except Exception:  # whatever the parser runs into; the pixels are good
        return None


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Cuts a picture into strips of whole rows; yields the number of the first row and the strip.

    So 16-bit, float and transparent pictures take little more memory than their result.
    """
    rows = max(1, _STRIP_PIXELS // max(1, image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _white_of(image: Image.Image) -> float | None:
    """Returns the value of white in a picture of 16 or 32 bits a pixel; None for 8 bits."""
    if image.mode.startswith("I;16"):
        return 65535
    if image.mode not in ("I", "F"):
        return None
    largest = 0.0
    for _, strip in _strips(image):
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise UserError("the picture holds NaN or infinity")
        largest = max(largest, float(values.max(initial=0)))
    if image.mode == "F" and largest < 2:  # [0, 1], perhaps a little beyond
        return 1
    # 32 bits have no agreed range: the smallest usual one that fits.
    return next(x for x in (255, 65535, largest) if largest <= x)


def _eight_bit(image: Image.Image, white: float, background: int) -> Image.Image:
    values = np.asarray(image, np.float64)
    scaled = np.clip(np.round(values / white * 255), 0, 255).astype(np.uint8)
    scaled[values == image.info.get("transparency", np.nan)] = background
    return Image.fromarray(scaled)


def _opaque(image: Image.Image, background: int) -> Image.Image:
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    if image.mode in ("LA", "PA", "RGBa", "RGBA") or "transparency" in image.info:
        behind = Image.new("RGBA", image.size, (background,) * 3 + (255,))
        image = Image.alpha_composite(behind, image.convert("RGBA"))
    return image
