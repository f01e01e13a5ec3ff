"""Files as phones, cameras, scanners and other programs leave them."""

import builtins
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from stya2k_jax.errors import PictureError
from stya2k_jax.pictures.opening import PICTURE_SUFFIXES
from stya2k_jax.pictures.reading import (
    decode_picture,
    files_below,
    find_pictures,
    read_layers,
    read_picture,
    upright_size,
)

REDUCED, PHOTOMETRIC, DNG_VERSION = 254, 262, 50706  # TIFF tags


def noise(height=12, width=16, channels=3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


### Folders


@pytest.mark.parametrize("suffix", "jpg jfif jpe png apng gif bmp dib pnm ppm avif jp2 j2k".split())
def test_a_folder_takes_what_is_read_when_named(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(noise()).save(file)
    assert find_pictures(tmp_path) == [file]
    assert read_picture(file).size == (16, 12)


@pytest.mark.parametrize("name", ["a.heic", "b.JXL", "c.dng", "d.cr2", "e.NEF", "f.arw"])
def test_what_cannot_be_read_is_found_so_that_it_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"something")
    assert find_pictures(tmp_path) == [tmp_path / name]
    with pytest.raises(PictureError, match=name):
        read_picture(tmp_path / name)


def test_suffixes_are_named_once():
    assert len(set(PICTURE_SUFFIXES)) == len(PICTURE_SUFFIXES)


def test_a_folder_that_may_not_be_entered_is_found_and_named(tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir()
    Image.fromarray(noise()).save(tmp_path / "a.png")
    Image.fromarray(noise()).save(closed / "b.png")
    forbid(monkeypatch, closed)
    assert files_below(tmp_path) == ([tmp_path / "a.png"], [closed])
    assert find_pictures(tmp_path) == [tmp_path / "a.png", closed]
    with pytest.raises(PictureError, match=r"closed is a folder that may not be entered"):
        read_picture(closed)
    with pytest.raises(PictureError, match=r"closed is a folder that may not be entered"):
        find_pictures(closed)


def forbid(monkeypatch, folder):
    """Makes a folder one of somebody else's; tests may run as root, who may enter all."""

    def refusing(function):
        def run(path, *arguments, **options):
            if isinstance(path, str | os.PathLike) and os.fspath(path) == os.fspath(folder):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return function(path, *arguments, **options)

        return run

    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    monkeypatch.setattr(builtins, "open", refusing(open))


### HEIC and JPEG XL


def test_heic_is_read_where_pillow_heif_is(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    picture = np.full((64, 96, 3), (200, 100, 50), np.uint8)
    image = Image.fromarray(picture)
    heif.from_pillow(image).save(tmp_path / "a.heic", quality=100)
    data = (tmp_path / "a.heic").read_bytes()
    for read in (read_picture(tmp_path / "a.heic"), decode_picture(data, "an upload")):
        assert np.abs(np.asarray(read).astype(int) - picture).max() <= 4
    assert upright_size(tmp_path / "a.heic") == (64, 96)
    with pytest.raises(Image.UnidentifiedImageError):  # Pillow is as it was
        Image.open(tmp_path / "a.heic")


def test_heic_without_pillow_heif_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(PictureError, match=r"a.heic is HEIC; .* pip install 'stya2k-jax\[heic\]'"):
        read_picture(tmp_path / "a.heic")


def test_jpeg_xl_is_refused_by_its_name(tmp_path):
    for start in (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"):
        (tmp_path / "a.jxl").write_bytes(start + bytes(50))
        with pytest.raises(PictureError, match="a.jxl is JPEG XL, which cannot be read"):
            read_picture(tmp_path / "a.jxl")


### TIFF


def tiff(path, pages, tags):
    """Writes pages with tags of their own."""
    with TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as file:
        for page, numbers in zip(pages, tags, strict=True):
            Image.fromarray(page).save(file, format="TIFF", tiffinfo=numbers)
            file.newFrame()
    return path


def test_of_a_tiff_the_first_page_that_is_no_thumbnail_is_taken(tmp_path):
    small, large, more = noise(3, 4), noise(12, 16), noise(6, 8)
    file = tiff(tmp_path / "a.tif", [small, large, more], [{REDUCED: 1}, {REDUCED: 0}, {}])
    np.testing.assert_array_equal(np.asarray(read_picture(file)), large)
    assert upright_size(file) == (12, 16)


def test_of_thumbnails_only_the_largest_is_taken(tmp_path):
    file = tiff(tmp_path / "a.tif", [noise(3, 4), noise(12, 16)], [{REDUCED: 1}] * 2)
    assert read_picture(file).size == (16, 12)


def test_raw_files_are_refused_whatever_they_are_called(tmp_path):
    for name in ("a.dng", "a.tif", "a.nef"):
        version = {DNG_VERSION: b"\1\4\0\0"} if name != "a.nef" else {}
        file = tiff(tmp_path / name, [noise(3, 4)], [version])
        with pytest.raises(PictureError, match=f"{name} is a camera's raw file.* save it as JPEG"):
            read_picture(file)


def test_16_bits_with_0_for_white_are_no_negative(tmp_path):
    values = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={PHOTOMETRIC: 0})
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == "I;16" and image.tag_v2[PHOTOMETRIC] == 0
        np.testing.assert_array_equal(np.asarray(image), values)  # Pillow does not mind
    shown = np.asarray(read_picture(tmp_path / "a.tif"))
    np.testing.assert_array_equal(shown[..., 0], 255 - values // 257)


### BMP


def bmp(path, alpha: int):
    """Writes a BMP of 32 bits whose header (V4) has a mask for the fourth byte."""
    pixels = np.concatenate([noise(4, 5), np.full((4, 5, 1), alpha, np.uint8)], axis=2)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 5, 4, 1, 32, 3, 80, 2835, 2835, 0, 0)
    header += masks + b"BGRs" + bytes(48)
    data = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
    offset = 14 + len(header)
    path.write_bytes(b"BM" + struct.pack("<IHHI", offset + 80, 0, 0, offset) + header + data)
    return path


@pytest.mark.parametrize("alpha", [0, 255])
def test_a_fourth_byte_that_is_not_used_is_no_transparency(tmp_path, alpha):
    file = bmp(tmp_path / "a.bmp", alpha)
    with Image.open(file) as image:
        assert image.mode == "RGBA"
    rgb, transparency = read_layers(file)
    np.testing.assert_array_equal(np.asarray(rgb), noise(4, 5))
    assert transparency is None


### PNG


def chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("kind", ["large", "large in sum", "wrong sum", "no text", "cut profile"])
def test_texts_that_are_large_or_damaged_do_not_cost_the_picture(tmp_path, where, kind):
    large = zlib.compress(bytes(2 * PngImagePlugin.MAX_TEXT_CHUNK))
    extra = {
        "large": chunk(b"zTXt", b"workflow\0\0" + large),
        "large in sum": b"".join(
            chunk(b"zTXt", b"w%d\0\0" % i + zlib.compress(bytes(2**20))) for i in range(70)
        ),
        "wrong sum": chunk(b"tEXt", b"Comment\0text", crc=1),
        "no text": chunk(b"zTXt", b"Comment\0\7" + b"junk"),
        "cut profile": chunk(b"iCCP", b"ICC\0\0" + large[:50], crc=3),
    }[kind]
    file = tmp_path / "a.png"
    Image.fromarray(noise()).save(file)
    data = file.read_bytes()
    at = data.index(b"IDAT") - 4 if where == "before" else data.index(b"IEND") - 4
    file.write_bytes(data[:at] + extra + data[at:])
    np.testing.assert_array_equal(np.asarray(read_picture(file)), noise())
    assert upright_size(file) == (12, 16)


def test_a_png_that_is_read_again_keeps_what_belongs_to_its_pixels(tmp_path):
    palette = Image.fromarray(noise(channels=1)[..., 0] // 64, "P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    palette.save(tmp_path / "a.png", transparency=bytes([0, 255, 128, 255]))
    expected = read_layers(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    at = data.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(data[:at] + chunk(b"tEXt", b"a\0b", crc=1) + data[at:])
    for ours, theirs in zip(read_layers(tmp_path / "a.png"), expected, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_pixels_that_are_damaged_are_refused_as_before(tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    at = data.index(b"IDAT") + 20
    data[at : at + 40] = bytes(40)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(PictureError, match="a.png cannot be read"):
        read_picture(tmp_path / "a.png")
