"""Attention of one content point to the style, before and after softmax and argmax (Fig. 6).

Only the point's own row of each attention matrix is computed, whatever the pictures' sizes.
"""

import operator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from stya2k_jax.errors import UserError
from stya2k_jax.network.architecture import BASELINES, STYLED_TAPS, TAPS, VARIANTS
from stya2k_jax.network.attention import same_place_blocks
from stya2k_jax.network.blocks import grid_shape
from stya2k_jax.network.model import StyA2K
from stya2k_jax.network.normalization import normalize
from stya2k_jax.network.sizes import Size, size_of, tap_sizes
from stya2k_jax.pictures.arrays import checked_range

Place = tuple[int, int]  # row and column


class DistributedMaps(NamedTuple):
    """How distributed attention of a point spreads over the style's blocks (Eq. 9).

    Attributes:
      logits: products of the query and each block's regional key, before the softmax,
        `[h, rows, columns]` of blocks.
      weights: after the softmax, of the same shape; each head's add up to 1.
    """

    logits: np.ndarray
    weights: np.ndarray


class ProgressiveMaps(NamedTuple):
    """How progressive attention narrows down to points of one style block (Eq. 10-12).

    Attributes:
      scores: fit of the point's block with each style block, before the argmax,
        `[h, rows, columns]` of blocks; None where the variant fits no blocks ("no_pa_step1").
      chosen: row and column of each head's block, after the argmax, `[h, 2]`.
      weights: over the points of the chosen block, after the softmax, on the grid of the style's
        features, `[h, H_tap, W_tap]`: zero outside the block; each head's add up to 1.
    """

    scores: np.ndarray | None
    chosen: np.ndarray
    weights: np.ndarray


class AllToAllMaps(NamedTuple):
    """How all-to-all attention of a point spreads over all style points (Eq. 5).

    Attributes:
      logits: products of the query and each key, before the softmax, `[h, H_tap, W_tap]`.
      weights: after the softmax, of the same shape; each head's add up to 1.
    """

    logits: np.ndarray
    weights: np.ndarray


class AttentionMaps(NamedTuple):
    """What one content point attends to on one tap; arrays are float32, head by head.

    Attributes:
      tap: name of the tap.
      position: row and column of the content pixel that was asked for.
      point: row and column, on the tap's grid, of the point that this pixel is in.
      block_size: side of a block, in points of the tap.
      content_size: height and width of the content, in pixels.
      style_size: height and width of the style, in pixels.
      distributed: None where the variant lacks this path, as are the next two.
      progressive: of the full model and most of its ablations.
      all_to_all: of the ablation of that name, which has nothing else.
    """

    tap: str
    position: Place
    point: Place
    block_size: int
    content_size: Size
    style_size: Size
    distributed: DistributedMaps | None
    progressive: ProgressiveMaps | None
    all_to_all: AllToAllMaps | None

    @property
    def point_px(self) -> int:
        """The side of a point of the tap, in pixels of the picture."""
        return 1 << TAPS.index(self.tap)


def attention_maps(
    model: StyA2K,
    content: np.ndarray,
    style: np.ndarray,
    position: Place,
    tap: str = "relu4_1",
) -> AttentionMaps:
    """Returns what the content point under a pixel attends to in the style.

    Args:
      model: as `stya2k_jax.load` returns it.
      content: floats in [0, 1], `[1, H, W, 3]`.
      style: the same, of any size.
      position: row and column of a pixel of the content, counted from 0 at the top left.
      tap: relu3_1, relu4_1 or relu5_1.

    Raises:
      UserError: no attention on that tap or in that model, a position outside the content, or
        something is no picture.
    """
    variant = model.architecture.variant
    if variant in BASELINES:
        raise UserError(
            f"A model of the variant {variant!r} has no all-to-key attention to show; load one of "
            f"{', '.join(VARIANTS)}."
        )
    if tap not in STYLED_TAPS:
        raise UserError(
            f"There is no attention on {tap!r}; choose one of {', '.join(STYLED_TAPS)}."
        )
    content, style = _checked(content, "content"), _checked(style, "style")
    content_size, style_size = size_of(content.shape), size_of(style.shape)
    position = _inside(position, content_size)

    level, size = TAPS.index(tap), model.architecture.block_size(tap)
    point = position[0] >> level, position[1] >> level
    content_map, style_map = (tap_sizes(size)[tap] for size in (content_size, style_size))
    n_c, keys = _features(*nnx.split(model), content, style, tap)
    top, left = (i - i % size for i in point)
    n_block = n_c[:, top : top + size, left : left + size]  # a last one may be partial
    place = point[0] - top, point[1] - left

    maps: dict[str, Any] = dict.fromkeys(("distributed", "progressive", "all_to_all"))
    a2k: Any = model.painter.a2k[tap]  # of A2K, as the variant is no baseline
    for name, path in a2k.paths.items():
        q = np.asarray(path.query(n_block)[0], np.float32)
        q = q.reshape(*q.shape[:2], path.heads, -1)  # [rows, columns, h, d]
        k = np.asarray(keys[name][0], np.float32)
        if name == "distributed":
            maps[name] = _distributed(q[place], k, grid_shape(*style_map, size))
        elif name == "all_to_all":
            maps[name] = _all_to_all(q[place], k, style_map)
        else:
            same_place = None
            if not path.matches:
                grids = [grid_shape(*map_, size) for map_ in (content_map, style_map)]
                index = top // size * grids[0][1] + left // size
                same_place = int(same_place_blocks(*grids)[index])
            maps[name] = _progressive(q, place, k, style_map, size, same_place)
    return AttentionMaps(tap, position, point, size, content_size, style_size, **maps)


@partial(jax.jit, static_argnums=(0, 4))
def _features(
    graph: nnx.GraphDef, state: nnx.State, content: jax.Array, style: jax.Array, tap: str
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns N(F_c) `[1, H_tap, W_tap, c]` and each path's keys of the style, without values."""
    model = nnx.merge(graph, state)
    f_c, f_s = (model.encoder(x, until=tap)[tap] for x in (content, style))
    keys = model.painter.a2k[tap].keys(f_s)
    return normalize(f_c), {
        name: path.k_hat if name == "distributed" else path.k for name, path in keys.items()
    }


def _distributed(q: np.ndarray, k_hat: np.ndarray, grid: Size) -> DistributedMaps:
    """Attends from q `[h, d]` to regional keys `[m, h, d]`."""
    logits = np.einsum("hd,mhd->hm", q, k_hat).reshape(-1, *grid)
    return DistributedMaps(logits, _softmax(logits))


def _progressive(
    q: np.ndarray, place: Place, k: np.ndarray, style_map: Size, size: int, same_place: int | None
) -> ProgressiveMaps:
    """Attends from the point at `place` in the block q `[rows, columns, h, d]` to k `[m, s, h, d]`.

    `same_place` is the index of the style block to look into, in place of the best.
    """
    grid, heads = grid_shape(*style_map, size), q.shape[2]
    k = k.reshape(*grid, size, size, heads, -1)
    scores, chosen = None, np.full(heads, same_place)
    if same_place is None:
        # Places that are padding in the style are zero in k: their terms are left out, too.
        scores = np.einsum(
            "rchd,ijrchd->hij", q, k[:, :, : q.shape[0], : q.shape[1]], optimize=True
        )
        chosen = scores.reshape(heads, -1).argmax(axis=1)
    chosen = np.stack(np.unravel_index(chosen, grid), axis=1)
    weights = np.zeros((heads, *style_map), np.float32)
    for head, (i, j) in enumerate(chosen):
        # A view of the block's real points, which are fewer at the bottom and right.
        block = weights[head, i * size : (i + 1) * size, j * size : (j + 1) * size]
        rows, columns = block.shape
        block[...] = _softmax((k[i, j, :rows, :columns, head] @ q[place][head])[None])[0]
    return ProgressiveMaps(scores, chosen, weights)


def _all_to_all(q: np.ndarray, k: np.ndarray, style_map: Size) -> AllToAllMaps:
    """Attends from q `[h, d]` to k `[p, h, d]`."""
    logits = np.einsum("hd,phd->hp", q, k).reshape(-1, *style_map)
    return AllToAllMaps(logits, _softmax(logits))


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Returns each head's weights over a map: of `[h, rows, columns]`, of the same shape."""
    weights = np.exp(logits - logits.max(axis=(1, 2), keepdims=True))
    return weights / weights.sum(axis=(1, 2), keepdims=True)


def _checked(picture: np.ndarray, name: str) -> np.ndarray:
    pixels = checked_range(picture, name)
    if pixels.ndim != 4 or len(pixels) != 1:
        raise UserError(f"{name} has shape {pixels.shape}; expected [1, height, width, 3].")
    return pixels


def _inside(position: Place, size: Size) -> Place:
    try:
        row, column = map(operator.index, position)
    except (TypeError, ValueError):
        raise UserError(
            f"position is {position!r}; expected two integers, (row, column)."
        ) from None
    if not (0 <= row < size[0] and 0 <= column < size[1]):
        raise UserError(
            f"position {row, column} lies outside the content of {size[0]}x{size[1]} pixels; give "
            f"a row from 0 to {size[0] - 1} and a column from 0 to {size[1] - 1}."
        )
    return row, column
