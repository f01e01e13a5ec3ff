"""The demonstration page: every pair is painted, and the page needs no other file."""

import json
import re
import shlex

import numpy as np
import pytest

from stya2k_jax.demo import examples, showcase
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.pictures.names import Pair
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.pictures.synthetic import STYLES
from tests.support.commands import run_command
from tests.support.small_model import small_model

SIZE = 32


def test_there_is_a_style_of_every_drawn_kind_and_all_are_squares():
    contents, styles = examples.contents_and_styles(SIZE)
    assert set(styles) > set(STYLES) and len(styles) == 6 and len(contents) >= 1
    assert {image.size for image in (*contents.values(), *styles.values())} == {(SIZE, SIZE)}


def test_every_pair_is_painted_under_its_name_and_shown(tmp_path):
    contents, styles = examples.contents_and_styles(SIZE)
    contents = dict(list(contents.items())[-1:])
    stylizer = Stylizer(small_model()[0])
    files, seconds = showcase.stylize_all(stylizer, contents, styles, tmp_path)
    assert set(files) == {Pair(c, s) for c in contents for s in styles}
    assert len(seconds) == len(files)
    for pair, file in files.items():
        expected = stylizer(contents[pair.content], styles[pair.style])
        np.testing.assert_array_equal(np.asarray(read_picture(file)), np.asarray(expected))


def test_the_page_shows_every_picture_and_the_losses(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "loss": 7.0}) + "\n")
    stylizer = Stylizer(small_model()[0])
    page = showcase.write_showcase(stylizer, "<small>", tmp_path / "demo", SIZE, run=tmp_path)
    contents, styles = examples.contents_and_styles(SIZE)
    html = page.read_text(encoding="utf-8")
    number = len(contents) * len(styles) + len(contents) + len(styles) + 2  # before and after
    assert html.count("data:image/jpeg") == number and html.count("<svg") == 1
    assert "&lt;small&gt; painted these pictures" in html and str(tmp_path) not in html
    assert "32 × 32 pixels took" in html and "stained glass" in html
    for words in showcase.COMMANDS.values():
        assert shlex.join(words) in html
    assert not re.search(r"(src|href)=.https?:", html)


@pytest.mark.parametrize("words", showcase.COMMANDS.values())
def test_the_commands_to_try_next_are_understood(words):
    done = run_command("-m", "stya2k_jax", *words[1:], "--only_check_args")
    assert words[0] == "stya2k" and done.returncode == 0, done.stderr


def test_times_are_told_of_the_first_picture_and_of_the_others():
    told = showcase.told_times([12.0, 0.2, 0.25, 9.0], 64)
    assert "first picture took 12 seconds" in told
    assert told.endswith("64 × 64 pixels took a quarter of a second.")
    assert "further" not in showcase.told_times([12.0], 64)
