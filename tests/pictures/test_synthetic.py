"""Drawn pictures: the same for an index for ever, different between indices, of any size."""

import hashlib

import numpy as np
import pytest

from stya2k_jax.pictures.synthetic import STYLES, draw_content, draw_style

BOTH = pytest.mark.parametrize("draw", [draw_content, draw_style])
INDICES = range(2 * len(STYLES))  # every style twice, both kinds of content


@BOTH
@pytest.mark.parametrize("size", [1, 2, 7, 33, 64])
def test_pictures_of_any_size_are_square_and_8_bit(draw, size):
    for index in INDICES:
        picture = draw(index, size)
        assert picture.shape == (size, size, 3) and picture.dtype == np.uint8


@BOTH
def test_an_index_gives_the_same_picture_every_time(draw):
    backwards = {index: draw(index, 32) for index in reversed(INDICES)}
    for index in INDICES:
        np.testing.assert_array_equal(draw(index, 32), backwards[index])


@BOTH
def test_no_two_pictures_are_alike(draw):
    pictures = [draw(index, 32) for index in range(64)]
    assert len({hashlib.sha256(picture.tobytes()).digest() for picture in pictures}) == 64


@BOTH
def test_every_picture_shows_something(draw):
    for index in INDICES:
        picture = draw(index, 64).astype(float)
        assert picture.std(axis=(0, 1)).max() > 10, index  # no flat field


def test_the_styles_come_in_turn():
    # Hatching is ink and paper, nothing else; the others shade.
    colors = [len(np.unique(draw_style(i, 64).reshape(-1, 3), axis=0)) for i in INDICES]
    assert [count == 2 for count in colors] == [STYLES[i % 5] == "hatching" for i in INDICES]


def test_contents_and_styles_are_not_the_same_pictures():
    assert (draw_content(0, 32) != draw_style(0, 32)).any()


@BOTH
def test_a_larger_picture_shows_the_same_scene(draw):
    for index in INDICES:
        small, large = draw(index, 128).astype(float), draw(index, 256).astype(float)
        shrunk = large.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
        assert np.abs(shrunk - small).mean() < 0.5 * np.abs(small - small.mean(axis=(0, 1))).mean()
