"""The losses against a plain statement in loops, and their laws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stya2k_jax.network.architecture import MATCHED_TAPS, Architecture
from stya2k_jax.network.blocks import real_points
from stya2k_jax.network.normalization import ladder, resize_nearest
from stya2k_jax.training import losses
from tests.support import plain_loops as loop_reference
from tests.support.small_model import assert_best_but_for_rounding, encode, pictures

BLOCK_SIZES = Architecture().block_sizes


def taps_of(*images):
    return [encode()(image) for image in images]


@jax.jit
def all_terms(stylized, content, style):
    """Returns the terms by name, in each norm."""
    targets = losses.a2k_targets(content, style, BLOCK_SIZES)
    return {
        norm: {
            "global": losses.global_style_loss(stylized, style, norm),
            "a2k": losses.a2k_loss(stylized, targets, norm),
            "content": losses.content_loss(stylized, content),
        }
        for norm in losses.NORMS
    }


def first_picture(taps):
    return {name: np.asarray(x[0], np.float64) for name, x in taps.items()}


@pytest.mark.parametrize("norm", ["mse", "l2"])
def test_losses_of_unequal_odd_pictures_are_those_of_the_loops(norm):
    images = pictures(0, (45, 61), (70, 33), (45, 61))
    content, style, stylized = taps_of(*images)
    expected = loop_reference.losses(*map(first_picture, (stylized, content, style)), norm=norm)
    ours = all_terms(stylized, content, style)[norm]
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-5, err_msg=name)


def test_targets_of_tiny_pictures_are_those_of_the_loops():
    content, style = taps_of(*pictures(1, (2, 3), (1, 40)))
    expected = loop_reference.a2k_targets(first_picture(content), first_picture(style))
    targets = jax.jit(losses.a2k_targets, static_argnums=2)(content, style, BLOCK_SIZES)
    for tap, target in targets.items():
        np.testing.assert_allclose(target[0], expected[tap], rtol=1e-4, atol=1e-4)


def test_a_batch_averages_its_pictures():
    images = pictures(2, (32, 32), (48, 32), (32, 32), batch=2)
    content, style, stylized = taps_of(*images)
    both = all_terms(stylized, content, style)
    each = [
        all_terms(
            *jax.tree.map(lambda x, i=i: np.asarray(x)[i : i + 1], (stylized, content, style))
        )
        for i in range(2)
    ]
    for norm in losses.NORMS:
        for name, value in both[norm].items():
            mean = np.mean([terms[norm][name] for terms in each])
            np.testing.assert_allclose(value, mean, rtol=1e-5, err_msg=f"{name} {norm}")


def test_losses_vanish_where_nothing_differs():
    (taps,) = taps_of(*pictures(3, (40, 40)))

    @jax.jit
    def terms(stylized, other):
        return (
            losses.global_style_loss(stylized, other),
            losses.content_loss(stylized, other),
            losses.a2k_loss(stylized, {tap: other[tap] for tap in MATCHED_TAPS}),
        )

    assert terms(taps, taps) == (0, 0, 0)


def test_the_euclidean_norm_has_a_finite_gradient_where_nothing_differs():
    (taps,) = taps_of(*pictures(4, (24, 24)))
    gradient = jax.jit(jax.grad(lambda t: losses.global_style_loss(t, taps, "l2")))(taps)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


def test_no_gradient_reaches_content_or_style():
    content, style, stylized = taps_of(*pictures(5, (32, 32), (32, 32), (32, 32)))

    def loss(content, style):
        targets = losses.a2k_targets(content, style, BLOCK_SIZES)
        return (
            losses.a2k_loss(stylized, targets)
            + losses.global_style_loss(stylized, style)
            + losses.content_loss(stylized, content)
        )

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(content, style)
    assert not any(x.any() for x in jax.tree.leaves(gradients))


@partial(jax.jit, static_argnums=(2, 3))
def matched(content, style, tap, size):
    split = [losses.to_head_blocks(ladder(t, tap), size, 8) for t in (content, style)]
    masks = [real_points(*t[tap].shape[1:3], size) for t in (content, style)]
    return losses.attention.match_blocks(*split, *masks)


def test_blocks_are_matched_by_the_features_of_all_shallower_taps():
    content, style = taps_of(*pictures(6, (64, 64), (64, 96)))
    for tap, size in zip(MATCHED_TAPS, BLOCK_SIZES, strict=True):
        q, k = (
            loop_reference.stack_normalized(
                first_picture(taps), loop_reference.TAPS[: loop_reference.TAPS.index(tap) + 1]
            )
            for taps in (content, style)
        )
        scores = loop_reference.block_scores(q, k, size, losses.HEADS)
        p_idx = matched(content, style, tap, size)
        assert_best_but_for_rounding(np.asarray(p_idx[0]), scores)


@pytest.mark.parametrize("sizes", [((5, 7), (3, 4)), ((6, 6), (3, 3)), ((1, 1), (4, 5))])
def test_nearest_resizing_takes_the_point_at_the_floor(sizes):
    (h, w), (height, width) = sizes
    x = jnp.arange(h * w, dtype=jnp.float32).reshape(1, h, w, 1)
    out = resize_nearest(x, height, width)
    for i, j in np.ndindex(height, width):
        assert out[0, i, j, 0] == x[0, i * h // height, j * w // width, 0]


def test_distance_refuses_broadcasting_and_unknown_norms():
    with pytest.raises(ValueError, match="shapes"):
        losses.distance(jnp.zeros((2, 3)), jnp.zeros((1, 3)), "mse")
    with pytest.raises(ValueError, match="loss norm 'l1' does not exist"):
        losses.distance(jnp.zeros((2, 3)), jnp.zeros((2, 3)), "l1")
