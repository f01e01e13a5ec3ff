"""The demonstration page: every pair is painted, and the page needs no other file."""

import json

import numpy as np

from stya2k_jax.demo import examples, showcase
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.pictures.names import Pair
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.pictures.synthetic import STYLES
from stya2k_jax.reports.page import page
from stya2k_jax.reports.picture_grids import Thumbnails, picture_grid
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
    sources = {}
    for name, image in (contents | styles).items():
        sources[name] = tmp_path / f"{name}.png"
        image.save(sources[name])
    thumbnails = Thumbnails(lambda path: np.asarray(read_picture(path)))
    grid = picture_grid(
        files,
        {name: sources[name] for name in contents},
        {name: sources[name] for name in styles},
        thumbnails,
    )
    html = page("A title", [grid])
    assert html.count("data:image/jpeg") == len(files) + len(contents) + len(styles)
    assert "http" not in html and str(tmp_path) not in html


def test_the_curve_takes_the_last_line_of_a_step(tmp_path):
    rows = [(1, 7.0), (2, 5.0), (2, 4.0)]
    lines = [json.dumps({"step": step, "loss": loss, "grad_norm": 1.0}) for step, loss in rows]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    svg = showcase.loss_curve(tmp_path)
    assert svg.count("<circle") == 2 and "grad_norm" not in svg
