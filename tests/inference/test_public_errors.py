"""All that a user can get wrong in Python is a `UserError` in one sentence or two."""

import numpy as np
import pytest
from PIL import Image

import stya2k_jax
from stya2k_jax import Architecture, Stylizer, UserError
from stya2k_jax.errors import PictureError, WeightsError
from tests.support.picture_files import noise
from tests.support.small_model import small_model

PICTURE = noise(0, 16, 24, 3)
NAN = np.full((4, 4, 3), np.nan)


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer(small_model()[0])


@pytest.fixture(scope="module")
def style(stylizer):
    return stylizer.encode_style(PICTURE)


MISTAKES = {
    "no model": lambda s, style, tmp: stya2k_jax.load(tmp / "nowhere"),
    "a text": lambda s, style, tmp: stya2k_jax.load(tmp / "text.png"),
    "an empty folder": lambda s, style, tmp: stya2k_jax.load(tmp),
    "a field": lambda s, style, tmp: stya2k_jax.load(wdith=1.0),
    "another network": lambda s, style, tmp: stya2k_jax.load(width=1.0),
    "a width": lambda s, style, tmp: Architecture(width=0.3),
    "a width in words": lambda s, style, tmp: Architecture(width="a quarter"),
    "a pooling": lambda s, style, tmp: Architecture(pooling="min"),
    "a name for a model": lambda s, style, tmp: Stylizer("a2k-mini"),
    "no photograph": lambda s, style, tmp: s(tmp / "nowhere.jpg", style),
    "no picture": lambda s, style, tmp: s(tmp / "text.png", style),
    "a folder": lambda s, style, tmp: s(tmp, style),
    "nothing": lambda s, style, tmp: s(None, style),
    "bytes": lambda s, style, tmp: s(b"bytes", style),
    "two axes": lambda s, style, tmp: s(np.zeros((4, 4)), style),
    "whole numbers": lambda s, style, tmp: s(np.zeros((4, 4, 3), int), style),
    "a range": lambda s, style, tmp: s(np.full((4, 4, 3), 255.0), style),
    "NaN": lambda s, style, tmp: s(NAN, style),
    "an empty picture": lambda s, style, tmp: s(Image.new("RGB", (0, 4)), style),
    "no style": lambda s, style, tmp: s(PICTURE, []),
    "a missing style": lambda s, style, tmp: s(PICTURE, tmp / "nowhere.jpg"),
    "a strength": lambda s, style, tmp: s(PICTURE, style, alpha=7),
    "a strength in words": lambda s, style, tmp: s(PICTURE, style, alpha="much"),
    "colors": lambda s, style, tmp: s(PICTURE, style, preserve_color="yes"),
    "masks": lambda s, style, tmp: s(PICTURE, style, masks=[]),
    "a mask": lambda s, style, tmp: s(PICTURE, style, content_mask=tmp / "text.png"),
    "a batch": lambda s, style, tmp: s(np.stack([PICTURE] * 2), np.stack([PICTURE] * 3)),
    "a policy": lambda s, style, tmp: s.encode_style(PICTURE, block_policy="large"),
    "weights": lambda s, style, tmp: s.encode_style([PICTURE] * 2, [1]),
    "weights in words": lambda s, style, tmp: s.encode_style([PICTURE] * 2, ["much", "little"]),
    "one weight": lambda s, style, tmp: s.encode_style([PICTURE] * 2, 3),
    "no saved style": lambda s, style, tmp: s.load_style(tmp / "nowhere.safetensors"),
    "a damaged style": lambda s, style, tmp: s.load_style(tmp / "text.png"),
    "a place": lambda s, style, tmp: s.attention(PICTURE, style, (99, 0)),
    "a tap": lambda s, style, tmp: s.attention(PICTURE, style, (0, 0), "relu9_1"),
    "one axis less": lambda s, style, tmp: s.model(PICTURE, PICTURE),
    "two batches": lambda s, style, tmp: s.model(PICTURE[None], np.stack([PICTURE] * 2)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_user_error_that_says_something(mistake, stylizer, style, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError) as caught:
        MISTAKES[mistake](stylizer, style, tmp_path)
    message = str(caught.value)
    assert len(message) > 20 and message[0] != "'" and message[-1] != "\n"


def test_all_errors_have_one_base_class_which_is_a_value_error():
    assert issubclass(PictureError, UserError) and issubclass(WeightsError, UserError)
    assert issubclass(UserError, ValueError)


def test_representations_are_one_line_each(stylizer, style):
    for thing in (stylizer, style, stylizer.model, stylizer.model.architecture):
        shown = repr(thing)
        assert shown.startswith(type(thing).__name__ + "(") and len(shown) < 200
        assert len(shown.splitlines()) == 1
    assert repr(stylizer.model).endswith(" numbers)")
    assert "1,511,733 numbers" in repr(stya2k_jax.load())
