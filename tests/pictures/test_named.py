"""Pictures by name: the input, and what is drawn."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.pictures.named import is_named, named_pictures
from stya2k_jax.pictures.synthetic import CONTENTS, STYLES, draw, draw_content, draw_style
from tests.support.picture_files import encoded, noise

NOTHING = BytesIO()


def test_files_are_told_from_names():
    assert is_named("-") and is_named("drawn:waves")
    assert not any(map(is_named, ("a.png", "./-", "./drawn:waves", "drawn", "-a.png", "")))


def test_a_drawn_picture_has_its_name_and_size():
    [(path, picture)] = named_pictures("drawn:waves_2", NOTHING, 40).items()
    assert (path, picture.name, picture.layers.alpha) == (Path("drawn:waves_2"), "waves_2", None)
    np.testing.assert_array_equal(np.asarray(picture.layers.rgb), draw("waves_2", 40))
    [whole] = named_pictures("drawn:waves_2", NOTHING).values()
    assert whole.layers.rgb.size == (512, 512)


def test_all_is_one_style_of_each_kind():
    found = named_pictures("drawn:all", NOTHING, 16)
    assert [picture.name for picture in found.values()] == list(STYLES)


def test_names_mean_the_pictures_that_numbers_mean():
    for i, name in enumerate([*STYLES, *(f"{kind}_2" for kind in STYLES)]):
        np.testing.assert_array_equal(draw(name, 24), draw_style(i, 24))
    for i, name in enumerate([*CONTENTS, *(f"{kind}_2" for kind in CONTENTS)]):
        np.testing.assert_array_equal(draw(name, 24), draw_content(i, 24))
    np.testing.assert_array_equal(draw("waves_12", 24), draw_style(4 + 5 * 11, 24))


@pytest.mark.parametrize(
    "name", ["wave", "waves_0", "waves_1", "waves_", "waves_99999", "", "Waves"]
)
def test_a_name_that_is_none_is_refused_with_those_there_are(name):
    with pytest.raises(UserError, match="choose one of landscape, still_life, hatching.*waves_2"):
        named_pictures(f"drawn:{name}", NOTHING)


def test_the_input_is_read_as_a_file_is():
    pixels = noise(0, 6, 8, 4)
    [(path, picture)] = named_pictures(
        "-", BytesIO(encoded(Image.fromarray(pixels), "PNG"))
    ).items()
    assert (path, picture.name) == (Path("-"), "stdin")
    np.testing.assert_array_equal(np.asarray(picture.layers.alpha), pixels[..., 3])


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "The input .-. is empty; pipe"), (b"text", "the input .-. is not a picture")],
)
def test_an_input_that_is_no_picture_is_one_message(data, message):
    with pytest.raises(PictureError, match=message):
        named_pictures("-", BytesIO(data))
