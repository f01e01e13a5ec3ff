"""Pictures as users have them: phone photographs, scans, cut-outs, and files that are broken."""

import logging
import os
import struct
import threading
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.pictures import arrays, modes
from stya2k_jax.pictures.arrays import grid, to_float, to_uint8, write_png
from stya2k_jax.pictures.modes import to_rgb
from stya2k_jax.pictures.reading import (
    decode_picture,
    find_pictures,
    read_picture,
    upright_size,
)
from stya2k_jax.pictures.resizing import crop_square, resize_short_side, resized_size
from tests.support.picture_files import ORIENTATION, UNDO, noise, saved

NOISE = noise(0, 5, 7, 3)


def read(path) -> np.ndarray:
    picture = read_picture(path)
    assert picture.mode == "RGB"
    return np.asarray(picture)


### Reading


@pytest.mark.parametrize("orientation", UNDO)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_photographs_stand_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = saved(tmp_path / f"phone{suffix}", NOISE, exif=exif)
    np.testing.assert_array_equal(read(path), UNDO[orientation](NOISE))


def test_exif_data_that_pillow_cannot_write_anew_do_not_matter(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION], exif[305] = 6, ""
    whole = saved(tmp_path / "phone.png", NOISE, exif=exif).read_bytes()
    text, float32 = (struct.pack(">HHI", 305, type, 1) for type in (2, 11))
    start, end = whole.index(b"eXIf"), whole.index(b"IDAT") - 8
    block = whole[start:end].replace(text, float32)  # the camera's name as a number
    assert block != whole[start:end]
    block += struct.pack(">I", zlib.crc32(block))
    (tmp_path / "phone.png").write_bytes(whole[:start] + block + whole[end + 4 :])
    np.testing.assert_array_equal(read(tmp_path / "phone.png"), UNDO[6](NOISE))


def test_a_picture_whose_exif_data_cannot_be_parsed_is_read_as_it_is_stored(tmp_path):
    path = saved(tmp_path / "edited.png", NOISE, exif=b"not EXIF")
    np.testing.assert_array_equal(read(path), NOISE)


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.png", "a.webp", "a.bmp", "a.gif", "a.ppm"])
def test_the_usual_formats_are_read(tmp_path, name):
    flat = np.full((16, 24, 3), (200, 100, 50), np.uint8)
    out = read(saved(tmp_path / name, flat))
    assert np.abs(out.astype(int) - flat).max() <= 4  # JPEG and WebP lose a little


def test_grey_pictures_become_three_equal_channels(tmp_path):
    grey = NOISE[..., 0]
    out = read(saved(tmp_path / "grey.png", grey))
    for channel in range(3):
        np.testing.assert_array_equal(out[..., channel], grey)


def test_line_art_becomes_black_and_white(tmp_path):
    bits = NOISE[..., 0] > 127
    out = read(saved(tmp_path / "line.png", bits))
    np.testing.assert_array_equal(out, np.repeat(255 * bits[..., None], 3, axis=2))


def test_palette_pictures_get_their_colors(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([250, 0, 0, 0, 240, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png")
    assert read(tmp_path / "palette.png").tolist() == [[[250, 0, 0], [0, 240, 0]]]


def test_cmyk_is_converted_to_what_pillow_shows(tmp_path):
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    out = read(saved(tmp_path / "print.tif", flat, "CMYK"))
    assert np.abs(out.astype(int) - flat).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_laid_on_white(tmp_path, mode):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[..., 3] = 0, 128, 255  # black, at three opacities
    path = saved(tmp_path / "cut-out.png", rgba, mode)
    assert read(path)[0, :, 0].tolist() == [255, 127, 0]


@pytest.mark.parametrize("mode", ["PA", "La", "RGBa"])  # of images in memory, not of files
def test_transparency_of_the_rarer_modes_is_laid_on_white(mode):
    assert (np.asarray(to_rgb(Image.new(mode, (2, 2)))) == 255).all()


def test_what_is_transparent_may_be_laid_on_another_grey(tmp_path):
    rgba = np.full((1, 3, 4), 255, np.uint8)
    rgba[..., 3] = 0, 128, 255
    path = saved(tmp_path / "mask.png", rgba)
    assert np.asarray(read_picture(path, background=0))[0, :, 0].tolist() == [0, 128, 255]
    path = saved(tmp_path / "x.png", np.array([[0, 1000]], np.uint16), transparency=1000)
    assert np.asarray(read_picture(path, background=7))[0, :, 0].tolist() == [0, 7]


MODES = "1 L LA La P PA RGB RGBA RGBa RGBX CMYK YCbCr LAB HSV I I;16 I;16L I;16B F".split()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("transparency", [None, 0, (1, 2, 3), b"\0\1"])
def test_pictures_of_every_mode_become_rgb(mode, transparency):
    image = Image.new(mode, (3, 2))
    if transparency is not None:
        image.info["transparency"] = transparency
    try:
        rgb = to_rgb(image)
    except (TypeError, ValueError):
        kinds = {"P": (int, bytes), "1": (int, tuple), "L": (int, tuple), "RGB": (int, tuple)}
        assert not isinstance(transparency, kinds[mode])  # it means nothing in that mode
    else:
        assert rgb.mode == "RGB" and rgb.size == (3, 2)


@pytest.mark.parametrize("mode", ["L", "PA", "RGBA", "CMYK", "I", "F"])
def test_pictures_are_converted_in_strips_as_at_once(monkeypatch, mode):
    image = Image.fromarray(noise(0, 9, 6, 3)).convert("L" if mode == "PA" else mode).convert(mode)
    whole = np.asarray(to_rgb(image))
    for pixels in (1, 7, 12, 40):
        monkeypatch.setattr(modes, "_STRIP_PIXELS", pixels)
        np.testing.assert_array_equal(np.asarray(to_rgb(image)), whole)


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_transparent_color_is_laid_on_white(tmp_path, mode):
    image = Image.new("RGB", (2, 1), (250, 250, 250))
    image.putpixel((1, 0), (8, 8, 8))
    image = image.convert(mode)
    light = to_rgb(image).getpixel((0, 0))  # Pillow's palette has no 250
    image.save(tmp_path / "logo.png", transparency=image.getpixel((1, 0)))
    assert read(tmp_path / "logo.png")[0].tolist() == [list(light), [255, 255, 255]]


@pytest.mark.parametrize("name", ["scan.png", "scan.tif", "scan.pgm"])
def test_16_bits_are_scaled_not_clipped(tmp_path, name):
    path = saved(tmp_path / name, np.array([[0, 257, 32768, 65535]], np.uint16))
    assert read(path)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_dark_16_bit_pictures_stay_dark(tmp_path):
    path = saved(tmp_path / "night.png", np.array([[0, 100, 255]], np.uint16))
    assert read(path)[0, :, 0].tolist() == [0, 0, 1]


def test_big_endian_16_bits_are_read_as_little_endian_ones(tmp_path):
    path = saved(tmp_path / "mac.tif", np.array([[0, 257, 32768, 65535]], ">u2"))
    assert read(path)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_a_transparent_16_bit_grey_is_laid_on_white(tmp_path):
    path = saved(tmp_path / "x.png", np.array([[0, 1000]], np.uint16), transparency=1000)
    assert read(path)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("largest", [255, 65535, 2**31 - 1])
def test_32_bit_integers_are_scaled_by_the_usual_range_that_fits(tmp_path, largest):
    values = np.array([[0, largest // 2, largest]], np.int32)
    out = read(saved(tmp_path / "deep.tif", values))
    assert out[0, :, 0].tolist() in ([0, 127, 255], [0, 128, 255])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.5, 1], [0, 128, 255]),
        ([-0.02, 0.5, 1.02], [0, 128, 255]),  # overshoot of a resized picture
        ([0, 128, 255], [0, 128, 255]),
    ],
)
def test_floats_are_taken_as_0_to_1_or_as_0_to_255(tmp_path, values, expected):
    path = saved(tmp_path / "float.tif", np.array([values], np.float32))
    assert read(path)[0, :, 0].tolist() == expected


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ((250, 0, 0), (0, 0, 250))]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(
        read(tmp_path / "moving.gif"), np.full((4, 4, 3), (250, 0, 0), np.uint8)
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_the_upright_size_is_known_from_the_header(tmp_path, suffix):
    for orientation in (None, *UNDO):
        exif = Image.Exif()
        if orientation:
            exif[ORIENTATION] = orientation
        path = saved(tmp_path / f"{orientation}{suffix}", NOISE, exif=exif)
        assert upright_size(path) == read(path).shape[:2]


def test_what_is_no_picture_has_no_size_and_damaged_pixels_do_not_matter(tmp_path):
    assert upright_size(tmp_path / "missing.png") is None
    assert upright_size(broken(tmp_path, "text")) is None
    assert upright_size(broken(tmp_path, "huge")) is None
    assert upright_size(broken(tmp_path, "cut-off data")) == (64, 64)


### Broken files


def png_of(width: int, height: int) -> bytes:
    """Returns a PNG whose header promises a size; its data are empty."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def broken(tmp_path, kind: str):
    path = tmp_path / f"{kind}.png"
    whole = saved(tmp_path / "whole.png", noise(0, 64, 64, 3)).read_bytes()
    if kind == "directory":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(
            {
                "empty": b"",
                "text": b"This is not a picture.",
                "cut-off header": whole[:20],
                "cut-off data": whole[: len(whole) // 2],
                "overwritten": whole[:200] + bytes(300) + whole[500:],
                "huge": png_of(100_000, 100_000),
            }[kind]
        )
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "does not exist"),
        ("empty", "is not a picture"),
        ("text", "is not a picture"),
        ("cut-off header", "Truncated"),
        ("cut-off data", "truncated"),
        ("overwritten", "broken"),
        ("huge", "exceeds limit"),
        ("directory", "Is a directory"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it_and_the_reason(tmp_path, kind, reason):
    path = broken(tmp_path, kind)
    with pytest.raises(PictureError, match=reason) as error:
        read_picture(path)
    message = str(error.value)
    assert message.startswith(f"{path} ") and message.endswith(".") and not message.endswith("..")
    assert "\n" not in message


def test_nothing_but_picture_formats_is_tried_on_a_file(tmp_path):
    path = tmp_path / "poster.png"  # which Pillow would hand to Ghostscript
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    with pytest.raises(PictureError, match="poster.png is not a picture .JPEG, PNG, "):
        read_picture(path)


def test_a_jpeg_without_its_end_is_an_error_that_names_it(tmp_path):
    path = saved(tmp_path / "download.jpg", noise(0, 64, 64, 3))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(PictureError, match="download.jpg cannot be read: .*truncated"):
        read_picture(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_not_numbers_are_refused(tmp_path, value):
    path = saved(tmp_path / "float.tif", np.array([[0, value]], np.float32))
    with pytest.raises(PictureError, match="float.tif cannot be read: the picture holds NaN"):
        read_picture(path)


def test_floats_in_memory_that_are_not_numbers_are_refused():
    with pytest.raises(UserError, match="the picture holds NaN or infinity"):
        to_rgb(Image.fromarray(np.array([[0, np.nan]], np.float32)))


@pytest.mark.parametrize(
    "suffix", [".jpg", ".png", ".gif", ".tif", ".webp", ".bmp", ".ppm", ".avif", ".jp2"]
)
def test_any_damage_gives_a_picture_or_a_picture_error(tmp_path, suffix):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = saved(tmp_path / f"damaged{suffix}", noise(0, 20, 30, 3), exif=exif)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 400), 5):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(1, 2 * len(whole))])
        try:
            assert read_picture(path).mode == "RGB"
        except PictureError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused


def test_pillows_warnings_are_silent_while_threads_read_and_as_before_afterwards(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # of 35: Pillow warns
    file, (filters, level) = BytesIO(), (list(warnings.filters), logging.getLogger("PIL").level)
    Image.fromarray(NOISE).save(file, "PNG")
    refused = []

    def read_some():
        try:
            for _ in range(100):
                decode_picture(file.getvalue(), "large.png")
        except Exception as error:
            refused.append(error)

    threads = [threading.Thread(target=read_some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not refused  # pytest turns warnings into errors
    assert warnings.filters == filters and logging.getLogger("PIL").level == level
    with pytest.raises(Image.DecompressionBombWarning):
        Image.open(file)


### Finding


def test_pictures_are_found_below_a_folder_in_order_and_hidden_ones_left_out(tmp_path):
    for name in (
        *("b.png", "a.JPG", "sub/deep/c.webp", "notes.txt", "README"),
        *(".hidden.png", ".cache/d.png", "sub/.e/f.png", "folder.png/inside.tif"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [str(path.relative_to(tmp_path)) for path in find_pictures(tmp_path)]
    assert found == ["a.JPG", "b.png", "folder.png/inside.tif", "sub/deep/c.webp"]


def test_a_folder_may_itself_be_hidden_and_given_as_text(tmp_path):
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "a.png").touch()
    assert find_pictures(str(tmp_path / ".data")) == [tmp_path / ".data" / "a.png"]


def test_a_file_is_taken_whatever_its_name(tmp_path):
    (tmp_path / "photograph").touch()
    assert find_pictures(tmp_path / "photograph") == [tmp_path / "photograph"]


def test_no_pictures_is_an_error_that_names_the_place(tmp_path):
    with pytest.raises(PictureError, match="nowhere does not exist; give a picture or a folder"):
        find_pictures(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=f"{tmp_path} holds no pictures .*.jpg"):
        find_pictures(tmp_path)


### Numbers and sizes


def test_floats_are_rounded_and_clipped_to_8_bits():
    floats = np.array([-1, 0, 0.49 / 255, 0.51 / 255, 127.4 / 255, 1, 7], np.float32)
    assert to_uint8(floats).tolist() == [0, 0, 0, 1, 127, 255, 255]
    assert to_uint8(floats).dtype == np.uint8


def test_8_bits_survive_the_way_to_floats_and_back():
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    floats = to_float(Image.fromarray(levels))
    assert floats.dtype == np.float32 and floats.min() == 0 and floats.max() == 1
    np.testing.assert_array_equal(to_uint8(floats), levels)


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [
        ((40, 30), 15, (20, 15)),
        ((30, 40), 60, (60, 80)),
        ((33, 50), 20, (20, 30)),
        ((7, 7), 3, (3, 3)),
        ((1, 500), 1, (1, 500)),
    ],
)
def test_the_short_side_gets_the_size_and_the_aspect_is_kept(size, short, expected):
    assert resize_short_side(Image.new("RGB", size), short).size == expected
    assert resized_size(size, short) == expected


def test_a_strip_that_would_become_huge_is_refused_by_name_and_sizes(tmp_path):
    path = saved(tmp_path / "strip.png", np.zeros((2, 30000, 3), np.uint8))
    expected = "has 30000x2 pixels; resized to 512 on its short side it would have 7680000x512, "
    with pytest.raises(PictureError, match=f"{path} {expected}more than 178956970"):
        resize_short_side(read_picture(path), 512)
    with pytest.raises(PictureError, match=f"^a picture {expected}"):
        resize_short_side(Image.new("RGB", (30000, 2)), 512)
    assert resize_short_side(read_picture(path), 1).size == (15000, 1)


@pytest.mark.parametrize("size", [(7, 4), (4, 9), (4, 4)])
def test_the_middle_square_is_cut_out(size):
    image = Image.new("RGB", size, "red")
    left, top = ((x - 4) // 2 for x in size)
    image.paste("blue", (left, top, left + 4, top + 4))
    square = crop_square(image, 4)
    assert square.size == (4, 4) and (np.asarray(square) == [0, 0, 255]).all()
    assert crop_square(image, 6).size == (6, 6)


def test_size_0_leaves_a_picture_as_it_is():
    image = Image.fromarray(NOISE)
    assert resize_short_side(image, 0) is image
    assert resized_size((3, 5), 0) == (3, 5)


### Writing


def test_a_written_png_holds_the_pixels_of_8_bits_and_of_floats(tmp_path):
    write_png(tmp_path / "new" / "a.png", NOISE)
    np.testing.assert_array_equal(read(tmp_path / "new" / "a.png"), NOISE)
    write_png(tmp_path / "b.png", NOISE / 255)
    np.testing.assert_array_equal(read(tmp_path / "b.png"), NOISE)


def test_a_png_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_png(tmp_path / "a.png", NOISE)
    before = (tmp_path / "a.png").read_bytes()

    def fill_the_disk(image, name, format):
        with open(name, "wb") as file:
            file.write(before[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays.Image.Image, "save", fill_the_disk)
    for name in ("a.png", "b.png"):
        with pytest.raises(OSError, match="No space left"):
            write_png(tmp_path / name, NOISE)
    assert os.listdir(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


def test_a_grid_lays_rows_of_pictures_out_with_white_between():
    a, b, c, d = (np.full((2, 3, 3), value) for value in (0.0, 0.25, -1.0, 0.75))
    out = grid([[a, b], [c, d]], gap_px=1)
    expected = [
        [0, 0, 0, 1, 0.25, 0.25, 0.25],
        [0, 0, 0, 1, 0.25, 0.25, 0.25],
        [1, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 1, 0.75, 0.75, 0.75],  # floats are clipped to [0, 1]
        [0, 0, 0, 1, 0.75, 0.75, 0.75],
    ]
    for channel in range(3):
        np.testing.assert_array_equal(out[..., channel], expected)
