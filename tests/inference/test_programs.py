"""A model's compiled halves on padded arrays against the plain loops on the pictures themselves.

In all but one test the padding is full of numbers far beyond white and black, in the place of the
repeated last row and column: it must not matter what stands there.
"""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stya2k_jax.inference.programs
from stya2k_jax.inference.programs import Programs, padded
from stya2k_jax.network.architecture import BASELINES, STYLED_TAPS, Architecture
from stya2k_jax.network.blocks import balanced_block_size
from stya2k_jax.network.model import StyA2K, assemble, new_painter
from stya2k_jax.network.sizes import tap_sizes
from stya2k_jax.weights.parameters import named_arrays, named_leaves, with_arrays
from tests.support import plain_loops as loop
from tests.support.small_model import pictures, small_model

CONTENT_SHAPE, STYLE_SHAPE = (80, 96), (96, 128)
CONTENTS = [(80, 95), (65, 96), (33, 47), (79, 50)]
STYLES = [(65, 66), (96, 91)]  # 3 x 3 blocks at relu3_1, of 3 x 4, and 12 keys
TOLERANCE = 1e-4  # of the largest number painted


@pytest.fixture(autouse=True, scope="module")
def garbage():
    """Fills the padding of pictures with large random numbers."""

    def among_garbage(real: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        x = 10 * np.random.default_rng(0).normal(size=(len(real), *shape, 3)).astype(np.float32)
        x[:, : real.shape[1], : real.shape[2]] = real
        return x

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stya2k_jax.inference.programs, "padded", among_garbage)
        yield


@pytest.fixture(scope="module")
def programs():
    """Programs that pad every content and every style to one shape."""
    found = Programs(small_model()[0])
    found.contents.choose = lambda _: CONTENT_SHAPE
    found.styles.choose = lambda _: STYLE_SHAPE
    return found


@pytest.fixture(scope="module")
def styles(programs):
    """Pictures of the STYLES, and their padded keys."""
    drawn = pictures(5, *STYLES)
    return drawn, [programs.style_keys(style) for style in drawn]


def assert_painted(out: np.ndarray, expected: np.ndarray) -> None:
    assert out.shape == expected.shape and out.dtype == np.float32
    assert np.abs(out - expected).max() <= TOLERANCE * np.abs(expected).max()


def assert_no_near_tie(choices: dict) -> None:
    """Checks that no choice of a block could fall the other way by rounding."""
    for _, scores in choices.values():
        if scores.shape[2] > 1:
            first, second = np.sort(scores, axis=2)[:, :, :-3:-1].transpose(2, 0, 1)
            assert (first - second).min() > 1e-5 * np.abs(scores).max()


### Padding


@pytest.mark.parametrize(("size", "which"), [(c, i % 2) for i, c in enumerate(CONTENTS)])
def test_padded_contents_and_styles_paint_what_the_loops_paint(programs, styles, size, which):
    (content,) = pictures(6, size)
    out = programs.paint(content, styles[1][which])
    expected, choices = loop.forward(small_model()[1], content[0], styles[0][which][0])
    assert_no_near_tie(choices)
    assert_painted(out[0], expected)


def test_sizes_that_share_a_shape_are_compiled_once(programs, styles, caplog):
    programs.paint(pictures(6, CONTENTS[0])[0], styles[1][0])
    with jax.log_compiles():
        for size in [(64, 64), (40, 96), (77, 33)]:
            programs.paint(pictures(6, size)[0], styles[1][1])
        for size in [(70, 80), (96, 95)]:
            programs.style_keys(pictures(6, size)[0])
    assert "paint" not in caplog.text and "style_keys" not in caplog.text


def test_keys_of_as_many_blocks_have_one_shape(styles):
    first, second = ({name: leaf.shape for name, leaf in named_leaves(keys)} for keys in styles[1])
    assert first == second
    assert first["relu3_1.distributed.k_hat"][1] == 12


def test_blocks_of_padding_are_marked_and_real_ones_come_first(styles):
    for size, keys in zip(STYLES, styles[1], strict=True):
        for tap in STYLED_TAPS:
            side = loop.BLOCK_SIZE[tap]
            real = [len(block) for block in loop.blocks(*tap_sizes(size)[tap], side)]
            points = np.asarray(keys[tap]["progressive"].mask).sum(axis=1)
            np.testing.assert_array_equal(points[: len(real)], real)
            assert not points[len(real) :].any()
            are_real = np.asarray(keys[tap]["distributed"].are_real)
            np.testing.assert_array_equal(are_real, points > 0)


def test_shares_that_vary_by_place_are_cut_at_the_real_size(programs, styles):
    size, rng = (47, 70), np.random.default_rng(8)
    (content,) = pictures(9, size)
    shares = {}
    for tap in STYLED_TAPS:
        first = rng.random((1, *tap_sizes(size)[tap]), np.float32)
        shares[tap] = np.concatenate([first, 1 - first])
    out = programs.paint(content, styles[1], shares)

    weights = small_model()[1]
    f_c = loop.encode(weights["vgg"], content[0])
    f_cs = {}
    for tap, own in loop.tap_weights(weights).items():
        f_cs[tap] = f_c[tap].copy()
        for share, style in zip(shares[tap], styles[0], strict=True):
            f_s = loop.encode(weights["vgg"], style[0])[tap]
            styled, _, _ = loop.a2k(own, f_c[tap], f_s, loop.BLOCK_SIZE[tap])
            f_cs[tap] += share[:, :, None] * (styled - f_c[tap])
    assert_painted(out[0], loop.merge_and_decode(weights, *f_cs.values(), *size))


def test_padding_repeats_the_last_row_and_column():
    x = np.arange(2 * 2 * 3 * 3).reshape(2, 2, 3, 3)
    out = padded(x, (4, 5))
    for row, column in np.ndindex(4, 5):
        np.testing.assert_array_equal(out[:, row, column], x[:, min(row, 1), min(column, 2)])


def test_what_keys_will_look_like_is_known_without_computing_them(programs, styles):
    (style, _), (keys, _) = styles
    padded = programs.key_shapes(style.shape, balanced=False, is_padded=True)
    unpadded = programs.key_shapes(style.shape, balanced=False, is_padded=False)
    assert jax.tree.structure(padded) == jax.tree.structure(keys)
    assert jax.tree.structure(unpadded) != jax.tree.structure(keys)


@pytest.mark.parametrize("variant", BASELINES)
def test_other_systems_know_nothing_of_padding_and_get_none(variant):
    architecture = Architecture(width=1 / 8, variant=variant)
    model = StyA2K(architecture, rngs=None)
    assert not Programs(model).may_pad


### Sides of blocks


def nearest_side(height: int, width: int, trained: int) -> int:
    """Tries the trained side and its doubles: whose square is nearest to sqrt(height * width)?"""
    best, side = trained, trained
    while side < 10_000:
        side *= 2
        if abs(side**2 - (height * width) ** 0.5) < abs(best**2 - (height * width) ** 0.5):
            best = side
    return best


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([1, 2, 4, 8, 16]))
def test_balanced_sides_have_a_square_nearest_to_the_root_of_the_points(height, width, trained):
    assert balanced_block_size(height, width, trained) == nearest_side(height, width, trained)


def test_small_styles_keep_the_blocks_of_training_and_large_ones_do_not(programs):
    trained = {tap: loop.BLOCK_SIZE[tap] for tap in STYLED_TAPS}
    assert dict(programs.block_sizes((512, 512))) == trained
    assert dict(programs.block_sizes((512, 512), trained=True)) == trained
    assert dict(programs.block_sizes((4096, 4096), trained=True)) == trained
    # Sides of 1024, 512 and 256 points, whose nearest squares are 32^2, 16^2 or 32^2, and 16^2.
    assert dict(programs.block_sizes((4096, 4096))) == dict(relu3_1=32, relu4_1=16, relu5_1=16)


def test_balanced_blocks_are_cut_in_content_and_style_alike(monkeypatch):
    size, shape = (75, 58), (80, 64)
    model, weights = small_model()
    sides = dict(zip(STYLED_TAPS, (2, 2, 1), strict=True))  # small, so that a small style is large
    architecture = dataclasses.replace(model.architecture, block_sizes=(16, *sides.values()))
    programs = Programs(with_architecture(model, architecture))
    monkeypatch.setattr(programs.styles, "choose", lambda _: shape)
    content, style = pictures(10, (40, 48), size)
    keys = programs.style_keys(style, balanced=True)
    out = programs.paint(content, keys)

    balanced = {tap: nearest_side(*tap_sizes(size)[tap], side) for tap, side in sides.items()}
    assert balanced == dict(relu3_1=4, relu4_1=2, relu5_1=2)
    assert balanced == {tap: keys[tap]["progressive"].block_size for tap in STYLED_TAPS}
    monkeypatch.setattr(loop, "BLOCK_SIZE", balanced)
    expected, choices = loop.forward(weights, content[0], style[0])
    assert_no_near_tie(choices)
    assert_painted(out[0], expected)


def with_architecture(model: StyA2K, architecture: Architecture) -> StyA2K:
    """Returns the same numbers in blocks of other sides."""
    painter = with_arrays(new_painter(architecture), named_arrays(model.painter), "the painter")
    return assemble(architecture, model.encoder, painter)
