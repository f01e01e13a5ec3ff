"""Names, files and squares of the pictures that an evaluation compares."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.pairs import all_pairs, find_stylized
from stya2k_jax.pictures.names import Pair, by_name
from stya2k_jax.pictures.resizing import as_square


def test_every_pair_comes_once_and_few_styles_at_a_time():
    contents, styles = ({f"{kind}{i}": Path(f"{kind}{i}.png") for i in range(5)} for kind in "cs")
    pairs = all_pairs(contents, styles, styles_at_once=2)
    assert sorted(pairs) == [Pair(c, s) for c in sorted(contents) for s in sorted(styles)]
    assert {pair.style for pair in pairs[:10]} == {"s0", "s1"}


def test_pairs_whose_pictures_have_one_name_are_refused():
    contents, styles = (dict.fromkeys(x) for x in (("a", "a_stylized_b"), ("c", "b_stylized_c")))
    with pytest.raises(UserError, match="both have pictures called 'a_stylized_b_stylized_c'"):
        all_pairs(contents, styles)


def test_pictures_of_one_name_are_refused():
    with pytest.raises(UserError, match="Two contents are called 'a': x/a.png and y/a.jpg"):
        by_name("contents", [Path("x/a.png"), Path("y/a.jpg")])
    assert by_name("contents", [Path("x/a.png")] * 2) == {"a": Path("x/a.png")}


def test_stylized_pictures_are_found_by_name_whatever_their_suffix(tmp_path):
    for name in ("a_stylized_x.png", "deeper/b_stylized_x.jpg", "notes_stylized_nobody.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pairs = [Pair("a", "x"), Pair("b", "x"), Pair("c", "x")]
    found, unused = find_stylized(tmp_path, pairs)
    assert {pair: path.name for pair, path in found.items()} == {
        pairs[0]: "a_stylized_x.png",
        pairs[1]: "b_stylized_x.jpg",
    }
    assert [path.name for path in unused] == ["notes_stylized_nobody.png"]


def test_a_folder_without_any_pair_is_refused_with_the_name_that_was_looked_for(tmp_path):
    (tmp_path / "a_x.png").touch()
    with pytest.raises(UserError, match="holds no picture of any pair, such as a_stylized_x.png"):
        find_stylized(tmp_path, [Pair("a", "x")])


@pytest.mark.parametrize(
    ("size", "box"),
    [((30, 20), (5, 0, 25, 20)), ((20, 31), (0, 5, 20, 25)), ((7, 7), (0, 0, 7, 7))],
)
def test_the_centre_crop_is_the_largest_square_around_the_middle(size, box):
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    side = min(size)
    np.testing.assert_array_equal(as_square(image, side), image.crop(box))  # nothing is resampled


def test_other_sizes_are_resized_after_the_crop_or_squashed():
    image = Image.new("RGB", (30, 20), "red")
    image.paste("blue", (5, 0, 25, 20))
    assert np.asarray(as_square(image, 8, "centre"))[..., 0].max() == 0  # the red sides are gone
    squashed = np.asarray(as_square(image, 8, "squash"))
    assert squashed.shape == (8, 8, 3) and squashed[:, 0, 0].min() > 200
