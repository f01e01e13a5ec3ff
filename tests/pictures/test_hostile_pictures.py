"""Pictures that are broken, or meant to break something: all are refused by name or stylized.

`STYA2K_MUTANTS=2000 pytest tests/pictures/test_hostile_pictures.py` draws more
damaged files.
"""

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from stya2k_jax.errors import UserError
from stya2k_jax.inference.stylize_files import Styling, stylize_files
from stya2k_jax.pictures.opening import MAX_PIXELS
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.pictures.resizing import resize_short_side
from tests.support.echo import Echo
from tests.support.paths import ROOT
from tests.support.picture_files import UNDO, encoded, noise

MUTANTS = int(os.environ.get("STYA2K_MUTANTS", "300"))
SIZE_PX = 16
NOISE = noise(0, 20, 30, 3)


def stylize(
    contents: list[Path], style: Path, output: Path, content_size: int = SIZE_PX
) -> dict[Path, str]:
    """Returns the failures of a run of `stylize_files`."""
    styling = Styling([style], SIZE_PX)
    return stylize_files(Echo(), contents, styling, output, content_size=content_size)


### Whole files


def whole_files() -> dict[str, bytes]:
    """Returns small pictures of every format that is read, in the variants which decoders know."""
    rgb = Image.fromarray(NOISE)
    exif = Image.Exif()
    exif[274], exif[305] = 6, "a camera"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    both = dict(exif=exif, icc_profile=icc)
    more = dict(save_all=True, append_images=[rgb.rotate(180)])
    clear = rgb.convert("RGBA")
    clear.putalpha(rgb.convert("L"))
    palette = rgb.quantize(16)
    deep = Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257)
    floats = Image.fromarray(NOISE[..., 0].astype(np.float32) / 255)
    files = {
        "rgb.png": encoded(rgb, "PNG", **both),
        "clear.png": encoded(clear, "PNG"),
        "palette.png": encoded(palette, "PNG", transparency=bytes(range(0, 160, 10))),
        "deep.png": encoded(deep, "PNG", transparency=257),
        "moving.png": encoded(rgb, "PNG", **more),
        "plain.jpg": encoded(rgb, "JPEG", **both),
        "scans.jpg": encoded(rgb, "JPEG", progressive=True, exif=exif),
        "print.jpg": encoded(rgb.convert("CMYK"), "JPEG"),
        "lossy.webp": encoded(rgb, "WEBP", **both),
        "exact.webp": encoded(clear, "WEBP", lossless=True),
        "moving.webp": encoded(rgb, "WEBP", **more),
        "one.gif": encoded(palette, "GIF", transparency=3),
        "moving.gif": encoded(rgb, "GIF", **more),
        "rgb.bmp": encoded(rgb, "BMP"),
        "palette.bmp": encoded(palette, "BMP"),
        "rgb.ppm": encoded(rgb, "PPM"),
        "grey.pgm": encoded(deep, "PPM"),
        "text.ppm": b"P3\n# text\n2 2\n255\n" + b" ".join(b"%d" % x for x in range(12)),
        "floats.pfm": encoded(floats, "PPM"),
        "floats.tif": encoded(floats, "TIFF"),
        "pages.tif": encoded(rgb, "TIFF", **more),
        "rgb.avif": encoded(rgb, "AVIF", exif=exif),
        "rgb.jp2": encoded(rgb, "JPEG2000"),
    }
    # JPEG last: Pillow leaves its settings in the image, where other encoders trip over them.
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files[f"{compression}.tif"] = encoded(rgb, "TIFF", compression=compression, exif=exif)
    files["two.jpg"] = encoded(rgb, "MPO", **more)
    files["fax.tif"] = encoded(rgb.convert("1"), "TIFF", compression="group4")
    return files


### Damage


def flip_bits(data: bytearray, rng: np.random.Generator) -> bytearray:
    reach = len(data) if rng.random() < 0.5 else min(len(data), 200)  # headers break more
    for place in rng.integers(0, reach, rng.integers(1, 9)):
        data[place] ^= 1 << rng.integers(8)
    return data


def overwrite(data: bytearray, rng: np.random.Generator) -> bytearray:
    value = rng.choice([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80"])
    place = int(rng.integers(0, min(len(data), 200)))
    data[place : place + len(value)] = value
    return data


def cut_off(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: rng.integers(0, len(data))]


def insert(data: bytearray, rng: np.random.Generator) -> bytearray:
    place = int(rng.integers(0, len(data)))
    data[place:place] = rng.bytes(int(rng.integers(1, 40)))
    return data


def swap_chunks(data: bytearray, rng: np.random.Generator) -> bytearray:
    a, b, c, d = sorted(int(x) for x in rng.integers(0, len(data), 4))
    if data.startswith(b"\x89PNG"):  # at its own seams
        seams = png_seams(bytes(data))
        a, b, c, d = sorted(int(x) for x in rng.choice(seams, 4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def repeat_chunk(data: bytearray, rng: np.random.Generator) -> bytearray:
    a, b = sorted(int(x) for x in rng.integers(0, len(data), 2))
    return data[:b] + data[a:b] * int(rng.integers(1, 5)) + data[b:]


DAMAGES = (flip_bits, overwrite, cut_off, insert, swap_chunks, repeat_chunk)


def png_seams(data: bytes) -> list[int]:
    """Returns where the chunks of a PNG begin, and its end."""
    seams = [8]
    while seams[-1] + 8 <= len(data):
        seams.append(seams[-1] + 12 + struct.unpack_from(">I", data, seams[-1])[0])
    return [min(seam, len(data)) for seam in seams]


def with_right_checksums(data: bytes) -> bytes:
    """Makes a damaged PNG's chunks pass their checks, so that the damage goes deeper."""
    data = bytearray(data)
    for start, end in zip(png_seams(bytes(data)), png_seams(bytes(data))[1:], strict=False):
        if end - start >= 12:
            data[end - 4 : end] = struct.pack(">I", zlib.crc32(data[start + 4 : end - 4]))
    return bytes(data)


def mutants(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Draws damaged files: yields name and bytes."""
    wholes = whole_files()
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        name = sorted(wholes)[i % len(wholes)]
        data = bytearray(wholes[name])
        for damage in rng.choice(DAMAGES, rng.integers(1, 3)):
            data = damage(data, rng) if data else data
        if name.endswith(".png") and rng.random() < 0.5:
            data = with_right_checksums(bytes(data))
        yield f"{i:04d}-{name}", bytes(data)


@pytest.fixture
def style(tmp_path) -> Path:
    path = tmp_path / "style.png"
    path.write_bytes(encoded(Image.fromarray(NOISE), "PNG"))
    return path


def written(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def outputs_of(contents: list[Path], style: Path, output: Path, **sizes) -> dict[Path, Path]:
    """Stylizes files; returns each result, having checked that there is one or a named refusal."""
    failures = stylize(contents, style, output, **sizes)
    for path, reason in failures.items():
        assert str(path) in reason and "\n" not in reason
    done = {
        path: output / f"{path.stem}_stylized_{style.stem}.png"
        for path in contents
        if path not in failures
    }
    assert sorted(os.listdir(output)) == sorted(path.name for path in done.values())
    return done


def test_whole_files_of_all_formats_and_variants_are_stylized(style, tmp_path):
    files = {name.replace(".", "-") + ".any": data for name, data in whole_files().items()}
    contents = written(tmp_path / "contents", files)
    assert list(outputs_of(contents, style, tmp_path / "out")) == contents


def test_each_damaged_file_is_stylized_or_refused_by_name_and_nothing_is_left_behind(
    style, tmp_path, capfd
):
    contents = written(tmp_path / "contents", dict(mutants(MUTANTS)))
    done = outputs_of(contents, style, tmp_path / "out")
    assert 0.1 < len(done) / len(contents) < 0.9  # the damage is neither mild nor total
    for path in done.values():
        with Image.open(path) as image:
            image.load()
            assert image.mode in ("RGB", "RGBA") and min(image.size) == SIZE_PX
    said = capfd.readouterr().err
    for noise_of_pillow in ("Warning", "Traceback", "PIL"):
        assert noise_of_pillow not in said


### Bombs and strips


def png_of(width: int, height: int, bits: int = 8) -> bytes:
    """Returns a grey PNG of zeros, packed as tightly as they can be."""
    row = bytes(1 + (width * bits + 7) // 8)
    packer = zlib.compressobj(9)
    rows_at_once = max(1, 2**20 // len(row))
    pixels = b"".join(
        packer.compress(row * min(rows_at_once, height - top))
        for top in range(0, height, rows_at_once)
    )
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0),
        b"IDAT": pixels + packer.flush(),
        b"IEND": b"",
    }
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in chunks.items():
        checksum = struct.pack(">I", zlib.crc32(name + data))
        parts += [struct.pack(">I", len(data)), name, data, checksum]
    return b"".join(parts)


def promising(width: int, height: int) -> bytes:
    """Returns a PNG whose header promises a size and whose pixels are those of 1x1."""
    data = bytearray(png_of(1, 1))
    data[16:24] = struct.pack(">II", width, height)
    return with_right_checksums(bytes(data))


def test_decompression_bombs_are_refused_by_name_size_and_limit(style, tmp_path):
    bombs = {
        "header.png": promising(60_000, 60_000),
        "packed.png": png_of(20_000, 20_000, bits=1),
        "grey.pgm": b"P5 60000 60000 255\n" + bytes(10),
        "just.png": promising(MAX_PIXELS // 2 + 1, 2),
    }
    contents = written(tmp_path / "bombs", bombs)
    failures = stylize(contents, style, tmp_path / "out")
    for path, count in zip(contents, (3_600_000_000, 400_000_000, 3_600_000_000, 0), strict=True):
        assert f"{path} is too large: " in failures[path]
        assert str(count or MAX_PIXELS + 2) in failures[path]
        assert f"limit of {MAX_PIXELS}" in failures[path]
        assert failures[path].endswith("make it smaller first.")
    assert os.listdir(tmp_path / "out") == []


PEAK = """
import sys
from pathlib import Path
from stya2k_jax.pictures.reading import PictureError, read_picture

def peak_kib():  # not getrusage: that begins with the peak of the process that has started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

read_picture(sys.argv[1])
before = peak_kib()
for path in sys.argv[2:]:
    try:
        print(read_picture(path).size)
    except PictureError as error:
        print("refused")
print(peak_kib() - before)
"""


def read_elsewhere(*paths: Path) -> tuple[list[str], int]:
    """Reads pictures in a process of its own; returns what it said and its growth in bytes."""
    command = [sys.executable, "-W", "always", "-c", PEAK, *map(str, paths)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    *said, grown_kib = ended.stdout.splitlines()
    return said, 1024 * int(grown_kib)


def test_a_refused_bomb_takes_no_memory(style, tmp_path):
    bombs = {"a.png": promising(60_000, 60_000), "b.png": png_of(20_000, 20_000, bits=1)}
    said, grown = read_elsewhere(style, *written(tmp_path / "bombs", bombs))
    assert said == ["refused", "refused"] and grown < 2**24


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "F"])
def test_reading_takes_little_more_memory_than_the_stored_and_the_rgb_pixels(style, tmp_path, mode):
    side = 4000
    path = tmp_path / "large.tif"
    Image.new(mode, (side, side)).save(path, compression="tiff_adobe_deflate")
    said, grown = read_elsewhere(style, path)
    assert said == [f"({side}, {side})"]
    assert grown < (4 + 4) * side**2 + 2**25  # the strip in work takes 2**25


def test_a_picture_between_pillows_warning_and_the_limit_is_read_in_silence(style, tmp_path):
    side = 9500
    assert Image.MAX_IMAGE_PIXELS < side**2 < MAX_PIXELS
    said, _ = read_elsewhere(style, *written(tmp_path / "in", {"a.png": png_of(side, side, 1)}))
    assert said == [f"({side}, {side})"]


def test_pillows_own_limit_is_left_as_the_user_has_set_it(style, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12345)
    read_picture(style)
    assert Image.MAX_IMAGE_PIXELS == 12345


def test_our_limit_holds_where_the_user_has_lifted_pillows(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (bomb,) = written(tmp_path / "in", {"bomb.png": promising(60_000, 60_000)})
    with pytest.raises(UserError, match=f"its 60000x60000 pixels exceed the limit of {MAX_PIXELS}"):
        read_picture(bomb)


def test_a_single_pixel_is_enlarged_and_a_long_strip_only_up_to_the_limit(style, tmp_path):
    contents = written(tmp_path / "in", {"dot.png": png_of(1, 1), "wide.png": png_of(30_000, 2)})
    done = outputs_of(contents, style, tmp_path / "out", content_size=512)
    assert [path.stem for path in done] == ["dot"]
    with Image.open(done[contents[0]]) as image:
        assert image.size == (512, 512)
    done = outputs_of(contents, style, tmp_path / "small", content_size=4)
    with Image.open(done[contents[1]]) as image:
        assert image.size == (60_000, 4)


### Modes and orientations


@pytest.mark.parametrize("content_size", [0, SIZE_PX])
def test_files_of_every_mode_are_stylized(style, tmp_path, content_size):
    rgb, folder = Image.fromarray(NOISE), tmp_path / "modes"
    folder.mkdir()
    modes = ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "I", "F")
    images = {mode: rgb.convert(mode) for mode in modes}
    images |= {mode: Image.new(mode, rgb.size) for mode in ("PA", "LAB")}
    images["I;16"] = Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257)
    contents = []
    for mode, image in images.items():
        contents.append(folder / f"{mode.replace(';', '-')}.tif")
        image.save(contents[-1], compression="tiff_adobe_deflate")
        with Image.open(contents[-1]) as stored:
            assert stored.mode == ("RGB" if mode in ("RGBX", "YCbCr") else mode)
    done = outputs_of(contents, style, tmp_path / "out", content_size=content_size)
    assert list(done) == contents


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_results_stand_upright_whatever_the_orientation_of_the_content(style, tmp_path, suffix):
    contents = []
    for orientation in UNDO:
        exif = Image.Exif()
        exif[274] = orientation
        contents.append(tmp_path / f"{orientation}{suffix}")
        Image.fromarray(NOISE).save(contents[-1], exif=exif, lossless=True)
    done = outputs_of(contents, style, tmp_path / "out", content_size=0)
    for path, undo in zip(done.values(), UNDO.values(), strict=True):
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), undo(NOISE))


### The command


def test_the_command_names_every_bad_file_and_does_the_others(style, tmp_path):
    files = dict(mutants(60, seed=1)) | {
        "bomb.png": promising(60_000, 60_000),
        "strip.png": png_of(1_500_000, 2),  # 16 on its short side makes 12_000_000 the long one
        "empty.jpg": b"",
        "whole.png": encoded(Image.fromarray(NOISE), "PNG"),
    }
    contents = written(tmp_path / "contents", files)
    bad = []
    for path in contents:  # this process has been tested above
        try:
            resize_short_side(read_picture(path), SIZE_PX)
        except UserError:
            bad.append(path)
    output = tmp_path / "out"
    command = [sys.executable, str(ROOT / "stylize.py"), f"--output={output}", f"--style={style}"]
    command += [f"--content={path}" for path in contents]
    command += [f"--content_size={SIZE_PX}", f"--style_size={SIZE_PX}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr and "Warning" not in ended.stderr
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(bad)
    for path, line in zip(bad, errors, strict=True):
        assert str(path) in line
    good = [path for path in contents if path not in bad]
    names = sorted(f"{path.stem}_stylized_style.png" for path in good)
    assert sorted(os.listdir(output)) == names and "whole_stylized_style.png" in names
