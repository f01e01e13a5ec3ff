"""Reading pictures: finding files, and turning each into upright 8-bit sRGB."""

import logging
import os
import threading
import warnings
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import ExifTags, Image, UnidentifiedImageError

from stya2k_jax.errors import PictureError
from stya2k_jax.pictures.modes import alpha_of, to_rgb
from stya2k_jax.pictures.opening import (
    PICTURE_FORMATS,
    PICTURE_SUFFIXES,
    bare_png,
    opened,
)

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


class Layers(NamedTuple):
    """A picture and its transparency.

    Attributes:
      rgb: what is seen of it on a background, 8 bits a channel, sRGB.
      alpha: mode L, 255 where it is opaque; None where it is so everywhere.
    """

    rgb: Image.Image
    alpha: Image.Image | None


def find_pictures(path: str | os.PathLike) -> list[Path]:
    """Returns the file itself, or all pictures below a folder, sorted.

    Hidden files and folders are left out, and links to folders are not followed. Pictures of a kind
    that cannot be read are among them, and so are folders below that may not be entered: reading
    them says why.

    Raises:
      PictureError: the path does not exist, or the folder holds no picture.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise PictureError(f"{path} does not exist; give a picture or a folder of pictures.")
    files, closed = files_below(path)
    if closed == [path]:
        raise PictureError(closed_reason(path))
    found = sorted(closed + [file for file in files if file.suffix.lower() in PICTURE_SUFFIXES])
    if not found:
        raise PictureError(f"{path} holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
    return found


def find_all(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Returns the pictures of several files and folders, each once; errors as `find_pictures`."""
    return list(dict.fromkeys(file for path in paths for file in find_pictures(path)))


def files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns all files below a folder, and the folders that may not be entered, each sorted.

    Hidden files and folders are left out, and links to folders are not followed.
    """
    files, closed = [], []

    def note(error: OSError) -> None:
        closed.append(Path(error.filename))

    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        seen = (Path(parent, name) for name in names if not name.startswith("."))
        files += [file for file in seen if _may_be_file(file)]
    return sorted(files), sorted(closed)


def closed_reason(folder: Path) -> str:
    """Returns what there is to say of a folder that may not be entered."""
    return (
        f"{folder} is a folder that may not be entered; ask its owner for access, or leave it out."
    )


def read_picture(
    path: str | os.PathLike, background: int = 255, use_profile: bool = True
) -> Image.Image:
    """Reads a picture file as RGB, upright.

    The EXIF orientation is applied, and the color profile: what comes out is sRGB. Grey, palette,
    CMYK and 16-bit pictures are converted. Of an animation the first frame is taken, of a TIFF the
    first page that is no thumbnail. EXIF data and profiles that cannot be parsed are as good as
    none.

    Args:
      path: a file of one of `PICTURE_FORMATS`, whatever its suffix; HEIC where pillow-heif is.
      background: grey level of 255 that is seen through what is transparent; 255 is white.
      use_profile: False leaves the numbers as they are stored.

    Raises:
      PictureError: the file cannot be read, or its header promises more than `MAX_PIXELS`; names
        the file and the reason.
    """
    return _read(path, str(path), background, use_profile)[0]


def read_layers(path: str | os.PathLike) -> Layers:
    """Reads a picture file as `read_picture` does, and its transparency beside it."""
    return _read(path, str(path))


def upright_size(path: str | os.PathLike) -> tuple[int, int] | None:
    """Returns height and width of what `read_picture` would return, by the file's header alone.

    None if there is no such picture; damage beyond the header is not found out. Of a PNG whose EXIF
    data come after its pixels it is the stored size.
    """
    try:
        with _quiet_pillow, opened(path, str(path)) as image:
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
    return decode_layers(data, name)[0]


def decode_layers(data: bytes, name: str) -> Layers:
    """Reads the bytes of a picture file as `read_layers` does; errors as `decode_picture`."""
    return _read(BytesIO(data), name)


def layers_of(image: Image.Image, background: int = 255, use_profile: bool = True) -> Layers:
    """Returns a PIL image as `read_layers` returns its file: upright, in sRGB.

    Raises:
      UserError: floats that are NaN or infinite.
    """
    profile = image.info.get("icc_profile") if use_profile else None
    image = _upright(image)
    alpha = alpha_of(image)
    if alpha is not None and image.format in ("BMP", "DIB") and not alpha.getbbox():
        image, alpha = image.convert("RGB"), None  # the fourth byte is not used
    if alpha is not None and alpha.getextrema() == (255, 255):
        alpha = None
    return Layers(to_rgb(image, background, profile), alpha)


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


def _read(
    file: str | os.PathLike | BinaryIO, name: str, background: int = 255, use_profile: bool = True
) -> Layers:
    try:
        with _quiet_pillow:
            try:
                return _decoded(file, name, background, use_profile)
            except Exception:
                # Notes that are damaged or large must not cost the picture.
                bare = bare_png(file)
                if bare is None:
                    raise
                with suppress(Exception):
                    return _decoded(bare, name, background, use_profile)
                raise
    except PictureError:
        raise
    except FileNotFoundError as error:
        raise PictureError(f"{name} does not exist.") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"{name} is not a picture ({', '.join(PICTURE_FORMATS)}).") from error
    except Image.DecompressionBombError as error:
        reason = str(error).partition(",")[0]  # the rest speaks of an attack
        raise PictureError(f"{name} is too large: {reason}; make it smaller first.") from error
    except Exception as error:  # on damaged files Pillow's decoders raise whatever they run into
        if isinstance(error, PermissionError) and os.path.isdir(name):
            raise PictureError(closed_reason(Path(name))) from error
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(reason.split()).rstrip(".")
        raise PictureError(f"{name} cannot be read: {reason}.") from error


def _decoded(
    file: str | os.PathLike | BinaryIO, name: str, background: int, use_profile: bool
) -> Layers:
    with opened(file, name) as image:
        image.load()
        rgb, alpha = layers_of(image, background, use_profile)
    if rgb is image:  # which is bound to its file
        rgb = rgb.copy()
    rgb.info = {}  # orientation and profile have been applied
    # Where Pillow keeps it too; `resize_short_side` names the picture by it.
    rgb.filename = name  # type: ignore[attr-defined]
    return Layers(rgb, alpha)


def _upright(image: Image.Image) -> Image.Image:
    # Not ImageOps.exif_transpose: that writes the EXIF data anew and fails on what it cannot write.
    turn = None if image.format == "TIFF" else _turn_of(image)  # Pillow turns a TIFF itself
    return image if turn is None else image.transpose(turn)


def _may_be_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # in a folder that may be listed and not entered; reading it says why
        return True


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    try:
        # Not `image.getexif()`: for a PNG that first decodes all pixels.
        return _UPRIGHT.get(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever the parser runs into; the pixels are good
        return None
