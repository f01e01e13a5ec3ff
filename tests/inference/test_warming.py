"""What is compiled beforehand is what pictures of common aspects then run."""

import numpy as np
import pytest

from stya2k_jax import Stylizer
from stya2k_jax.inference import warming
from stya2k_jax.inference.program_shapes import standard_shape
from stya2k_jax.inference.warming import ASPECTS, common_sizes, warm, warm_for_any_style
from tests.support.small_model import pictures, small_model

SHORT_PX = 64


def finish(futures) -> None:
    for future in futures:
        future.result()


@pytest.fixture
def stylizer(monkeypatch):
    monkeypatch.setattr(warming, "ASPECTS", (1.0, 4 / 3))
    return Stylizer(small_model()[0])


def paint(stylizer: Stylizer, told: list[str], content, style) -> None:
    """Paints a content of one size in a style of another one; notes what is compiled."""
    stylizer._model.tell = told.append
    a, b = pictures(0, content, style)
    out = stylizer(a[0], b[0])
    assert np.isfinite(out).all() and out.shape == a[0].shape


def test_common_sizes_are_those_of_the_aspects_both_ways():
    assert common_sizes(512, (1.0, 1.5)) == [(512, 512), (512, 768), (768, 512)]
    assert len(common_sizes(512, ASPECTS)) == 2 * len(ASPECTS) - 1


def test_warmed_pictures_compile_nothing(stylizer):
    told = []
    finish(warm(stylizer, SHORT_PX, tell=told.append))
    assert told
    told.clear()
    for content, style in (((64, 64), (64, 64)), ((64, 85), (85, 64)), ((80, 64), (64, 77))):
        paint(stylizer, told, content, style)
    assert not told
    paint(stylizer, told, (64, 300), (64, 64))
    assert told


def test_for_a_server_any_style_of_that_size_will_do(stylizer):
    finish(warm_for_any_style(stylizer, SHORT_PX))
    told = []
    for style in ((64, 64), (64, 77), (120, 64), (128, 64)):
        paint(stylizer, told, (64, 85), style)
    assert not told


def test_a_folder_needs_one_program_that_paints_for_each_shape_whatever_the_styles(stylizer):
    told = []
    contents, styles = [(64, 90), (70, 64), (64, 70)], [(64, 64), (64, 100), (110, 64)]
    finish(stylizer.prepare(contents, styles, tell=told.append))
    shapes = {stylizer._model.programs.contents.choose(size) for size in contents}
    assert len(stylizer._model.programs._paint._entries) == len(shapes)
    told.clear()
    for content in contents:
        for style in styles:
            paint(stylizer, told, content, style)
    assert not told
    assert len(stylizer._model.programs._paint._entries) == len(shapes)


def test_prepared_programs_paint_what_unprepared_ones_paint(stylizer):
    content, style = (x[0] for x in pictures(3, (64, 90), (70, 110)))
    alone = Stylizer(small_model()[0])(content, style)
    stylizer.prepare([(64, 90), (64, 64)], [(70, 110), (64, 200), (64, 64)])
    np.testing.assert_allclose(stylizer(content, style), alone, atol=1e-4)
    assert standard_shape((64, 90)) == (64, 128)
