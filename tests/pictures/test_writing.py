"""Writing pictures: the suffix decides, quality counts, and nothing is half-written."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.pictures.arrays import write_png
from stya2k_jax.pictures.synthetic import draw
from stya2k_jax.pictures.writing import FORMATS, UnwritableError, encoded, write_picture
from tests.support.picture_files import noise

PICTURE = draw("landscape", 64)
ALPHA = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1)))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_picture_is_of_the_format_of_its_suffix_and_looks_the_same(suffix, tmp_path):
    path = tmp_path / "new" / f"a{suffix.upper()}"
    write_picture(path, PICTURE)
    with Image.open(path) as image:
        assert image.format == FORMATS[suffix] and image.mode == "RGB"
        difference = np.asarray(image).astype(int) - PICTURE
    lossy = FORMATS[suffix] in ("JPEG", "WEBP", "AVIF")
    assert np.abs(difference).mean() < 6 if lossy else not difference.any()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".tif"])
def test_transparency_is_kept_where_the_format_has_it(suffix):
    with Image.open(BytesIO(encoded(PICTURE, suffix, ALPHA))) as image:
        assert image.mode == "RGBA"
        np.testing.assert_allclose(np.asarray(image)[..., 3], np.asarray(ALPHA), atol=12)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_without_transparency_the_picture_is_as_on_white(suffix):
    assert encoded(PICTURE, suffix, ALPHA) == encoded(PICTURE, suffix)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_quality_makes_files_larger_and_closer(suffix):
    files = [encoded(PICTURE, suffix, quality=quality) for quality in (20, 60, 95)]
    assert len(files[0]) < len(files[1]) < len(files[2])
    assert encoded(PICTURE, suffix) == encoded(PICTURE, suffix, quality=92)


def test_png_is_what_all_results_have_been():
    path = BytesIO()
    Image.fromarray(PICTURE).save(path, format="PNG")
    assert encoded(PICTURE, ".png") == path.getvalue()


def test_floats_are_written_as_by_write_png(tmp_path):
    floats = noise(0, 9, 7, 3) / np.float32(255)
    write_png(tmp_path / "a.png", floats)
    assert (tmp_path / "a.png").read_bytes() == encoded(floats, ".png")


@pytest.mark.parametrize("suffix", [".gif", ".heic", "", ".psd"])
def test_other_formats_are_refused_with_those_there_are(suffix):
    with pytest.raises(UserError, match=r"use \.png, \.jpg, .*\.webp"):
        encoded(PICTURE, suffix)


def test_a_quality_of_a_lossless_format_is_refused():
    with pytest.raises(UserError, match=r"\.png files have no quality.*Use \.jpg"):
        encoded(PICTURE, ".png", quality=80)


def test_a_picture_too_large_for_a_format_is_named_and_nothing_is_left(tmp_path):
    strip = np.zeros((1, 16384, 3), np.uint8)  # WebP has 16383 at most
    with pytest.raises(UnwritableError, match="16384x1 cannot be written as .webp .*use .png"):
        write_picture(tmp_path / "a.webp", strip)
    assert not list(tmp_path.iterdir())
