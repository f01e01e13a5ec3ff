"""Pictures: files, 8-bit arrays and float arrays in [0, 1]."""

import os
import struct
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from stya2k_jax.errors import UserError
from stya2k_jax.files import write_whole

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")

# What Pillow's decoders raise on damaged files.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError, KeyError)
_DAMAGE += (TypeError, struct.error)


class PictureError(UserError):
    """A picture that cannot be read."""


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
        if file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
    )
    if not found:
        raise PictureError(f"{path} holds no pictures ({', '.join(SUFFIXES)}).")
    return found


def find_all(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Returns the pictures of several files and folders, each once; errors as `find_pictures`."""
    return list(dict.fromkeys(file for path in paths for file in find_pictures(path)))


def read_picture(path: str | os.PathLike) -> Image.Image:
    """Reads a picture file as RGB, upright.

    The EXIF orientation is applied; grey, palette, CMYK and 16-bit pictures are converted, and
    what is transparent is laid on white. Of an animation the first frame is taken.

    Raises:
      PictureError: names the file and the reason.
    """
    return _read(path, str(path))


def decode_picture(data: bytes, name: str) -> Image.Image:
    """Reads the bytes of a picture file as `read_picture` does.

    Raises:
      PictureError: names the picture, which is called `name`, and the reason.
    """
    return _read(BytesIO(data), name)


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts a picture of any mode to 8-bit RGB; transparency is laid on white.

    Raises:
      ValueError: floats that are NaN or infinite.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bit(image)
    if image.mode in ("LA", "PA", "RGBa", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def to_float(image: Image.Image) -> np.ndarray:
    """Returns an RGB picture as float32 `[H, W, 3]` in [0, 1]."""
    return np.asarray(image, np.float32) / 255


def to_uint8(array: np.ndarray) -> np.ndarray:
    """Clips to [0, 1] and rounds to 8 bits (the released code truncates instead)."""
    return np.round(np.clip(np.asarray(array, np.float32), 0, 1) * 255).astype(np.uint8)


def resize_short_side(image: Image.Image, size_px: int) -> Image.Image:
    """Resizes so that the short side has `size_px`, aspect kept, bicubic; 0 leaves it as it is."""
    if size_px == 0 or min(image.size) == size_px:
        return image
    factor = size_px / min(image.size)
    size = tuple(max(1, round(side * factor)) for side in image.size)
    return image.resize(size, Image.Resampling.BICUBIC)


def squash(image: Image.Image, size_px: int) -> Image.Image:
    """Resizes to a square of `size_px`, aspect not kept, bicubic; one of that size stays as it is.

    This is what training does to pictures, and what `stya2k_jax.prepare` does before it.
    """
    return (
        image
        if image.size == (size_px,) * 2
        else image.resize((size_px, size_px), Image.Resampling.BICUBIC)
    )


def crop_square(image: Image.Image, size_px: int) -> Image.Image:
    """Cuts out the largest square in the middle and resizes it to `size_px`, bicubic."""
    side = min(image.size)
    left, top = ((x - side) // 2 for x in image.size)
    image = image.crop((left, top, left + side, top + side))
    return image if side == size_px else image.resize((size_px,) * 2, Image.Resampling.BICUBIC)


def write_png(path: str | os.PathLike, array: np.ndarray) -> None:
    """Writes uint8 `[H, W, 3]`, or floats in [0, 1], as PNG: the whole file or none."""
    array = array if array.dtype == np.uint8 else to_uint8(array)
    write_whole(path, lambda name: Image.fromarray(array).save(name, format="PNG"))


def grid(rows: Iterable[Iterable[np.ndarray]], gap_px: int = 2) -> np.ndarray:
    """Lays pictures `[H, W, 3]` of one size, floats in [0, 1], out in rows on white."""
    padded = [np.concatenate([_with_gap(cell, gap_px) for cell in row], axis=1) for row in rows]
    return np.concatenate(padded, axis=0)[gap_px:, gap_px:]


def _read(file: str | os.PathLike | BinaryIO, name: str) -> Image.Image:
    try:
        with Image.open(file) as image:
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise PictureError(f"{name} does not exist.") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"{name} is not a picture that Pillow can read.") from error
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PictureError(f"{name} cannot be read: {reason.rstrip('.')}.") from error


def _with_gap(cell: np.ndarray, gap_px: int) -> np.ndarray:
    widths = ((gap_px, 0), (gap_px, 0), (0, 0))
    return np.pad(np.clip(cell, 0, 1), widths, constant_values=1.0)


def _eight_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinity")
    largest = values.max(initial=0)
    if image.mode.startswith("I;16"):
        white = 65535
    elif image.mode == "F" and largest < 2:  # [0, 1], perhaps a little beyond
        white = 1
    else:  # 32 bits have no agreed range: the smallest usual one that fits
        white = next(x for x in (255, 65535, largest) if largest <= x)
    scaled = np.clip(np.round(values / white * 255), 0, 255).astype(np.uint8)
    scaled[values == image.info.get("transparency", np.nan)] = 255
    return Image.fromarray(scaled)
