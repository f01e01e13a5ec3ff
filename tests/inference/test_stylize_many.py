"""`Stylizer.stylize_many`: every pair, in order, when its turn comes."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax import Stylizer, UserError
from stya2k_jax.errors import PictureError
from tests.support.picture_files import noise, saved
from tests.support.small_model import small_model

CONTENTS = [noise(i, 16, 24, 3) for i in range(2)]
STYLES = [noise(9 + i, 16, 16, 3) for i in range(2)]


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer(small_model()[0])


def test_every_pair_is_painted_as_it_is_alone(stylizer):
    found = list(stylizer.stylize_many(CONTENTS, STYLES, alpha=0.7, preserve_color="luminance"))
    assert [(i, j) for i, j, _ in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for i, j, picture in found:
        alone = stylizer(CONTENTS[i], STYLES[j], alpha=0.7, preserve_color="luminance")
        np.testing.assert_array_equal(picture, alone)


def test_results_are_of_the_kind_of_their_content(stylizer, tmp_path):
    path = saved(tmp_path / "a.png", CONTENTS[0])
    contents = [path, str(path), Image.fromarray(CONTENTS[0]), CONTENTS[0] / np.float32(255)]
    style = stylizer.encode_style(STYLES[0])
    kinds = [type(result.picture) for result in stylizer.stylize_many(contents, [style])]
    assert kinds == [Image.Image, Image.Image, Image.Image, np.ndarray]


def test_contents_are_taken_one_by_one_and_styles_encoded_once(stylizer, monkeypatch):
    encoded = []
    encode = Stylizer.encode_style
    monkeypatch.setattr(
        Stylizer, "encode_style", lambda *given, **options: encoded.append(1) or encode(*given)
    )
    taken = []

    def endless():
        for i in itertools.count():
            taken.append(i)
            yield CONTENTS[i % 2]

    results = stylizer.stylize_many(endless(), STYLES)
    first = list(itertools.islice(results, 3))
    assert [(r.content, r.style) for r in first] == [(0, 0), (0, 1), (1, 0)]
    assert taken == [0, 1] and len(encoded) == len(STYLES)


def test_programs_are_chosen_for_all_sizes_at_once(stylizer, tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(stylizer, "prepare", sizes.extend)
    contents = [saved(tmp_path / "a.png", CONTENTS[0]), CONTENTS[1][:9], tmp_path / "missing.png"]
    stylizer.stylize_many(contents, STYLES[:1])
    assert sizes == [(16, 24), (9, 24)]


def test_what_comes_before_a_broken_file_is_painted(stylizer, tmp_path):
    results = stylizer.stylize_many([CONTENTS[0], tmp_path / "missing.png"], STYLES[:1])
    assert next(results).content == 0
    with pytest.raises(PictureError, match="missing.png does not exist"):
        next(results)


def test_progress_is_shown_where_it_is_asked_for(stylizer, capsys):
    list(stylizer.stylize_many(CONTENTS[:1], STYLES))
    assert capsys.readouterr() == ("", "")
    list(stylizer.stylize_many(CONTENTS[:1], STYLES, progress=True))
    out, err = capsys.readouterr()
    assert not out and "2/2" in err


@pytest.mark.parametrize(
    ("contents", "styles", "message"),
    [
        ("photo.jpg", STYLES, "contents is one str; give several"),
        (Path("photo.jpg"), STYLES, "contents is one PosixPath; give several"),
        (CONTENTS, Image.fromarray(STYLES[0]), "styles is one Image; give several"),
        (None, STYLES, "contents is one NoneType"),
    ],
)
def test_one_picture_in_the_place_of_several_is_refused_at_once(
    stylizer, contents, styles, message
):
    with pytest.raises(UserError, match=message):
        stylizer.stylize_many(contents, styles)
    with pytest.raises(UserError, match="styles is one Style"):
        stylizer.stylize_many(CONTENTS, stylizer.encode_style(STYLES[0]))
    with pytest.raises(UserError, match="alpha=9"):
        stylizer.stylize_many(CONTENTS, STYLES, alpha=9)
