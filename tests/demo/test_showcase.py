"""The demonstration page: every pair is painted, and the page needs no other file."""

import json
import re

import numpy as np
import pytest

from stya2k_jax.demo import examples, showcase
from stya2k_jax.errors import UserError
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.pictures.names import Pair
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.pictures.synthetic import STYLES
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
    number = len(contents) * len(styles) + len(contents) + len(styles)
    assert html.count("data:image/jpeg") == number and html.count("<svg") == 1
    assert "by &lt;small&gt;, 32×32 pixels" in html and str(tmp_path) not in html
    assert not re.search(r"(src|href)=.https?:", html)


def test_the_curve_takes_the_last_line_of_a_step(tmp_path):
    rows = [(1, 7.0), (2, 5.0), (2, 4.0)]
    lines = [json.dumps({"step": step, "loss": loss, "grad_norm": 1.0}) for step, loss in rows]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    svg = showcase.loss_curve(tmp_path)
    assert len(set(re.findall(r"<use [^>]*fill-opacity", svg))) == 2 and "grad_norm" not in svg


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b"{}", b'{"step": 1, "loss": "x"}', b"3"])
def test_a_damaged_log_is_refused_by_file(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_bytes(text)
    with pytest.raises(UserError, match="metrics.jsonl is no log of a training run"):
        showcase.loss_curve(tmp_path)
    with pytest.raises(UserError, match="nowhere/metrics.jsonl is no log"):
        showcase.loss_curve(tmp_path / "nowhere")


def test_a_run_without_steps_has_no_curve(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match="has no steps yet"):
        showcase.loss_curve(tmp_path)
