"""Opening picture files: which kinds there are, and their pixels before any conversion."""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from stya2k_jax.errors import PictureError

# What a file may be, whatever its name. Of the formats that Pillow reads beyond these one runs a
# program on the file (EPS: Ghostscript), and few of the others are ever tried with broken files.
PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000")

# What of a folder is taken for a picture. A file that is named may have any suffix.
_READ_SUFFIXES = (
    ".jpg .jpeg .jfif .jpe .png .apng .webp .gif .bmp .dib .tif .tiff .ppm .pgm .pbm .pnm .avif "
    ".jp2 .j2k .jpf .jpx .j2c .jpc"
).split()
_HEIC_SUFFIXES = (".heic", ".heif", ".hif")  # read with the package pillow-heif
_RAW_SUFFIXES = (
    ".dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .raf .orf .rw2 .pef .srw .x3f .3fr .iiq .erf"
).split()
_OTHER_SUFFIXES = (".jxl",)
# Those that cannot be read are among them, so that they are named and not passed over.
PICTURE_SUFFIXES = (*_READ_SUFFIXES, *_HEIC_SUFFIXES, *_RAW_SUFFIXES, *_OTHER_SUFFIXES)

# Twice Pillow's default MAX_IMAGE_PIXELS, which is where Pillow itself refuses a decompression
# bomb: photographs of 100 megapixels, of which it only warns, are read.
MAX_PIXELS = 178_956_970

_PNG = b"\x89PNG\r\n\x1a\n"
_KEPT_CHUNKS = (b"tRNS", b"iCCP", b"eXIf")  # beside the critical ones
_LARGEST_KEPT = 2**23  # bytes of one of these
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_JXL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_REDUCED, _OLD_KIND, _DNG_VERSION = 254, 255, 50706  # TIFF tags
_MOST_PAGES = 64  # that are looked at for one that is no thumbnail


@contextmanager
def opened(file: str | os.PathLike | BinaryIO, name: str) -> Iterator[Image.Image]:
    """Opens a picture by its header: the first page of a TIFF that is no thumbnail.

    Raises:
      PictureError: it is of a kind that is known and cannot be read; the message says what to do.
      Exception: whatever Pillow runs into.
    """
    suffix = Path(name).suffix.lower()
    if suffix in _RAW_SUFFIXES:
        raise _raw(name)
    image: Image.Image | None
    try:
        image = Image.open(file, formats=PICTURE_FORMATS)
    except (UnidentifiedImageError, ValueError):  # the latter of a PNG's large texts
        image = _of_another_kind(file, name)
        if image is None:
            raise
    with image:
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            if _DNG_VERSION in image.tag_v2:
                raise _raw(name)
            _turn_to_main_page(image)
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError(
                f"its {image.width}x{image.height} pixels exceed the limit of {MAX_PIXELS}"
            )
        yield image


def bare_png(file: str | os.PathLike | BinaryIO) -> BytesIO | None:
    """Returns a PNG without its texts and other notes; None if the file is no PNG.

    What matters to the pixels stays: transparency, color profile and orientation, if they are
    sound.
    """
    with _bytes_of(file) as source:
        if source.read(8) != _PNG:
            return None
        kept = BytesIO()
        kept.write(_PNG)
        while len(header := source.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            is_critical = kind[:1].isupper()
            if is_critical or (kind in _KEPT_CHUNKS and length <= _LARGEST_KEPT):
                data = source.read(length + 4)
                if is_critical or _is_sound(kind, data):
                    kept.write(header + data)
            else:
                source.seek(length + 4, os.SEEK_CUR)
        kept.seek(0)
        return kept


def _is_sound(kind: bytes, data: bytes) -> bool:
    if data[-4:] != zlib.crc32(kind + data[:-4]).to_bytes(4, "big"):
        return False
    if kind != b"iCCP":
        return True
    try:  # a profile has a name, a zero, a zero for the method, and compressed data
        unpacked = zlib.decompressobj()
        unpacked.decompress(data[:-4].partition(b"\0")[2][1:], _LARGEST_KEPT)
        return unpacked.eof
    except zlib.error:
        return False


@contextmanager
def _bytes_of(file: str | os.PathLike | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(file, str | os.PathLike):
        with open(file, "rb") as source:
            yield source
    else:
        file.seek(0)
        yield file


def _of_another_kind(file: str | os.PathLike | BinaryIO, name: str) -> Image.Image | None:
    """Opens what Pillow alone does not know; None if this does not either."""
    with _bytes_of(file) as source:
        start = source.read(12)
        if start[:8] == _PNG:
            bare = bare_png(source)
            return Image.open(bare, formats=["PNG"]) if bare else None
    if start.startswith(_JXL):
        raise PictureError(f"{name} is JPEG XL, which cannot be read; save it as PNG or JPEG.")
    if start[4:8] != b"ftyp" or start[8:] not in _HEIC_BRANDS:
        return None
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise PictureError(
            f"{name} is HEIC; to read it, install pillow-heif: pip install 'stya2k-jax[heic]'. Or "
            "save it as JPEG or PNG."
        ) from None
    # The class alone: `register_heif_opener` would change Pillow for the whole program.
    if not isinstance(file, str | os.PathLike):
        file.seek(0)
    return HeifImageFile(file)


def _raw(name: str) -> PictureError:
    return PictureError(
        f"{name} is a camera's raw file, which cannot be read; develop it and save it as JPEG, PNG "
        "or TIFF."
    )


def _turn_to_main_page(image: TiffImagePlugin.TiffImageFile) -> None:
    """Seeks the first page that is not marked as a reduced copy; the largest, if all are marked."""
    areas = []
    for page in range(_MOST_PAGES):
        try:
            image.seek(page)
        except EOFError:
            break
        if not (image.tag_v2.get(_REDUCED, 0) & 1 or image.tag_v2.get(_OLD_KIND) == 2):
            return
        areas.append(image.width * image.height)
    image.seek(areas.index(max(areas)))
