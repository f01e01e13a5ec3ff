"""Color profiles: what is stored in other colors than sRGB looks as it should."""

import threading
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from stya2k_jax.pictures import modes
from stya2k_jax.pictures.arrays import as_pixels
from stya2k_jax.pictures.masks import as_mask
from stya2k_jax.pictures.profiles import to_srgb
from stya2k_jax.pictures.reading import decode_picture, read_layers, read_picture

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
# Red, green, blue and white in CIE xy.
PRIMARIES = {
    "srgb": [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290)],
    "display p3": [(0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.3290)],
    "adobe rgb": [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290)],
    "prophoto": [(0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585)],
}
GAMMA = {"adobe rgb": 2.19921875, "prophoto": 1.8}


def noise(height=24, width=32, channels=3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def to_d50(name: str) -> np.ndarray:
    """Returns the matrix from linear RGB to CIE XYZ at D50."""
    xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in PRIMARIES[name]]).T
    matrix = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    scale = (BRADFORD @ D50) / (BRADFORD @ xyz[:, 3])
    return np.linalg.inv(BRADFORD) @ np.diag(scale) @ BRADFORD @ matrix


def curve_of(name: str, values: np.ndarray) -> np.ndarray:
    """Returns linear light of stored values in [0, 1]."""
    if name in GAMMA:
        return values ** GAMMA[name]
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def icc(kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Builds an ICC profile of version 2 for a display."""
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + (start + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    header = bytearray(128)
    header[8:12], header[12:16] = b"\x02\x10\0\0", b"mntr"
    header[16:20], header[20:24], header[36:40] = kind, b"XYZ ", b"acsp"
    header[68:80] = fixed(D50)
    header[0:4] = (start + len(body)).to_bytes(4, "big")
    return bytes(header) + len(tags).to_bytes(4, "big") + table + body


def fixed(values) -> bytes:
    return b"".join(round(value * 65536).to_bytes(4, "big", signed=True) for value in values)


def curve(values: np.ndarray) -> bytes:
    numbers = np.round(np.clip(values, 0, 1) * 65535).astype(">u2")
    return b"curv" + bytes(4) + len(numbers).to_bytes(4, "big") + numbers.tobytes()


def profile(name: str) -> bytes:
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(D50)}
    linear = curve(curve_of(name, np.linspace(0, 1, 1024)))
    for letter, column in zip(b"rgb", to_d50(name).T, strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ " + bytes(4) + fixed(column)
        tags[bytes([letter]) + b"TRC"] = linear
    return icc(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(D50)}
    return icc(b"GRAY", tags | {b"kTRC": curve(np.linspace(0, 1, 1024) ** gamma)})


def in_srgb(name: str, stored: np.ndarray) -> np.ndarray:
    """Converts stored colors `[..., 3]` of 255 by the definitions, without Little CMS."""
    linear = curve_of(name, stored / 255)
    rgb = np.clip(linear @ to_d50(name).T @ np.linalg.inv(to_d50("srgb")).T, 0, 1)
    return 255 * np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("name", ["display p3", "adobe rgb", "prophoto"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_a_photograph_is_converted_to_srgb(tmp_path, name, suffix):
    stored = np.tile(noise(3, 4), (1, 1, 1)).repeat(16, axis=0).repeat(16, axis=1)
    options = {"lossless": True} if suffix == ".webp" else {"quality": 100}
    file = tmp_path / f"a{suffix}"
    Image.fromarray(stored).save(file, icc_profile=profile(name), **options)
    with Image.open(file) as image:
        expected = in_srgb(name, np.asarray(image.convert("RGB")))
    found = np.asarray(read_picture(file)).astype(float)
    assert np.abs(found - stored).mean() > 5
    # Little CMS computes with tables of 16 bits; dark colors of steep curves suffer most.
    assert np.abs(found - expected).mean() < 0.6 and np.abs(found - expected).max() < 4


def test_all_ways_to_give_a_picture_agree(tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png", icc_profile=profile("display p3"))
    expected = np.asarray(read_picture(tmp_path / "a.png"))
    data = (tmp_path / "a.png").read_bytes()
    np.testing.assert_array_equal(np.asarray(decode_picture(data, "a")), expected)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(as_pixels(image, "a"), expected[None] / np.float32(255))


def test_a_picture_that_was_read_is_not_converted_twice(tmp_path):
    options = dict(icc_profile=profile("display p3"), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")
    Image.fromarray(noise()).save(tmp_path / "a.png", **options)
    first = read_picture(tmp_path / "a.png")
    first.save(tmp_path / "b.png")
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "b.png")), np.asarray(first))
    np.testing.assert_array_equal(as_pixels(first, "a")[0], np.asarray(first, np.float32) / 255)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16"])
def test_grey_pictures_are_converted_by_a_profile_of_grey(tmp_path, mode):
    ramp = np.linspace(0, 255, 16).round().astype(np.uint8)[None].repeat(4, axis=0)
    image = Image.fromarray(ramp.astype(np.uint16) * 257 if mode == "I;16" else ramp)
    image = image if mode == "I;16" else image.convert(mode, dither=Image.Dither.NONE)
    image.save(tmp_path / "a.png", icc_profile=grey_profile(1.0))
    shown = np.asarray(read_picture(tmp_path / "a.png"))[0, :, 0].astype(float)
    with Image.open(tmp_path / "a.png") as stored:
        values = np.asarray(stored.convert("L") if mode != "I;16" else ramp, float)[0] / 255
    expected = np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(shown, 255 * expected, atol=1.5)


@pytest.mark.parametrize("mode", ["RGBA", "P", "PA"])
def test_transparency_stays_as_it_is_while_colors_are_converted(mode):
    rgba = Image.fromarray(noise(channels=4))
    image = rgba if mode == "RGBA" else rgba.convert("P")
    if mode == "PA":
        image = image.convert("PA")
    whole = image.convert("RGBA")
    expected = in_srgb("display p3", np.asarray(whole)[..., :3])
    converted = np.asarray(to_srgb(image, profile("display p3")).convert("RGBA"))
    np.testing.assert_array_equal(converted[..., 3], np.asarray(whole)[..., 3])
    assert np.abs(converted[..., :3] - expected).max() < 4


def test_transparent_colors_are_converted_before_they_are_laid_on_white(tmp_path):
    pixels = np.concatenate([noise(), np.full((24, 32, 1), 128, np.uint8)], axis=2)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile("display p3"))
    rgb, alpha = read_layers(tmp_path / "a.png")
    expected = 255 - (255 - in_srgb("display p3", noise())) * 128 / 255
    np.testing.assert_allclose(np.asarray(rgb), expected, atol=2.5)
    assert alpha.getextrema() == (128, 128)


def test_cmyk_is_converted_by_its_profile(monkeypatch):
    calls = []

    class Transform:
        def apply(self, image):
            calls.append(image.mode)
            return Image.new("RGB", image.size, (1, 2, 3))

    monkeypatch.setattr("stya2k_jax.pictures.profiles._transform", lambda *_: Transform())
    shown = modes.to_rgb(Image.new("CMYK", (4, 3), (9, 9, 9, 9)), profile=b"a profile")
    assert calls == ["CMYK"] and shown.getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"no profile",
        bytes(5000),
        profile("display p3")[:300],
        grey_profile(1.0),  # of other colors than the picture
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes(),
    ],
)
def test_a_profile_that_cannot_be_used_counts_as_none(tmp_path, data):
    Image.fromarray(noise()).save(tmp_path / "a.png", icc_profile=data)
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "a.png")), noise())


@pytest.mark.parametrize("kind", ["Little CMS's own", "by the standard"])
def test_srgb_changes_not_one_number(tmp_path, kind):
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = own if kind == "Little CMS's own" else profile("srgb")
    Image.fromarray(noise()).save(tmp_path / "a.png", icc_profile=data)
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "a.png")), noise())


def test_a_mask_keeps_its_stored_numbers(tmp_path):
    grey = noise(channels=1)[..., 0]
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=grey_profile(1.0))
    with Image.open(tmp_path / "a.png") as image:
        for mask in (as_mask(tmp_path / "a.png"), as_mask(image)):
            np.testing.assert_array_equal(mask, grey / np.float32(255))


def test_threads_and_strips_give_the_same_picture(monkeypatch):
    file = BytesIO()
    Image.fromarray(noise(64, 64)).save(file, "PNG", icc_profile=profile("display p3"))
    expected = np.asarray(decode_picture(file.getvalue(), "a"))
    monkeypatch.setattr(modes, "_STRIP_PIXELS", 100)
    found = {}

    def read(i):
        found[i] = np.asarray(decode_picture(file.getvalue(), "a"))

    threads = [threading.Thread(target=read, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for picture in found.values():
        np.testing.assert_array_equal(picture, expected)
    assert len(found) == 8
