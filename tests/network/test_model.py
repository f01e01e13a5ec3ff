"""The whole model against a plain statement in loops, at any size.

`STYA2K_EXAMPLES=50 pytest tests/network/test_model.py` draws more sizes, of which each is compiled.
"""

import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stya2k_jax.network.architecture import STYLED_TAPS, TAPS, VARIANTS, Architecture
from stya2k_jax.network.model import StyA2K, new_encoder, new_painter
from stya2k_jax.weights.parameters import parameter_shapes
from tests.support import plain_loops as loop_reference
from tests.support.small_model import (
    assert_best_but_for_rounding,
    changed,
    encode,
    pictures,
    small_model,
    staged,
)

EXAMPLES = int(os.environ.get("STYA2K_EXAMPLES", "2"))
SIZES = st.tuples(st.integers(17, 200), st.integers(23, 333))


def assert_equals_the_loops(content_size, style_size, variant="full", pooling="max"):
    """Holds every stage, given the one before it, to 1e-5 of its largest value."""
    model, weights = small_model()
    if (variant, pooling) != ("full", "max"):
        model = changed(model, variant=variant, pooling=pooling)
    content, style = pictures(0, content_size, style_size)
    stages = staged(model)(content, style)
    first = partial(jax.tree.map, lambda x: np.asarray(x[0]))
    taps_c, taps_s, f_cs, p_idx = map(first, stages[:4])
    for picture, taps in ((content, taps_c), (style, taps_s)):
        expected = loop_reference.encode(weights["vgg"], picture[0], pooling)
        for tap in TAPS:
            assert_close(taps[tap], expected[tap])
    for tap, own in loop_reference.tap_weights(weights).items():
        choose = p_idx[tap].T if tap in p_idx else None
        size = model.architecture.block_size(tap)
        expected, _, scores = loop_reference.a2k(
            own, taps_c[tap], taps_s[tap], size, variant=variant, choose=choose
        )
        if scores is not None:
            assert_best_but_for_rounding(p_idx[tap], scores)
        assert_close(f_cs[tap], expected)
    expected = loop_reference.merge_and_decode(weights, *f_cs.values(), *content_size)
    assert_close(stages.stylized[0], expected)


def assert_close(ours, expected):
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= 1e-5 * np.abs(expected).max()


@settings(max_examples=EXAMPLES, deadline=None)
@given(content_size=SIZES, style_size=SIZES)
@example(content_size=(1, 1), style_size=(1, 1))
@example(content_size=(2, 3), style_size=(1, 40))
@example(content_size=(1, 40), style_size=(65, 33))
@example(content_size=(17, 23), style_size=(200, 333))
@example(content_size=(64, 128), style_size=(64, 128))
def test_any_content_and_style_size_gives_what_the_loops_give(content_size, style_size):
    assert_equals_the_loops(content_size, style_size)


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_each_variant_gives_what_the_loops_give(variant):
    assert_equals_the_loops((45, 61), (70, 33), variant=variant)


def test_average_pooling_gives_what_the_loops_give():
    assert_equals_the_loops((45, 61), (70, 33), pooling="avg")


def test_pictures_of_a_batch_do_not_see_each_other():
    model, _ = small_model()
    content, style = pictures(1, (40, 48), (33, 64), batch=2)
    run = staged(model)
    together = run(content, style).stylized
    for i in range(2):
        alone = run(content[i : i + 1], style[i : i + 1]).stylized
        np.testing.assert_allclose(together[i], alone[0], atol=1e-4 * np.abs(alone).max())


def test_a_styles_keys_may_be_kept_for_the_next_content():
    model, _ = small_model()
    content, style = pictures(2, (50, 40), (30, 70))
    graph, state = nnx.split(model)
    painter, painter_state = nnx.split(model.painter)
    keys = jax.jit(lambda state, taps: nnx.merge(painter, state).keys(taps))(
        painter_state, encode()(style)
    )
    kept = jax.jit(lambda state, *x: nnx.merge(painter, state)(*x, 50, 40))(
        painter_state, encode()(content), keys
    )
    whole = jax.jit(lambda state, *x: nnx.merge(graph, state)(*x))(state, content, style)
    np.testing.assert_allclose(kept, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("width", "encoder", "painter"),
    # The released files: relu3 module, transform, decoder.
    [(1.0, 12_944_972, 526_338 + 6_562_308 + 4_095_043), (0.25, 810_140, 701_593)],
)
def test_parameters_are_counted_as_in_the_release(width, encoder, painter):
    architecture = Architecture(width=width)
    counts = [
        sum(int(np.prod(shape)) for shape in parameter_shapes(module).values())
        for module in (new_encoder(architecture), new_painter(architecture))
    ]
    assert counts == [encoder, painter]


def test_bfloat16_computes_in_bfloat16_and_keeps_parameters_in_float32():
    model = changed(small_model()[0], dtype="bfloat16")
    content, style = pictures(3, (40, 48), (33, 64))
    stages = staged(model)(content, style)
    assert all(x.dtype == jnp.bfloat16 for x in (stages.taps_c | stages.f_cs).values())
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(nnx.state(model)))
    out, expected = stages.stylized, staged(small_model()[0])(content, style).stylized
    assert out.dtype == jnp.float32
    assert np.sqrt(np.mean((out - expected) ** 2)) < 0.05 * np.std(expected)


@pytest.mark.parametrize(
    ("content", "style", "message"),
    [
        ((64, 64, 3), (1, 64, 64, 3), r"content has shape \(64, 64, 3\); expected \[batch"),
        ((1, 64, 64, 3), (1, 64, 64, 4), "style has shape"),
        ((2, 64, 64, 3), (1, 64, 64, 3), "2 contents and 1 styles"),
        ((1, 0, 64, 3), (1, 64, 64, 3), "content has shape"),
    ],
)
def test_what_is_not_a_batch_of_pictures_is_refused(content, style, message):
    with pytest.raises(ValueError, match=message):
        small_model()[0](jnp.zeros(content), jnp.zeros(style))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(variant="ful"), "variant='ful' does not exist; choose one of full"),
        (dict(pooling="min"), "pooling='min'"),
        (dict(dtype="float16"), "dtype='float16'"),
        (dict(width=0.3), "width=0.3 does not give"),
        (dict(width=1 / 64), "do not split into 8 heads"),
        (dict(heads=7), "256 channels at width=1.0, which do not split into 7 heads"),
        (dict(block_sizes=(8, 8, 4)), "must be four whole numbers"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Architecture(**fields)


def test_an_architecture_survives_being_written_down():
    architecture = Architecture(width=0.5, variant="no_pa", heads=4, block_sizes=(8, 4, 4, 2))
    assert Architecture(**architecture.as_dict()) == architecture


def test_a_single_head_is_one_head_whatever_heads_says():
    architecture = Architecture(width=1 / 8, variant="single_head")
    model = StyA2K(architecture, rngs=None)
    for tap in STYLED_TAPS:
        assert {path.heads for path in model.painter.a2k[tap].paths.values()} == {1}
