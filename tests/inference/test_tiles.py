"""A picture painted in tiles is the picture painted whole, whatever its size.

Nearly all pictures here are longer than 256 pixels, so that all stages have windows of one shape
and compile once. What is expected comes of the plain loops or of one program for the whole picture.
"""

import dataclasses
from functools import cache

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stya2k_jax.inference.tiles
from stya2k_jax import Stylizer, UserError
from stya2k_jax.inference.program import Program
from stya2k_jax.inference.programs import Programs
from stya2k_jax.inference.tiles import Tiles, whole_moments, windows
from stya2k_jax.network.architecture import BASELINES, STYLED_TAPS, Architecture
from stya2k_jax.network.model import StyA2K, assemble, new_painter
from stya2k_jax.network.sizes import tap_sizes
from stya2k_jax.weights.parameters import named_arrays, with_arrays
from tests.support import plain_loops as loop
from tests.support.small_model import pictures, small_model

TILE_PX = 128
LARGEST_REACH = 4  # convolutions of a stage
STYLE_SIZE = (141, 270)
SEEN: set[tuple[int, ...]] = set()
WHOLE = (304, 304)  # of which all pictures below are a part

### Windows along an axis


@settings(max_examples=200, deadline=None)
@given(
    length=st.integers(1, 700),
    side=st.integers(1, 80).map(lambda half: 2 * half),
    reach=st.sampled_from([0, 2, 4]),
)
def test_windows_keep_every_point_once_and_see_all_it_needs(length, side, reach):
    kept = []
    for window in windows(length, side, reach):
        end = window.start + window.real
        kept += range(window.first, window.end)
        assert 0 <= window.start <= window.first < window.end <= end <= length
        assert window.start == max(0, window.first - reach)
        assert end >= min(length, window.end + reach)
        assert window.real <= side + 2 * reach
        assert window.start % 2 == 0  # so that points of a half as large map lie at its beginning
    assert kept == list(range(length))


### Pictures


@cache
def tiles() -> Tiles:
    """Returns tiles that note the shapes of all arrays of their stages in SEEN."""

    class Recorded(Program):
        def __call__(self, *arguments):
            out = super().__call__(*arguments)
            SEEN.update(x.shape for x in jax.tree.leaves((arguments, out)) if np.ndim(x) > 3)
            return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stya2k_jax.inference.tiles, "Program", Recorded)
        return Tiles(small_model()[0], TILE_PX)


@cache
def whole() -> Programs:
    programs = Programs(small_model()[0])
    programs.contents.choose = lambda _: WHOLE
    return programs


@cache
def styles() -> list[dict]:
    """Returns the keys of two styles, which were encoded in tiles."""
    drawn = pictures(1, STYLE_SIZE, STYLE_SIZE)
    return [whole().keys_of_taps(tiles().taps(s), STYLE_SIZE, False) for s in drawn]


def shares_of(weights: list[float]) -> dict[str, np.ndarray]:
    return dict.fromkeys(STYLED_TAPS, np.array(weights, np.float32)[:, None, None])


def assert_same_picture(out: np.ndarray, expected: np.ndarray, range_of: float = 1.0) -> None:
    assert out.shape == expected.shape and out.dtype == np.float32
    assert np.abs(out - expected).max() <= 1e-4 * range_of


@pytest.mark.parametrize("size", [STYLE_SIZE, (290, 150), (20, 530)])
def test_taps_are_those_of_the_whole_picture(size):
    (picture,) = pictures(1, size)
    taps = tiles().taps(picture)
    expected = loop.encode(small_model()[1]["vgg"], picture[0])
    assert sorted(taps) == sorted(STYLED_TAPS)
    for tap, features in taps.items():
        atol = 1e-4 * expected[tap].max()
        np.testing.assert_allclose(features[0], expected[tap], atol=atol, err_msg=tap)


@pytest.mark.parametrize("size", [(290, 150), (131, 277), (257, 257), (256, 290), (304, 65)])
def test_tiles_paint_the_whole_picture_at_any_size(size):
    (content,) = pictures(2, size)
    out = tiles().paint(content, styles()[:1], shares_of([1]))
    assert_same_picture(out, whole().paint(content, styles()[0]))


@pytest.mark.parametrize("size", [(290, 17), (20, 270)])
def test_tiles_paint_narrow_strips(size):
    (content,) = pictures(3, size)
    out = tiles().paint(content, styles()[:1], shares_of([1]))
    (style,) = pictures(1, STYLE_SIZE)
    expected, _ = loop.forward(small_model()[1], content[0], style[0])
    assert_same_picture(out[0], expected.astype(np.float32), np.abs(expected).max())


@pytest.fixture(scope="module")
def stylizer():
    """Paints pictures of more than 3000 pixels in tiles."""
    memory = 3000 * 1200 * small_model()[0].architecture.width
    return Stylizer(small_model()[0], max_memory=memory, tile_px=TILE_PX)


def test_a_large_content_in_a_large_style_is_what_the_loops_paint(stylizer):
    content, style = pictures(4, (150, 290), STYLE_SIZE)
    expected, _ = loop.forward(small_model()[1], content[0], style[0])
    expected = np.clip(expected, 0, 1).astype(np.float32)
    assert_same_picture(stylizer(content[0], style), expected)
    np.testing.assert_allclose(
        stylizer(content, style, alpha=0.25)[0], 0.25 * expected + 0.75 * content[0], atol=1e-4
    )


@pytest.mark.parametrize("size", [(290, 150), (131, 277)])
def test_several_styles_masks_and_strength_have_no_seams(size):
    (content,), rng = pictures(5, size), np.random.default_rng(6)
    shares = {}
    for tap in STYLED_TAPS:
        first = rng.random((1, *tap_sizes(size)[tap]), np.float32)
        shares[tap] = np.concatenate([first, 1.5 - first])  # a strength of 1.5
    out = tiles().paint(content, styles(), shares)
    expected = whole().paint(content, styles(), shares)
    assert_same_picture(out, expected, np.abs(expected).max())


def test_a_batch_may_have_one_style_for_each_content_beside_one_for_all(stylizer):
    (contents,) = pictures(8, (150, 270), batch=2)
    each, one = pictures(9, (48, 48), batch=2)[0], pictures(10, (48, 48))[0]
    out = stylizer(contents, [each, one])
    for i in range(2):
        alone = stylizer(contents[i], [each[i], one])
        np.testing.assert_allclose(out[i], alone, atol=1e-4)


def test_blocks_of_any_side_are_cut_on_one_grid():
    model, weights = small_model()
    architecture = dataclasses.replace(model.architecture, block_sizes=(16, 6, 8, 4))
    painter = with_arrays(new_painter(architecture), named_arrays(model.painter), "the painter")
    model = assemble(architecture, model.encoder, painter)
    content, style = pictures(11, (60, 290), (48, 48))
    out = Stylizer(model, max_memory=2**16, tile_px=TILE_PX)(content[0], style)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(loop.BLOCK_SIZE, "relu3_1", 6)
        expected, _ = loop.forward(weights, content[0], style[0])
    assert_same_picture(out, np.clip(expected, 0, 1).astype(np.float32))


### Memory


def test_no_stage_sees_or_makes_more_than_a_window():
    SEEN.clear()
    tiles().paint(pictures(2, (290, 150))[0], styles()[:1], shares_of([1]))
    most = (TILE_PX + 2 * LARGEST_REACH) ** 2
    assert 290 * 150 > 2 * most
    assert len(SEEN) > 10 and max(shape[1] * shape[2] for shape in SEEN) <= most


def test_moments_of_a_large_map_are_exact():
    features = np.random.default_rng(0).normal(1000, 0.1, (1, 300, 200, 2)).astype(np.float32)
    mean, std = loop.mean_and_std(features[0].astype(np.float64))
    ours = whole_moments(features)
    np.testing.assert_allclose(ours[0][0, 0, 0], mean, rtol=1e-6)
    np.testing.assert_allclose(ours[1][0, 0, 0], std, rtol=1e-3)


### Refusals


@pytest.mark.parametrize("variant", [*BASELINES, "no_pa_step1"])
def test_models_that_need_every_place_at_once_are_refused_with_the_remedy(variant):
    model = StyA2K(Architecture(width=1 / 8, variant=variant), rngs=None)
    with pytest.raises(UserError, match=f"{variant} cannot .* use a smaller picture, or more mem"):
        Tiles(model)


@pytest.mark.parametrize("tile_px", [0, 64, 100, 130, -128])
def test_a_tile_that_does_not_fit_the_blocks_is_refused(tile_px):
    with pytest.raises(UserError, match=f"{tile_px} pixels: use a multiple of 64, 128 or more"):
        Tiles(small_model()[0], tile_px)
