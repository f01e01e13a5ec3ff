"""The losses: L_gs and L_A2K* (Sec. 3.3, Eq. 16-18), and a content term.

All functions take the taps of a *loss encoder*, which may be another network than the model's own.
"""

import jax
import jax.numpy as jnp

from stya2k_jax.errors import UserError
from stya2k_jax.network import attention
from stya2k_jax.network.a2k import to_head_blocks
from stya2k_jax.network.architecture import CONTENT_TAPS, MATCHED_TAPS, TAPS
from stya2k_jax.network.blocks import from_blocks, real_points
from stya2k_jax.network.encoder import Taps
from stya2k_jax.network.normalization import ladder, mean_and_std, normalize

GLOBAL_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
NORMS = ("mse", "l2")
HEADS = 8  # of the parameter-free attention, whatever the model has


def global_style_loss(
    stylized: Taps, style: Taps, norm: str = "mse", taps: tuple[str, ...] = GLOBAL_TAPS
) -> jax.Array:
    """Compares mean and deviation of every channel: L_gs (Eq. 16), unweighted.

    Sums over `taps`, by default the paper's relu1_1 ... relu4_1. Departure from the paper, as in
    the release: `norm="mse"`, the mean square, is the default; `"l2"` is the paper's Euclidean
    norm.
    """
    total = 0.0
    for tap in _known(taps, TAPS):
        for ours, target in zip(mean_and_std(stylized[tap]), mean_and_std(style[tap]), strict=True):
            total += distance(ours, jax.lax.stop_gradient(target), norm)
    return total


def a2k_loss(stylized: Taps, targets: Taps, norm: str = "mse") -> jax.Array:
    """Compares features with `a2k_targets`: L_A2K* (Eq. 17), unweighted, over the targets' taps."""
    return sum(distance(stylized[tap], targets[tap], norm) for tap in targets)


def content_loss(stylized: Taps, content: Taps) -> jax.Array:
    """Compares normalized features of relu4_1 and relu5_1, unweighted.

    The release computes this term but never adds it to its total.
    """
    return sum(
        distance(normalize(stylized[tap]), jax.lax.stop_gradient(normalize(content[tap])), "mse")
        for tap in CONTENT_TAPS
    )


def a2k_targets(
    content: Taps,
    style: Taps,
    block_sizes: tuple[int, ...],
    taps: tuple[str, ...] = MATCHED_TAPS,
) -> Taps:
    """Builds T_l = DA* + PA* + F_c of each tap: attention without parameters.

    Departure from the paper, as in the release: queries and keys are the normalized features of
    this tap and of all shallower ones, resized to it. So they hold color and texture too. No
    gradient passes.

    Args:
      content: taps of the contents.
      style: taps of the styles, any size.
      block_sizes: side of a block in points of the tap, for relu2_1 ... relu5_1.
      taps: which of these get a target, by default all.

    Returns:
      Targets of the content taps' shapes, float32.
    """
    content, style = jax.lax.stop_gradient((content, style))
    return {
        tap: _a2k_target(content, style, tap, size)
        for tap, size in zip(MATCHED_TAPS, block_sizes, strict=True)
        if tap in _known(taps, MATCHED_TAPS)
    }


def distance(x: jax.Array, target: jax.Array, norm: str) -> jax.Array:
    """Returns the distance of two batches `[b, ...]`, a scalar.

    `"mse"`: mean square over all elements. `"l2"`: Euclidean norm of each example's difference,
    averaged over the batch.

    Raises:
      ValueError: the shapes differ.
      UserError: the norm does not exist.
    """
    if x.shape != target.shape:
        raise ValueError(f"distance: shapes {x.shape} and {target.shape} differ.")
    difference = x.astype(jnp.float32) - target.astype(jnp.float32)
    if norm == "mse":
        return jnp.mean(difference**2)
    if norm == "l2":
        squares = jnp.sum(difference**2, axis=tuple(range(1, x.ndim)))
        # A tiny floor keeps the gradient of the root finite where nothing differs.
        return jnp.mean(jnp.sqrt(jnp.maximum(squares, 1e-12)))
    raise UserError(f"loss norm {norm!r} does not exist; choose one of {', '.join(NORMS)}.")


def _known(taps: tuple[str, ...], choices: tuple[str, ...]) -> tuple[str, ...]:
    for tap in taps:
        if tap not in choices:
            raise UserError(f"tap {tap!r} does not exist here; choose among {', '.join(choices)}.")
    return taps


def _a2k_target(content: Taps, style: Taps, tap: str, size: int) -> jax.Array:
    height, width = content[tap].shape[1:3]
    content_mask = real_points(height, width, size)
    style_mask = real_points(*style[tap].shape[1:3], size)
    q_map, k_map = ladder(content, tap), ladder(style, tap)
    for channels in (q_map.shape[3], content[tap].shape[3]):
        if channels % HEADS:
            raise UserError(
                f"the attention term cuts the features of {tap} into {HEADS} heads, and "
                f"{channels} channels do not split; use a loss encoder of a width that is a "
                "multiple of 1/8, or lambda_a2k=0."
            )
    q, k = to_head_blocks(q_map, size, HEADS), to_head_blocks(k_map, size, HEADS)
    v = to_head_blocks(style[tap].astype(jnp.float32), size, HEADS)
    k_hat, v_hat = attention.regional_keys(k, v, alpha=1.0, beta=0.0, mask=style_mask)
    distributed = attention.distributed_attention(q, k_hat, v_hat)
    p_idx = attention.match_blocks(q, k, content_mask, style_mask)
    progressive = attention.progressive_attention(q, k, v, p_idx, style_mask)
    blocks = (distributed + progressive).reshape(*q.shape[:3], -1)
    return from_blocks(blocks, height, width, size) + content[tap].astype(jnp.float32)
