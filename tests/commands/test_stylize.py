"""`stya2k stylize`: arguments, where results go, what is said, and exit codes."""

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.commands.command_line import UsageError
from stya2k_jax.commands.stylize_arguments import contents_and_styles, find_sources, output_of
from stya2k_jax.errors import UserError
from stya2k_jax.inference.results import Output
from tests.support.commands import run_command
from tests.support.paths import ROOT
from tests.support.picture_files import noise, saved

SMALL = ("--content_size=0", "--style_size=32", "--quiet")
HEIGHT, WIDTH = 40, 48


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photo() -> Path:
    return saved(Path("photo.png"), noise(0, HEIGHT, WIDTH, 3))


def stylize(*arguments: object) -> subprocess.CompletedProcess:
    return run_command("-m", "stya2k_jax", "stylize", *arguments, cwd=Path.cwd())


def size_of(path: object) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


### Which are contents and which styles


@pytest.mark.parametrize(
    ("arguments", "contents", "styles", "expected"),
    [
        (["a", "s"], None, None, (["a"], ["s"])),
        (["a", "b", "s"], None, None, (["a", "b"], ["s"])),
        (["a", "b"], None, ["s"], (["a", "b"], ["s"])),
        (["s", "t"], ["a"], None, (["a"], ["s", "t"])),
        ([], ["a", "b"], ["s"], (["a", "b"], ["s"])),
        (["-", "drawn:waves"], None, None, (["-"], ["drawn:waves"])),
    ],
)
def test_the_last_argument_is_the_style_unless_a_flag_says_otherwise(
    arguments, contents, styles, expected
):
    assert contents_and_styles(arguments, contents, styles) == expected


@pytest.mark.parametrize(
    ("arguments", "contents", "styles", "message"),
    [
        ([], None, None, "give a content and a style, as in: stya2k stylize photo.jpg painting"),
        (["a"], None, None, "give a style, as in"),
        ([], ["a"], None, "give a style, as in"),
        ([], None, ["s"], "give a content, as in"),
        (["x"], ["a"], ["s"], "'x' is neither content nor style"),
        (["-", "-"], None, None, "the input .-. is one picture"),
    ],
)
def test_what_is_missing_or_too_much_is_named(arguments, contents, styles, message):
    with pytest.raises(UsageError, match=message):
        contents_and_styles(arguments, contents, styles)


def found(contents, styles, **options):
    given = dict(fps=None, style_size=24, folder=None, stdin=BytesIO())
    return find_sources(contents, styles, **given | options)


def test_files_folders_and_names_are_found_once_and_in_order(photo):
    saved(Path("in/b.png"), noise(1, 8, 8, 3))
    sources = found(["in", "drawn:landscape", str(photo), "in/b.png"], ["drawn:all", "drawn:waves"])
    assert sources.contents == [Path("in/b.png"), Path("drawn:landscape"), photo]
    kinds = ("hatching", "mosaic", "ink_wash", "stained_glass", "waves")
    assert sources.styles == [Path(f"drawn:{kind}") for kind in kinds]
    assert sources.named[Path("drawn:waves")].layers.rgb.size == (24, 24)
    assert sources.named[Path("drawn:landscape")].layers.rgb.size == (512, 512)


def test_the_input_is_read_once_though_it_is_given_twice(photo):
    sources = found(["-", "-"], ["drawn:waves"], stdin=BytesIO(photo.read_bytes()))
    assert sources.contents == [Path("-")]
    assert sources.named[Path("-")].layers.rgb.size == (WIDTH, HEIGHT)


def test_a_file_whose_name_is_that_of_a_drawn_picture_is_a_file():
    saved(Path("drawn:waves.png"), noise(0, 8, 8, 3)).rename("drawn:waves")
    assert found(["./drawn:waves"], ["drawn:all"]).contents == [Path("drawn:waves")]
    with pytest.raises(UserError, match="nowhere.jpg does not exist"):
        found(["nowhere.jpg"], ["drawn:waves"])


### Where results go


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("out", {}, Output(Path("out"))),
        ("out.v2", {}, Output(Path("out.v2"))),
        ("taken.png", {}, Output(Path("taken.png"))),
        ("new.jpg/", {}, Output(Path("new.jpg"))),
        ("out", dict(form="webp", quality=50), Output(Path("out"), suffix=".webp", quality=50)),
        (None, {}, Output(Path(os.curdir))),
        (None, dict(sheet=True), Output(nothing=True)),
        ("out", dict(sheet=True), Output(Path("out"))),
        ("a/b.JPG", dict(quality=50), Output(Path("a"), Path("a/b.JPG"), quality=50)),
        ("b.jpg", dict(form="jpeg"), Output(Path(), Path("b.jpg"))),
        ("b.mp4", {}, Output(Path(), Path("b.mp4"))),
    ],
)
def test_a_suffix_makes_a_file_and_anything_else_a_folder(text, options, expected):
    Path("taken.png").mkdir()
    assert output_of(text, ["a.png"], **options) == expected


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a.gif", {}, "No picture can be written as '.gif'"),
        ("a.heic", {}, "No picture can be written as '.heic'"),
        ("a.png", dict(quality=5), ".png files have no quality"),
        ("out", dict(quality=5), ".png files have no quality"),
        ("a.png", dict(form="webp"), "a.png and --format=webp are two formats"),
    ],
)
def test_an_output_that_cannot_be_is_refused(text, options, message):
    with pytest.raises(UsageError, match=message):
        output_of(text, ["a.png"], **options)


def test_a_picture_is_not_written_to_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout", type("Terminal", (), dict(isatty=lambda _: True))())
    for text, contents in (("-", ["a.png"]), (None, ["-"])):
        with pytest.raises(UsageError, match="the standard output is a terminal; give -o FILE"):
            output_of(text, contents)


def test_two_arguments_and_an_output_are_enough(photo):
    done = stylize(photo, "drawn:waves", "-o", "new/result.jpg", "--content_size=0")
    assert (done.returncode, done.stdout) == (0, "The result is new/result.jpg\n"), done.stderr
    assert "1/1" in done.stderr  # the progress bar
    with Image.open("new/result.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (WIDTH, HEIGHT))
    assert sorted(os.listdir()) == ["new", "photo.png"]


def test_without_an_output_results_are_in_the_current_folder_under_their_names(photo):
    done = stylize(photo, "drawn:waves", *SMALL, "--format=webp")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert size_of("photo_stylized_waves.webp") == (WIDTH, HEIGHT)


def test_the_input_becomes_the_output(photo):
    command = [sys.executable, "-m", "stya2k_jax", "stylize", "-", "drawn:waves", *SMALL[:2]]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, input=photo.read_bytes(), capture_output=True, env=environment, check=True
    )
    with Image.open(BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))
        piped = np.asarray(image)
    assert stylize(photo, "drawn:waves", *SMALL, "-o", "file.png").returncode == 0
    with Image.open("file.png") as image:
        np.testing.assert_array_equal(np.asarray(image), piped)
    assert sorted(os.listdir()) == ["file.png", "photo.png"]


def test_an_output_that_nobody_reads_is_one_message(photo):
    code = (
        "import os, sys; reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 1);"
        "from stya2k_jax.__main__ import main; main()"
    )
    done = run_command("-c", code, "stylize", photo, "drawn:waves", *SMALL, "-o-", cwd=Path.cwd())
    assert done.returncode == 2 and "-o-" not in os.listdir()
    done = run_command(
        "-c", code, "stylize", photo, "drawn:waves", *SMALL, "-o", "-", cwd=Path.cwd()
    )
    assert (done.returncode, done.stderr) == (1, "error: nobody reads the output any more\n")


### What is said


def test_a_line_of_json_tells_files_size_seconds_and_device(photo):
    done = stylize(photo, "drawn:landscape", "--style=drawn:waves", *SMALL, "--json", "-o", "out")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first.pop("seconds") > 0 and first == dict(
        content="photo.png",
        style="drawn:waves",
        output="out/photo_stylized_waves.png",
        width=WIDTH,
        height=HEIGHT,
        device="cpu",
    )
    assert second["output"] == "out/landscape_stylized_waves.png" and second["width"] == 512


def test_a_blend_has_all_its_styles_in_one_line(photo):
    styles = ["--style=drawn:waves", "--style=drawn:mosaic"]
    blend = "--style_interpolation_weights=0.3,0.7"
    done = stylize(photo, *styles, blend, *SMALL, "--json", "--sheet=sheet.png")
    [row] = map(json.loads, done.stdout.splitlines())
    assert row["style"] == ["drawn:waves", "drawn:mosaic"] and row["output"] is None
    assert size_of("sheet.png") == (8 + WIDTH + 8 + WIDTH + 8, 8 + 32 + 20 + 8 + HEIGHT + 20 + 8)
    assert sorted(os.listdir()) == ["photo.png", "sheet.png"]


def test_a_sheet_has_a_row_for_each_content_and_a_column_for_each_style(photo):
    saved(Path("other.png"), noise(3, 20, WIDTH, 3))
    arguments = [photo, "other.png", "--style=drawn:waves", "--style=drawn:mosaic", *SMALL[:2]]
    done = stylize(*arguments, "--sheet=sheet.png", "-o", "out")
    assert done.stdout == "The results are in out\nThe sheet is sheet.png\n"
    assert len(os.listdir("out")) == 4
    assert size_of("sheet.png") == (8 + 3 * (WIDTH + 8), 8 + 32 + 20 + 8 + 60 + 8 + 40 + 8)
    with Image.open("sheet.png") as image:
        sheet = np.asarray(image)
    with Image.open("out/other_stylized_mosaic.png") as image:
        last = np.asarray(image)
    top, left = sheet.shape[0] - 8 - 40, sheet.shape[1] - 8 - WIDTH
    np.testing.assert_array_equal(sheet[top : top + 20, left : left + WIDTH], last)


def test_quiet_says_errors_alone_and_the_rest_is_done(photo):
    Path("broken.jpg").write_text("no picture")
    done = stylize("broken.jpg", photo, "drawn:waves", *SMALL, "-o", "out")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: broken.jpg is not a picture")
    assert os.listdir("out") == ["photo_stylized_waves.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give a content and a style"),
        (["photo.png"], 2, "give a style"),
        (["photo.png", "drawn:waves", "--alpha=strong"], 2, "strong"),
        (["photo.png", "drawn:waves", "--strenght=1"], 2, "Unknown command line flag 'strenght'"),
        (["photo.png", "drawn:waves", "--quality=101", "-o", "a.jpg"], 2, "quality"),
        (["photo.png", "drawn:waves", "--sheet=sheet.gif"], 2, "written as '.gif'"),
        (["photo.png", "drawn:waves", "-o", "-", "--json"], 2, "both want the output"),
        (["photo.png", "drawn:waves", "-o", "-", "--save_styles"], 2, "need --output=FOLDER"),
        (["photo.png", "drawn:waves", "--style_interpolation_weights=a"], 2, "give numbers"),
        (["nowhere.jpg", "drawn:waves"], 1, "nowhere.jpg does not exist"),
        (["photo.png", "drawn:wave"], 1, "There is no drawn picture 'wave'"),
        (["-", "drawn:waves", "-o", "a.png"], 1, "The input (-) is empty"),
        (["photo.png", "drawn:waves", "-o", "photo.png"], 1, "photo.png would be overwritten"),
        (["photo.png", "drawn:all", "-o", "a.png"], 1, "room for one result in a.png, and there"),
        (["photo.png", "drawn:all", "-o", "-"], 1, "room for one result in the standard output"),
        (["photo.png", "drawn:waves", "-o", "a.mp4"], 1, "No picture can be written as '.mp4'"),
        (["photo.png", "drawn:waves", "--alpha=7"], 1, "alpha=7.0 is not a strength"),
    ],
)
def test_a_mistake_is_one_message_an_exit_code_and_no_file(photo, arguments, code, message):
    done = stylize(*arguments)
    assert done.returncode == code and not done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message in done.stderr and "Traceback" not in done.stderr
    assert os.listdir() == ["photo.png"]


def test_flags_may_be_spelt_with_dashes_and_files_may_begin_with_one(photo):
    photo.rename("--dashed-name.png")
    done = stylize(
        "--content-size=0", "--style-size", "32", "-q", "--", "--dashed-name.png", "drawn:waves"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert size_of("--dashed-name_stylized_waves.png") == (WIDTH, HEIGHT)


def test_ctrl_c_has_an_exit_code_of_its_own():
    code = (
        "import signal, time; from stya2k_jax.commands import stylize;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"  # a shell may ignore it
        "interrupt = lambda *_, **__: (signal.raise_signal(signal.SIGINT), time.sleep(60));"
        "stylize.find_sources = interrupt; stylize.main()"
    )
    done = run_command("-c", code, "a.png", "b.png", cwd=Path.cwd())
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")
