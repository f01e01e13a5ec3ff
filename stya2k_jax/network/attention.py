"""All-to-key attention as pure functions (Sec. 3.2), for the modules and for the loss alike.

Shapes: queries `[b, n, r, h, d]`, keys `[b, m, s, h, d]`, values `[b, m, s, h, e]`, with n content
blocks of r points, m style blocks of s points and h heads (a key may have more channels than a
value, as in the loss). A mask `[n, r]` or `[m, s]` is True at real points and False at the padding
that completes a partial block. Padding never affects the result; blocks that hold only padding are
ignored. `None` means all real.
Sums, softmaxes and scores are accumulated in float32 whatever the inputs' dtype.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from stya2k_jax.network.convolution import on_cpu

einsum = partial(jnp.einsum, preferred_element_type=jnp.float32)

Mask = jax.Array | np.ndarray | None
Grid = tuple[int | jax.Array, int | jax.Array]

_WEIGHTS_IN_ONE_PIECE = 2**25  # 128 MB of float32 ...
_WEIGHTS_PER_PART = 2**21  # ... beyond which 8 MB are made at a time
_WEIGHTS_OF_SMALL_PARTS = 2**20  # 4 MB
_WEIGHTS_ON_ACCELERATORS = 2**28  # 1 GB: there a part must be large to be worth a launch


def regional_keys(
    k: jax.Array, v: jax.Array, alpha: jax.Array, beta: jax.Array, mask: Mask = None
) -> tuple[jax.Array, jax.Array]:
    """Sums each style block up in one key and one value (Eq. 7-8).

    Every point of a block adds to it by a sigmoid of its similarity to the block's mean key.
    Departure from the paper, as in the release: the sum is divided by the number of points + 1,
    because mean and points make that many terms.

    Returns:
      k_hat `[b, m, h, d]` and v_hat `[b, m, h, e]`, of the dtype of k and v.
    """
    k, v = _without_padding(k, mask), _without_padding(v, mask)
    points = _points_per_block(k, mask)
    k_m = jnp.sum(k, axis=2, dtype=jnp.float32) / points
    v_m = jnp.sum(v, axis=2, dtype=jnp.float32) / points
    similarity = einsum("bmhd,bmshd->bmsh", k_m.astype(k.dtype), k)
    gate = jax.nn.sigmoid(beta + alpha * similarity).astype(k.dtype)  # times a zero in the padding
    k_hat = (k_m + einsum("bmsh,bmshd->bmhd", gate, k)) / (points + 1)
    v_hat = (v_m + einsum("bmsh,bmshe->bmhe", gate, v)) / (points + 1)
    return k_hat.astype(k.dtype), v_hat.astype(v.dtype)


def distributed_attention(
    q: jax.Array, k_hat: jax.Array, v_hat: jax.Array, are_real: Mask = None
) -> jax.Array:
    """Lets every content point look at all regional keys (Eq. 9).

    Maps q `[b, n, r, h, d]`, k_hat `[b, m, h, d]` and v_hat `[b, m, h, e]` to `[b, n, r, h, e]`.
    `are_real` `[m]` is False for keys that belong to no block.
    """
    b, n, r, h, d = q.shape
    # Heads first and points in one row: plain matrix products, seven times as fast on the CPU.
    q = q.reshape(b, n * r, h, d).transpose(0, 2, 1, 3)
    k_hat, v_hat = k_hat.transpose(0, 2, 1, 3), v_hat.transpose(0, 2, 1, 3)
    real = None if are_real is None else jnp.asarray(are_real)[None, None, :, None]
    k_hat, v_hat = _weightless(k_hat, real), _with_weight(v_hat, real)

    def attend(q):
        logits = einsum("bhpd,bhmd->bhpm", q, k_hat)
        return _softmax_average("bhpm,bhme->bhpe", logits, v_hat)

    out = _in_parts(attend, [q], weights_per_place=k_hat.shape[2])
    return out.transpose(0, 2, 1, 3).reshape(b, n, r, h, -1)


def match_blocks(
    q: jax.Array, k: jax.Array, content_mask: Mask = None, style_mask: Mask = None
) -> jax.Array:
    """Finds the style block that fits each content block best, head by head (Eq. 10).

    The fit of two blocks sums the products of the points at equal places; a place that is padding
    in either adds nothing. The first of equals wins. No gradient passes.

    Returns:
      p_idx `[b, n, h]`, indices of style blocks.
    """
    q, k = _without_padding(q, content_mask), _without_padding(k, style_mask)
    # Heads first and each block in one row: plain matrix products, twice as fast on the CPU.
    q, k = (x.transpose(0, 3, 1, 2, 4) for x in (q, k))
    q, k = (x.reshape(*x.shape[:3], x.shape[3] * x.shape[4]) for x in (q, k))
    fit = einsum("bhnx,bhmx->bhnm", q, k)
    if style_mask is not None:
        are_real = jnp.asarray(style_mask).any(axis=1)
        fit = jnp.where(are_real[None, None, None], fit, -jnp.inf)
    return jax.lax.stop_gradient(jnp.argmax(fit, axis=-1).transpose(0, 2, 1))


def progressive_attention(
    q: jax.Array, k: jax.Array, v: jax.Array, p_idx: jax.Array, style_mask: Mask = None
) -> jax.Array:
    """Lets each content block look at the points of its matched style block (Eq. 11-12).

    Maps q `[b, n, r, h, d]`, k `[b, m, s, h, d]`, v `[b, m, s, h, e]` and p_idx `[b, n, h]`, as
    `match_blocks` gives it, to `[b, n, r, h, e]`.
    """
    k, v = _without_padding(k, style_mask), _without_padding(v, style_mask)
    # Heads and blocks first: plain matrix products, three times as fast on the CPU.
    q, k, v = (x.transpose(0, 3, 1, 2, 4) for x in (q, k, v))
    real = None if style_mask is None else jnp.asarray(style_mask)[None, None, :, :, None]
    k, v = _weightless(k, real), _with_weight(v, real)
    p_idx = p_idx.transpose(0, 2, 1)  # [b, h, n]
    k_tilde = jnp.take_along_axis(k, p_idx[:, :, :, None, None], axis=2)  # [b, h, n, s, d]
    v_tilde = jnp.take_along_axis(v, p_idx[:, :, :, None, None], axis=2)
    split = [q, k_tilde, v_tilde]

    def attend(q, k_tilde, v_tilde):
        logits = einsum("bhnrd,bhnsd->bhnrs", q, k_tilde)
        return _softmax_average("bhnrs,bhnse->bhnre", logits, v_tilde)

    # Blocks are many small products, which run twice as fast where all of them fit a cache. Batches
    # are those of training, where the gradient keeps every part.
    weights_per_block = q.shape[3] * k.shape[3]
    out = _in_parts(attend, split, weights_per_block, small=q.shape[0] == 1)
    return out.transpose(0, 2, 3, 1, 4)


def same_place_blocks(
    content_grid: Grid, style_grid: Grid, padded_grid: tuple[int, int] | None = None
) -> jax.Array:
    """Gives each content block the style block at its own place (Table 2, "w/o PA step 1").

    Args:
      content_grid: rows and columns of content blocks.
      style_grid: rows and columns of style blocks.
      padded_grid: rows and columns including blocks of padding, which use the place of the last
        real block.

    Returns:
      Indices of style blocks `[n]`.
    """
    places = [
        jnp.minimum(jnp.arange(padded), content - 1) * style // content
        for padded, content, style in zip(
            padded_grid or content_grid, content_grid, style_grid, strict=True
        )
    ]
    return (places[0][:, None] * style_grid[1] + places[1][None]).reshape(-1)


def all_to_all_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    points_at_once: int = 1024,
    are_real: Mask = None,
) -> jax.Array:
    """Lets every content point look at every style point (Eq. 5; Table 2, "all-to-all").

    Maps q `[b, p, h, d]`, k `[b, s, h, d]` and v `[b, s, h, e]` to `[b, p, h, e]`. Works through
    the queries by `points_at_once`, forward and backward, so that no array of p·s weights exists.
    `are_real` `[s]` is False at style points that are padding.
    """
    b, p = q.shape[:2]
    chunk = min(points_at_once, p)
    chunks = -(-p // chunk)
    q = jnp.pad(q, ((0, 0), (0, chunks * chunk - p), (0, 0), (0, 0)))
    q = jnp.moveaxis(q.reshape(b, chunks, chunk, *q.shape[2:]), 1, 0)

    @jax.checkpoint
    def attend(q_chunk):
        logits = einsum("bphd,bshd->bhps", q_chunk, k)
        if are_real is not None:
            logits = jnp.where(jnp.asarray(are_real)[None, None, None], logits, -jnp.inf)
        weight = jax.nn.softmax(logits, axis=-1).astype(v.dtype)
        return einsum("bhps,bshe->bphe", weight, v).astype(v.dtype)

    out = jnp.moveaxis(jax.lax.map(attend, q), 0, 1)
    return out.reshape(b, chunks * chunk, *out.shape[3:])[:, :p]


def _in_parts(
    attend: Callable[..., jax.Array],
    split: list[jax.Array],
    weights_per_place: int,
    small: bool = False,
) -> jax.Array:
    """Applies `attend` to arrays `[b, h, n, ...]`, in parts where it would make too many weights.

    Parts bound the memory of large pictures. Parts that fit a cache are also faster than one pass
    through main memory; with `small`, the CPU makes 4 MB of weights at a time.
    """
    b, h, n = split[0].shape[:3]
    if not (isinstance(n, int) and isinstance(weights_per_place, int)):
        return attend(*split)  # symbolic sizes, of a program to be exported, cannot be compared
    per_place = (b if isinstance(b, int) else 1) * h * weights_per_place
    if on_cpu():
        in_one_piece, per_part = _WEIGHTS_IN_ONE_PIECE, _WEIGHTS_PER_PART
        if small:
            in_one_piece = per_part = _WEIGHTS_OF_SMALL_PARTS
    else:
        in_one_piece = per_part = _WEIGHTS_ON_ACCELERATORS
    if n * per_place <= in_one_piece:
        return attend(*split)
    size = max(1, min(n, per_part // per_place))
    parts = -(-n // size)

    def cut(x):
        widths = [(0, 0)] * x.ndim
        widths[2] = (0, parts * size - n)
        x = jnp.pad(x, widths, constant_values=1)  # a mask of ones keeps softmaxes finite
        return jnp.moveaxis(x.reshape(b, h, parts, size, *x.shape[3:]), 2, 0)

    out = jax.lax.map(lambda part: attend(*part), [cut(x) for x in split])
    out = jnp.moveaxis(out, 0, 2)
    return out.reshape(b, h, parts * size, *out.shape[4:])[:, :, :n]


def _softmax_average(subscripts: str, logits: jax.Array, v: jax.Array) -> jax.Array:
    """Averages values of `_with_weight` by the softmax of the logits' last axis, in their dtype.

    The weights stay unnormalized. The last channel is averaged with the values; its result is the
    sum of the weights. This saves one pass over the largest array of the network.
    """
    weight = jnp.exp(logits - jax.lax.stop_gradient(logits.max(axis=-1, keepdims=True)))
    out = einsum(subscripts, weight.astype(v.dtype), v)
    return (out[..., :-1] / out[..., -1:]).astype(v.dtype)


def _with_weight(v: jax.Array, real: jax.Array | None) -> jax.Array:
    """Adds a channel of ones to values `[..., s, e]`; where they are not `real`, all are zeros."""
    v = jnp.concatenate([v, jnp.ones_like(v[..., :1])], axis=-1)
    return v if real is None else jnp.where(real, v, jnp.zeros_like(v))


def _weightless(k: jax.Array, real: jax.Array | None) -> jax.Array:
    """Replaces keys `[..., s, d]` that are not `real` by the first one, which is.

    Their logits then never are the largest, and values of `_with_weight` weigh nothing there. So no
    mask is applied to the logits, of which there are many more.
    """
    return k if real is None else jnp.where(real, k, k[..., :1, :])


def _without_padding(x: jax.Array, mask: Mask) -> jax.Array:
    if mask is None:
        return x
    return jnp.where(jnp.expand_dims(jnp.asarray(mask), (0, 3, 4)), x, 0.0)


def _points_per_block(k: jax.Array, mask: Mask) -> jax.Array | int:
    if mask is None:
        return k.shape[2]
    points = jnp.asarray(mask).sum(axis=1, dtype=jnp.float32)
    return jnp.maximum(points, 1.0)[None, :, None, None]  # 0 points: its sums are 0
