"""Windows of JPEG files: the pixels of a whole decoding, and None where they might not be."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.data.jpeg_window import decode_window, write_jpeg
from tests.support.picture_files import encoded


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    smooth = np.float64(coarse.resize((width, height), Image.Resampling.BICUBIC))
    noisy = smooth + rng.normal(0, 25, smooth.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def decoded(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


# Of 64, 35, 22, 10, 15 and 1 blocks across.
@pytest.mark.parametrize(
    "size", [(512, 512), (280, 144), (175, 90), (80, 33), (113, 200), (7, 5)], ids=str
)
def test_a_window_is_exactly_the_crop_of_the_whole(size):
    data = write_jpeg(picture(*size), quality=90)
    whole, rng = decoded(data), np.random.default_rng(0)
    assert whole.size == size
    boxes = [(0, 0, *size), (0, 0, 1, 1), (size[0] - 1, size[1] - 1, *size)]
    for _ in range(60):
        left, right = sorted(rng.choice(size[0] + 1, 2, replace=False).tolist())
        top, bottom = sorted(rng.choice(size[1] + 1, 2, replace=False).tolist())
        boxes.append((left, top, right, bottom))
    for box in boxes:
        window = decode_window(data, size, box)
        np.testing.assert_array_equal(np.asarray(window), np.asarray(whole.crop(box)))


def test_every_corner_of_a_window_of_half_the_size_is_right():
    data = write_jpeg(picture(128, 128), quality=95)
    whole = np.asarray(decoded(data))
    for left in range(65):
        for top in (0, 1, 2, 13, 14, 15, 16, 17, 18, 62, 63, 64):
            window = decode_window(data, (128, 128), (left, top, left + 64, top + 64))
            np.testing.assert_array_equal(window, whole[top : top + 64, left : left + 64])


def test_only_the_part_is_decoded(monkeypatch):
    data, opened = write_jpeg(picture(512, 512), quality=95), []
    open_picture = Image.open

    def record(file, **options):
        opened.append(open_picture(file, **options).size)
        return open_picture(file, **options)

    monkeypatch.setattr(Image, "open", record)
    assert decode_window(data, (512, 512), (100, 100, 356, 356)).size == (256, 256)
    assert opened == [(320, 264)]


def test_restart_markers_cost_little():
    image, file = picture(512, 512), BytesIO()
    image.save(file, "JPEG", quality=95, subsampling="4:4:4")
    assert len(write_jpeg(image, 95)) < 1.02 * len(file.getvalue())


def encoded_picture(kind="JPEG", mode="RGB", **options) -> bytes:
    return encoded(picture(64, 64).convert(mode), kind, **options)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    return encoded_picture(subsampling="4:4:4", restart_marker_blocks=2, exif=exif)


def test_a_file_with_whole_rows_between_markers_will_do():
    data = encoded_picture(subsampling="4:4:4", restart_marker_rows=1)
    window = decode_window(data, (64, 64), (9, 8, 40, 41))
    np.testing.assert_array_equal(window, np.asarray(decoded(data))[8:41, 9:40])


@pytest.mark.parametrize(
    "data",
    [
        encoded_picture(),
        encoded_picture(subsampling="4:2:2", restart_marker_blocks=2),
        encoded_picture(subsampling="4:4:4", restart_marker_blocks=2, progressive=True),
        encoded_picture(subsampling="4:4:4", restart_marker_blocks=3),
        encoded_picture(mode="L", restart_marker_blocks=2),
        encoded_picture(mode="CMYK", restart_marker_blocks=2),
        turned(),
        encoded_picture(kind="PNG"),
        b"",
        b"text",
        write_jpeg(picture(64, 64), 90)[:-300],
        write_jpeg(picture(64, 64), 90)[:100],
        write_jpeg(picture(64, 80), 90),
    ],
    ids=[
        *("no markers", "4:2:2", "progressive", "markers in the middle of a row", "grey", "CMYK"),
        *("turned", "PNG", "nothing", "text", "cut off", "header only", "another size"),
    ],
)
def test_other_files_are_left_to_pillow(data):
    assert decode_window(data, (64, 64), (8, 8, 40, 40)) is None
