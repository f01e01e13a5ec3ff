"""Attention maps: what the loops give for one point, and what the model itself averages by."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stya2k_jax import Architecture, UserError
from stya2k_jax.inference.attention_maps import attention_maps
from stya2k_jax.network.architecture import BASELINES, VARIANTS
from stya2k_jax.network.model import StyA2K
from tests.support import plain_loops as loop
from tests.support.small_model import changed, chosen_blocks, pictures, small_model

POINT_PX = {"relu3_1": 4, "relu4_1": 8, "relu5_1": 16}
HEADS = 8
CASES = [  # tap, content, style, position; blocks of 32, 64 and 64 pixels, most at the edge partial
    ("relu4_1", (150, 100), (97, 203), (0, 0)),
    ("relu4_1", (150, 100), (97, 203), (149, 99)),  # in a partial block
    ("relu4_1", (65, 64), (130, 65), (64, 30)),  # in a block of one row
    ("relu3_1", (41, 77), (90, 66), (17, 40)),
    ("relu5_1", (100, 90), (70, 141), (80, 3)),
    ("relu5_1", (1, 1), (2, 3), (0, 0)),
]


@cache
def variant_of_small_model(variant: str) -> StyA2K:
    """Returns the small model as an ablation of itself."""
    return changed(small_model()[0], variant=variant)


@cache
def features(image: bytes, height: int, width: int, tap: str) -> np.ndarray:
    """Returns a tap of the small model's encoder, HWC, by the loops."""
    pixels = np.frombuffer(image, np.float32).reshape(height, width, 3)
    return loop.encode(small_model()[1]["vgg"], pixels)[tap]


def both_features(content, style, tap):
    """Returns F_c and F_s of a tap, HWC."""
    return (features(x.tobytes(), *x.shape[1:3], tap) for x in (content, style))


def loop_maps(tap, content, style, point):
    """Says once more in loops what the point of a tap attends to in the small model.

    Returns:
      logits of the regional keys `[h, m]`; scores `[h, m]`; blocks of the style, as lists of
      points; weights over the style's points, a map for each head.
    """
    own, side = loop.tap_weights(small_model()[1])[tap], loop.BLOCK_SIZE[tap]
    f_c, f_s = both_features(content, style, tap)

    def heads(name, x):
        return loop.split_heads(loop.point_conv(own, name, loop.normalize(x)), HEADS)

    style_blocks = [list(block.values()) for block in loop.blocks(*f_s.shape[:2], side)]
    alpha, beta = (float(np.squeeze(own[name])) for name in ("sim_alpha", "sim_beta"))
    q, k = heads("q", f_c), heads("k", f_s)
    logits = np.empty((HEADS, len(style_blocks)))
    for head in range(HEADS):
        for m, points in enumerate(style_blocks):
            keys = [k[head][p] for p in points]
            mean = sum(keys) / len(keys)
            gates = [1 / (1 + np.exp(-(beta + alpha * (mean @ key)))) for key in keys]
            total = mean + sum(gate * key for gate, key in zip(gates, keys, strict=True))
            logits[head, m] = q[head][point] @ total / (len(keys) + 1)

    q, k = heads("q2", f_c), heads("k2", f_s)
    across = -(-f_c.shape[1] // side)
    block = point[0] // side * across + point[1] // side
    joined = (np.concatenate(x, axis=2) for x in (q, k))
    scores = loop.block_scores(*joined, side, HEADS)[:, block]
    maps = np.zeros((HEADS, *f_s.shape[:2]))
    for head in range(HEADS):
        points = style_blocks[scores[head].argmax()]
        weights = loop.softmax(np.array([k[head][p] @ q[head][point] for p in points]))
        for place, weight in zip(points, weights, strict=True):
            maps[head][place] = weight
    return logits, scores, style_blocks, maps


def assert_close(ours, expected):
    assert ours.shape == expected.shape and ours.dtype == np.float32
    # The scores' terms cancel: what float32 leaves of pictures to scores is 1e-5 of the largest.
    assert np.abs(ours - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(("tap", "content_size", "style_size", "position"), CASES)
def test_the_maps_of_a_point_are_what_the_loops_give(tap, content_size, style_size, position):
    content, style = pictures(0, content_size, style_size)
    maps = attention_maps(small_model()[0], content, style, position, tap)
    point = tuple(i // POINT_PX[tap] for i in position)
    assert (maps.tap, maps.position, maps.point) == (tap, position, point)
    assert (maps.content_size, maps.style_size) == (content_size, style_size)
    assert (maps.block_size, maps.point_px) == (loop.BLOCK_SIZE[tap], POINT_PX[tap])
    assert maps.all_to_all is None

    logits, scores, blocks, weights = loop_maps(tap, content, style, point)
    grid = maps.distributed.logits.shape[1:]
    block_px = maps.block_size * maps.point_px
    assert grid == tuple(-(-side // block_px) for side in style_size)
    assert_close(maps.distributed.logits, logits.reshape(HEADS, *grid))
    expected = np.array([loop.softmax(head) for head in logits])
    np.testing.assert_allclose(maps.distributed.weights.reshape(HEADS, -1), expected, atol=1e-4)
    assert_close(maps.progressive.scores, scores.reshape(HEADS, *grid))
    best = [divmod(int(i), grid[1]) for i in scores.argmax(axis=1)]
    np.testing.assert_array_equal(maps.progressive.chosen, best)
    np.testing.assert_allclose(maps.progressive.weights, weights, atol=1e-4)
    for head, (row, column) in enumerate(best):  # zero, not nearly zero, outside the block
        outside = np.ones(maps.progressive.weights.shape[1:], bool)
        outside[tuple(np.transpose(blocks[row * grid[1] + column]))] = False
        assert not maps.progressive.weights[head][outside].any()


@pytest.mark.parametrize(
    ("variant", "tap", "content_size", "style_size", "position"),
    [("full", *case) for case in CASES] + [(variant, *CASES[1]) for variant in VARIANTS[1:]],
)
def test_averaging_by_the_weights_gives_the_models_own_features(
    variant, tap, content_size, style_size, position
):
    model = small_model()[0] if variant == "full" else variant_of_small_model(variant)
    content, style = pictures(0, content_size, style_size)
    maps = attention_maps(model, content, style, position, tap)
    module = model.painter.a2k[tap]
    f_c, f_s = (jnp.asarray(x[None], jnp.float32) for x in both_features(content, style, tap))
    row, column = maps.point

    @jax.jit
    def features_and_values(f_c, f_s):
        keys = module.keys(f_s)
        values = {name: path.points(path.value(f_s))[0] for name, path in module.paths.items()}
        if "distributed" in keys:
            values["distributed"] = keys["distributed"].v_hat[0]
        return module(f_c, keys)[0, row, column], values  # [c], {name: [m or p, h, d]}

    expected, values = features_and_values(f_c, f_s)
    f_cs = np.asarray(f_c[0, row, column])
    for name, path in module.paths.items():
        weights = getattr(maps, name).weights
        np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1, atol=1e-5)
        assert len(weights) == (1 if variant == "single_head" else HEADS)
        average = np.einsum("hp,phd->hd", weights.reshape(len(weights), -1), values[name])
        f_cs = f_cs + np.asarray(path.fuse(jnp.asarray(average.reshape(1, 1, 1, -1))))[0, 0, 0]
    np.testing.assert_allclose(f_cs, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("variant", "there"),
    [
        ("full", {"distributed", "progressive"}),
        ("single_head", {"distributed", "progressive"}),
        ("no_da", {"progressive"}),
        ("no_pa", {"distributed"}),
        ("no_pa_step1", {"distributed", "progressive"}),
        ("all_to_all", {"all_to_all"}),
    ],
)
def test_a_path_that_a_variant_lacks_is_none(variant, there):
    content, style = pictures(0, (150, 100), (97, 203))
    maps = attention_maps(variant_of_small_model(variant), content, style, (20, 63))
    paths = ("distributed", "progressive", "all_to_all")
    assert {name for name in paths if getattr(maps, name) is not None} == there
    if "all_to_all" in there:
        assert maps.all_to_all.logits.shape == (HEADS, 13, 26)
        shifted = maps.all_to_all.logits - maps.all_to_all.logits.max(axis=(1, 2), keepdims=True)
        ratio = maps.all_to_all.weights / maps.all_to_all.weights.max(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(ratio, np.exp(shifted), rtol=1e-4)


def test_without_step_1_every_head_looks_into_the_block_at_the_same_place():
    content, style = pictures(0, (150, 100), (97, 203))  # 3 by 2 and 2 by 4 blocks of 64 pixels
    model = variant_of_small_model("no_pa_step1")
    places = loop.same_place((19, 13), (13, 26), side=8)
    for i, position in enumerate([(0, 0), (0, 99), (70, 0), (70, 70), (149, 0), (149, 99)]):
        progressive = attention_maps(model, content, style, position).progressive
        assert progressive.scores is None
        np.testing.assert_array_equal(progressive.chosen, [divmod(places[i], 4)] * HEADS)


def test_the_chosen_block_is_the_best_one_and_the_models_own():
    tap, content_size, style_size, position = CASES[1]
    content, style = pictures(0, content_size, style_size)
    maps = attention_maps(small_model()[0], content, style, position, tap)
    scores, chosen = maps.progressive.scores, maps.progressive.chosen
    assert (scores[np.arange(HEADS), *chosen.T] == scores.max(axis=(1, 2))).all()

    f_c, f_s = (jnp.asarray(x[None], jnp.float32) for x in both_features(content, style, tap))
    p_idx = chosen_blocks(small_model()[0].painter.a2k[tap], f_c, f_s)
    np.testing.assert_array_equal(chosen @ [scores.shape[2], 1], p_idx[0, -1])  # the last block


@pytest.mark.parametrize("position", [(-1, 0), (0, -1), (50, 0), (0, 60), (50, 60)])
def test_a_position_outside_the_content_is_refused(position):
    content, style = pictures(5, (50, 60), (40, 40))
    with pytest.raises(UserError, match="outside the content of 50x60 pixels; .* 0 to 49 .* 59"):
        attention_maps(small_model()[0], content, style, position)


@pytest.mark.parametrize("position", [(1.5, 2), 7, (1, 2, 3), "ab", None])
def test_a_position_that_is_not_two_integers_is_refused(position):
    content, style = pictures(5, (50, 60), (40, 40))
    with pytest.raises(UserError, match=r"expected two integers, \(row, column\)"):
        attention_maps(small_model()[0], content, style, position)


@pytest.mark.parametrize("tap", ["relu1_1", "relu2_1", "4", 4])
def test_a_tap_without_attention_is_refused(tap):
    content, style = pictures(5, (50, 60), (40, 40))
    with pytest.raises(UserError, match="choose one of relu3_1, relu4_1, relu5_1"):
        attention_maps(small_model()[0], content, style, (0, 0), tap)


@pytest.mark.parametrize("variant", BASELINES)
def test_another_systems_module_is_refused(variant):
    content, style = pictures(5, (50, 60), (40, 40))
    architecture = Architecture(width=1 / 8, variant=variant)
    model = StyA2K(architecture, rngs=None)
    with pytest.raises(UserError, match=f"'{variant}' has no all-to-key attention"):
        attention_maps(model, content, style, (0, 0))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), r"style has shape \(8, 8, 3\); expected \[1, height"),
        (np.zeros((2, 8, 8, 3), np.float32), r"style has shape \(2, 8, 8, 3\)"),
        (np.zeros((1, 8, 8, 4), np.float32), "style has shape"),
        (np.zeros((1, 8, 8, 3), np.uint8), "style is of uint8; expected floats"),
        (np.full((1, 8, 8, 3), 200.0), "style ranges from 200 to 200"),
        (np.full((1, 8, 8, 3), np.nan), "style holds NaN"),
    ],
)
def test_what_is_no_picture_is_refused(picture, message):
    content = pictures(5, (50, 60))[0]
    with pytest.raises(UserError, match=message):
        attention_maps(small_model()[0], content, picture, (0, 0))
