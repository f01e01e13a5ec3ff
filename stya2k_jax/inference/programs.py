"""The compiled halves of a model: a style's pictures to keys, a content and keys to a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stya2k_jax.inference.program_shapes import Shapes
from stya2k_jax.network.a2k import RealBlocks
from stya2k_jax.network.architecture import BASELINES, STYLED_TAPS
from stya2k_jax.network.blocks import balanced_block_size, grid_shape
from stya2k_jax.network.model import StyA2K
from stya2k_jax.network.sizes import Extent, Size, size_of, tap_sizes

Shares = dict[str, np.ndarray]  # by tap, [k, 1, 1] or [k, H, W]

# Price of one more compiled program, in padded pixels. Compiling takes longer than painting these,
# but `stylize.py` keeps compiled programs on disk, and the padding is painted every time.
_PROGRAM_PX = 1_000_000


class Programs:
    """Runs a model on single pictures of any size with few compilations.

    Attributes:
      model: the model.
      contents: shapes for which there are programs that paint.
      styles: shapes for which there are programs that encode styles.
    """

    def __init__(self, model: StyA2K):
        self.model = model
        graph, self.state = nnx.split(model)
        self.contents, self.styles = Shapes(_PROGRAM_PX), Shapes(_PROGRAM_PX)
        # Other systems' modules know nothing of padding.
        self.may_pad = model.architecture.variant not in BASELINES

        def style_keys(state, style, block_sizes, extent, real):
            model = nnx.merge(graph, state)
            taps = model.encoder(style, extent=extent)
            return model.painter.keys(taps, block_sizes and dict(block_sizes), real)

        def tap_keys(state, taps, block_sizes):
            painter = nnx.merge(graph, state).painter
            return painter.keys(taps, block_sizes and dict(block_sizes))

        def paint(state, content, keys, shares, extent):
            model = nnx.merge(graph, state)
            taps = model.encoder(content, extent=extent)
            size = content.shape[1:3]
            return model.painter(taps, keys, *size, shares=shares, extent=extent)

        self._style_keys = jax.jit(style_keys, static_argnames="block_sizes")
        self._tap_keys = jax.jit(tap_keys, static_argnames="block_sizes")
        self._paint = jax.jit(paint)

    def style_keys(self, style: np.ndarray, balanced: bool = False) -> dict:
        """Returns what the A2K modules need of styles `[b, H, W, 3]` in [0, 1].

        Keys of styles of a similar number of blocks have one shape.
        """
        size = size_of(style.shape)
        sides = self.block_sizes(size) if balanced else None
        shape = self.styles.choose(size) if self.may_pad else size
        if shape == size:
            return self._style_keys(self.state, style, sides, None, None)
        real = self._real_blocks(size, shape, dict(sides or self.block_sizes(size, trained=True)))
        return self._style_keys(self.state, padded(style, shape), sides, Extent(*size), real)

    def keys_of_taps(self, taps: Mapping[str, np.ndarray], size: Size, balanced: bool) -> dict:
        """Returns `style_keys` of a picture of this size whose taps are there already."""
        return self._tap_keys(self.state, taps, self.block_sizes(size) if balanced else None)

    def paint(self, content: np.ndarray, keys: Any, shares: Shares | None = None) -> np.ndarray:
        """Paints contents `[b, H, W, 3]` in [0, 1]; unclipped float32 of the same shape.

        Args:
          content: the pictures.
          keys: of `style_keys`; a list of them with shares.
          shares: as `Painter.__call__` takes them.
        """
        size = size_of(content.shape)
        shape = self.contents.choose(size) if self.may_pad else size
        if shape == size:
            return np.asarray(self._paint(self.state, content, keys, shares, None))
        if shares is not None:
            shares = {tap: _padded_shares(x, shape, tap) for tap, x in shares.items()}
        painted = self._paint(self.state, padded(content, shape), keys, shares, Extent(*size))
        return np.asarray(painted)[:, : size[0], : size[1]]

    def key_shapes(self, shape: Sequence[int], balanced: bool, is_padded: bool) -> dict:
        """Returns the keys of styles `[b, H, W, 3]` as shapes and dtypes, without computing them.

        Keys of padded styles also say which blocks are real; then the shapes are those of the
        smallest padding, and all-to-all attention may have more points.
        """
        size = size_of(tuple(shape))
        sides = self.block_sizes(size) if balanced else None
        extent = real = None
        if is_padded:
            extent = Extent(*size)
            real = self._real_blocks(
                size, size, dict(sides or self.block_sizes(size, trained=True))
            )
        picture = jax.ShapeDtypeStruct(tuple(shape), jnp.float32)
        return jax.eval_shape(
            lambda style: self._style_keys(self.state, style, sides, extent, real), picture
        )

    def block_sizes(self, size: Size, trained: bool = False) -> tuple[tuple[str, int], ...]:
        """Returns each tap's side of blocks for a style of this size, balanced or as trained."""
        architecture = self.model.architecture
        sides = {tap: architecture.block_size(tap) for tap in STYLED_TAPS}
        if not trained:
            sizes = tap_sizes(size)
            sides = {tap: balanced_block_size(*sizes[tap], p) for tap, p in sides.items()}
        return tuple(sides.items())

    def _real_blocks(self, size: Size, shape: Size, sides: dict[str, int]) -> dict[str, RealBlocks]:
        small, large = tap_sizes(size), tap_sizes(shape)
        return {tap: _real_blocks(small[tap], large[tap], side) for tap, side in sides.items()}


def padded(pictures: np.ndarray, shape: Size) -> np.ndarray:
    """Repeats the last row and column of `[b, H, W, 3]` up to a shape."""
    widths = [(0, whole - part) for whole, part in zip(shape, pictures.shape[1:3], strict=True)]
    return np.pad(pictures, ((0, 0), *widths, (0, 0)), mode="edge")


def _padded_shares(shares: np.ndarray, shape: Size, tap: str) -> np.ndarray:
    if shares.shape[1:] == (1, 1):
        return shares
    widths = [(0, a - b) for a, b in zip(tap_sizes(shape)[tap], shares.shape[1:], strict=True)]
    return np.pad(shares, ((0, 0), *widths))


def _real_blocks(size: Size, shape: Size, side: int) -> RealBlocks:
    """Lists the blocks of a map of this size in those of a padded one, by numpy."""
    rows, columns = grid_shape(*size, side)
    padded_columns = grid_shape(*shape, side)[1]
    index = (np.arange(rows)[:, None] * padded_columns + np.arange(columns)).reshape(-1)
    order = np.zeros(_block_count(len(index)), np.int32)
    order[: len(index)] = index
    return RealBlocks(Extent(*size), order, len(index))


def _block_count(blocks: int) -> int:
    """Rounds up to 2^k or 3 * 2^k, so that few shapes of keys occur."""
    power = 1 << (blocks - 1).bit_length()
    return power * 3 // 4 if power >= 4 and blocks <= power * 3 // 4 else power
