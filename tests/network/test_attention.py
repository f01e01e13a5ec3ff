"""All-to-key attention against loops that say what the equations say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stya2k_jax.network import attention

SEEDS = st.integers(0, 2**31 - 1)


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def mask_with_a_real_point_per_block(seed: int, blocks: int, points: int) -> np.ndarray:
    mask = np.random.default_rng(seed).uniform(size=(blocks, points)) < 0.6
    mask[:, 0] = True
    return mask


def test_regional_keys_are_those_of_a_loop_over_blocks_points_and_heads():
    m, s, h, d, e = 3, 4, 2, 5, 3
    k, v = np.asarray(normal(0, 1, m, s, h, d)), np.asarray(normal(1, 1, m, s, h, e))
    k_hat, v_hat = attention.regional_keys(k, v, alpha=1.3, beta=-0.2)
    for block in range(m):
        for head in range(h):
            points = k[0, block, :, head], v[0, block, :, head]
            k_m, v_m = (x.mean(0) for x in points)
            gate = 1 / (1 + np.exp(0.2 - 1.3 * points[0] @ k_m))
            expected_k = (k_m + sum(g * x for g, x in zip(gate, points[0], strict=True))) / (s + 1)
            expected_v = (v_m + sum(g * x for g, x in zip(gate, points[1], strict=True))) / (s + 1)
            np.testing.assert_allclose(k_hat[0, block, head], expected_k, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(v_hat[0, block, head], expected_v, rtol=1e-5, atol=1e-6)


def test_distributed_attention_is_that_of_a_loop_over_points_and_heads():
    n, r, m, h, d, e = 2, 4, 3, 2, 5, 3
    q = np.asarray(normal(0, 1, n, r, h, d))
    k_hat, v_hat = np.asarray(normal(1, 1, m, h, d)), np.asarray(normal(2, 1, m, h, e))
    out = attention.distributed_attention(q, k_hat, v_hat)
    for x, y, head in np.ndindex(n, r, h):
        weight = softmax(k_hat[0, :, head] @ q[0, x, y, head])
        np.testing.assert_allclose(out[0, x, y, head], weight @ v_hat[0, :, head], atol=1e-5)


def test_progressive_attention_is_that_of_a_loop_over_blocks_points_and_heads():
    n, r, m, h, d, e = 4, 4, 3, 2, 5, 3
    q, k = np.asarray(normal(0, 1, n, r, h, d)), np.asarray(normal(1, 1, m, r, h, d))
    v = np.asarray(normal(2, 1, m, r, h, e))
    p_idx = attention.match_blocks(q, k)
    out = attention.progressive_attention(q, k, v, p_idx)
    for x, head in np.ndindex(n, h):
        scores = [sum(q[0, x, y, head] @ k[0, z, y, head] for y in range(r)) for z in range(m)]
        best = int(np.argmax(scores))
        assert p_idx[0, x, head] == best
        for y in range(r):
            weight = softmax(k[0, best, :, head] @ q[0, x, y, head])
            np.testing.assert_allclose(out[0, x, y, head], weight @ v[0, best, :, head], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, m=st.integers(1, 6))
def test_progressive_attention_ignores_the_order_of_style_blocks(seed, m):
    q = normal(seed, 1, 3, 4, 2, 5)
    k, v = normal(seed + 1, 1, m, 4, 2, 5), normal(seed + 2, 1, m, 4, 2, 5)
    order = jax.random.permutation(jax.random.key(seed + 3), m)
    shuffled = attention.match_blocks(q, k[:, order])
    here = attention.progressive_attention(q, k, v, attention.match_blocks(q, k))
    there = attention.progressive_attention(q, k[:, order], v[:, order], shuffled)
    np.testing.assert_allclose(there, here, rtol=1e-5, atol=1e-6)


def test_the_first_of_equal_blocks_is_matched():
    k = jnp.repeat(normal(0, 1, 1, 4, 2, 5), 3, axis=1)
    assert not attention.match_blocks(normal(1, 1, 2, 4, 2, 5), k).any()


@pytest.mark.parametrize("garbage", [1e4, -3.0, np.nan, np.inf])
def test_what_lies_in_the_padding_changes_nothing(garbage):
    content = mask_with_a_real_point_per_block(0, 3, 4)
    style = mask_with_a_real_point_per_block(1, 5, 4)
    q, k, v = normal(0, 1, 3, 4, 2, 5), normal(1, 1, 5, 4, 2, 5), normal(2, 1, 5, 4, 2, 3)
    spoil = lambda x, mask: jnp.where(mask[None, :, :, None, None], x, garbage)  # noqa: E731

    def attend(q, k, v):
        k_hat, v_hat = attention.regional_keys(k, v, 1.0, 0.0, style)
        p_idx = attention.match_blocks(q, k, content, style)
        return (
            attention.distributed_attention(q, k_hat, v_hat),
            attention.progressive_attention(q, k, v, p_idx, style),
        )

    clean = attend(q, k, v)
    spoilt = attend(spoil(q, content), spoil(k, style), spoil(v, style))
    for one, other in zip(clean, spoilt, strict=True):
        real = content[None, :, :, None, None] & np.ones(one.shape, bool)
        np.testing.assert_array_equal(np.asarray(one)[real], np.asarray(other)[real])


def test_a_block_of_one_real_point_is_that_point_alone():
    mask = np.array([[True, False, False, False]])
    k, v = normal(0, 1, 1, 4, 2, 5), normal(1, 1, 1, 4, 2, 5)
    alone = attention.regional_keys(k[:, :, :1], v[:, :, :1], 1.0, 0.0)
    for masked, expected in zip(attention.regional_keys(k, v, 1.0, 0.0, mask), alone, strict=True):
        np.testing.assert_allclose(masked, expected, rtol=1e-6)
    p_idx = jnp.zeros((1, 2, 2), jnp.int32)
    out = attention.progressive_attention(normal(2, 1, 2, 4, 2, 5), k, v, p_idx, mask)
    np.testing.assert_allclose(out, jnp.broadcast_to(v[:, :, :1], out.shape), rtol=1e-6)


def test_no_gradient_flows_through_the_choice_of_block():
    q, k = normal(0, 1, 3, 4, 2, 5), normal(1, 1, 5, 4, 2, 5)

    def chosen(q):
        return jnp.take(jnp.arange(5.0), attention.match_blocks(q, k)).sum()

    assert not jax.grad(chosen)(q).any()


@pytest.mark.parametrize("points_at_once", [1, 5, 7, 100])
def test_all_to_all_attention_by_parts_is_attention_in_one_piece(points_at_once):
    q, k, v = normal(0, 2, 7, 2, 5), normal(1, 2, 9, 2, 5), normal(2, 2, 9, 2, 3)
    weight = jax.nn.softmax(jnp.einsum("bphd,bshd->bhps", q, k), axis=-1)
    whole = jnp.einsum("bhps,bshe->bphe", weight, v)
    parts = attention.all_to_all_attention(q, k, v, points_at_once)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)


def test_all_to_all_attention_keeps_no_array_of_all_pairs_even_in_the_gradient():
    p = 4096

    def loss(q, k, v):
        return attention.all_to_all_attention(q, k, v, points_at_once=128).sum()

    shape = jax.ShapeDtypeStruct((1, p, 1, 8), jnp.float32)
    compiled = jax.jit(jax.grad(loss)).lower(shape, shape, shape).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < p * p  # a quarter of one such array


@pytest.mark.parametrize(
    ("content", "style", "expected"),
    [
        ((2, 2), (2, 2), [0, 1, 2, 3]),
        ((2, 3), (4, 6), [0, 2, 4, 12, 14, 16]),
        ((3, 3), (1, 2), [0, 0, 1, 0, 0, 1, 0, 0, 1]),
    ],
)
def test_the_same_place_in_another_grid_is_the_proportional_one(content, style, expected):
    np.testing.assert_array_equal(attention.same_place_blocks(content, style), expected)


def test_scores_of_bfloat16_are_accumulated_in_float32():
    q = jnp.full((1, 1, 64, 1, 64), 1.0, jnp.bfloat16)
    k = jnp.stack([q[:, 0], q[:, 0].at[:, 0, 0, 0].add(0.25)], axis=1)  # 4096 against 4096.25
    assert attention.match_blocks(q, k)[0, 0, 0] == 1


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_parts_is_attention_in_one_piece_forward_and_backward(monkeypatch, masked):
    mask = mask_with_a_real_point_per_block(0, 5, 4) if masked else None
    q, k, v = normal(0, 2, 7, 4, 2, 5), normal(1, 2, 5, 4, 2, 5), normal(2, 2, 5, 4, 2, 3)
    p_idx = attention.match_blocks(q, k, None, mask)

    def attend(q, k, v):
        k_hat, v_hat = attention.regional_keys(k, v, 1.0, 0.0, mask)
        return (
            attention.distributed_attention(q, k_hat, v_hat),
            attention.progressive_attention(q, k, v, p_idx, mask),
        )

    def value_and_gradient():
        def loss(q, k, v):
            return sum((x**2).sum() for x in attend(q, k, v))

        return attend(q, k, v), jax.grad(loss, argnums=(0, 1, 2))(q, k, v)

    whole = value_and_gradient()
    monkeypatch.setattr(attention, "_WEIGHTS_IN_ONE_PIECE", 0)
    monkeypatch.setattr(attention, "_WEIGHTS_PER_PART", 200)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        value_and_gradient(),
        whole,
    )
