"""The compiled halves of a model: a style's pictures to keys, a content and keys to a picture."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stya2k_jax.inference.program import Program, Tell, in_background
from stya2k_jax.inference.program_shapes import SMALLEST_PADDED_PX, Shapes
from stya2k_jax.network.a2k import RealBlocks
from stya2k_jax.network.architecture import BASELINES, STYLED_TAPS
from stya2k_jax.network.blocks import balanced_block_size, grid_shape
from stya2k_jax.network.model import StyA2K
from stya2k_jax.network.sizes import Extent, Size, size_of, tap_sizes

Shares = dict[str, np.ndarray]  # by tap, [k, 1, 1] or [k, H, W]
Sides = tuple[tuple[str, int], ...]  # of blocks, by tap

NARROW = 0.5  # up to this width
_PROGRAM_PX = 1_500_000  # price of one more compiled program, in padded pixels


class Programs:
    """Runs a model on single pictures of any size with few compilations.

    Attributes:
      model: the model.
      contents: shapes for which there are programs that paint.
      styles: shapes for which there are programs that encode styles.
    """

    def __init__(self, model: StyA2K, tell: Tell | None = None, quick_start: bool = True):
        """Takes a model; `tell` and `quick_start` as `Program` takes them."""
        self.model = model
        graph, self.state = nnx.split(model)
        self.contents, self.styles = Shapes(_PROGRAM_PX), Shapes(_PROGRAM_PX)
        # Other systems' modules know nothing of padding.
        self.may_pad = model.architecture.variant not in BASELINES
        self._blocks: dict[str, int] = {}  # at least so many have the keys of a style, by tap

        def style_keys(state, style, extent, real, block_sizes):
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

        self._style_keys, self._tap_keys, self._paint = (
            Program(
                function.__name__,
                function,
                self.state,
                about=model.architecture,
                narrow=model.architecture.width <= NARROW,
                quick_start=quick_start,
                tell=tell,
            )
            for function in (style_keys, tap_keys, paint)
        )

    def prepare(
        self,
        contents: Iterable[Size],
        styles: Iterable[Size] = (),
        balanced: bool = False,
        beforehand: bool = False,
    ) -> list[Future]:
        """Chooses shapes for pictures that are going to come, and begins to compile for them.

        Args:
          contents: their sizes.
          styles: sizes of styles that are going to be painted, each by itself. Without them nothing
            is compiled yet.
          balanced: as `style_keys` takes it.
          beforehand: long before they come: every standard shape among them, compiled well,
            instead of few shapes, compiled at once.

        Returns:
          A future, which may be cancelled, for each program that is being compiled.
        """
        if not self.may_pad:
            return []
        contents, styles = list(contents), list(dict.fromkeys(styles))
        self.contents.prepare(contents, len(styles), apart=beforehand)
        self.styles.prepare(styles, apart=beforehand)
        if len(styles) > 1:
            self._unite_keys(styles, balanced)
        encoders = [self._style_program(size, balanced) for size in styles]
        begun = [
            future
            for given, sides in encoders
            if (future := self._style_keys.prepare(*given, best=beforehand, block_sizes=sides))
        ]
        if encoders:
            for shape, extent in dict.fromkeys(map(self._content_shape, contents)):
                begun.append(
                    in_background(self._prepare_to_paint, shape, extent, beforehand, *encoders[0])
                )
        return begun

    def style_keys(self, style: np.ndarray, balanced: bool = False) -> dict:
        """Returns what the A2K modules need of styles `[b, H, W, 3]` in [0, 1].

        Keys of styles of a similar number of blocks have one shape.
        """
        (picture, *options), sides = self._style_program(size_of(style.shape), balanced)
        return self._style_keys(padded(style, size_of(picture.shape)), *options, block_sizes=sides)

    def keys_of_taps(self, taps: Mapping[str, np.ndarray], size: Size, balanced: bool) -> dict:
        """Returns `style_keys` of a picture of this size whose taps are there already."""
        sides = self.block_sizes(size) if balanced else None
        return self._tap_keys(dict(taps), block_sizes=sides)

    def paint(self, content: np.ndarray, keys: Any, shares: Shares | None = None) -> np.ndarray:
        """Paints contents `[b, H, W, 3]` in [0, 1]; unclipped float32 of the same shape.

        Args:
          content: the pictures.
          keys: of `style_keys`; a list of them with shares.
          shares: as `Painter.__call__` takes them.
        """
        height, width = size = size_of(content.shape)
        shape, is_told = self._content_shape(size)
        if shares is not None:
            shares = {tap: _padded_shares(x, shape, tap) for tap, x in shares.items()}
        extent = Extent(*size) if is_told else None
        painted = self._paint(padded(content, shape), keys, shares, extent)
        return np.asarray(painted)[:, :height, :width]

    def key_shapes(self, shape: Sequence[int], balanced: bool, is_padded: bool) -> dict:
        """Returns the keys of styles `[b, H, W, 3]` as shapes and dtypes, without computing them.

        Keys of padded styles also say which blocks are real; then the shapes are those of the
        smallest padding, and all-to-all attention may have more points.
        """
        size = size_of(tuple(shape))
        picture = jax.ShapeDtypeStruct(tuple(shape), jnp.float32)
        extent = Extent(*size) if is_padded else None
        real = self._real_blocks(size, size, balanced) if is_padded else None
        sides = self.block_sizes(size) if balanced else None
        return self._style_keys.shapes(picture, extent, real, block_sizes=sides)

    def block_sizes(self, size: Size, trained: bool = False) -> Sides:
        """Returns each tap's side of blocks for a style of this size, balanced or as trained."""
        architecture = self.model.architecture
        sides = {tap: architecture.block_size(tap) for tap in STYLED_TAPS}
        if not trained:
            sizes = tap_sizes(size)
            sides = {tap: balanced_block_size(*sizes[tap], p) for tap, p in sides.items()}
        return tuple(sides.items())

    def _prepare_to_paint(
        self, shape: Size, is_told: bool, best: bool, style: tuple, sides: Sides | None
    ) -> None:
        keys = self._style_keys.result(*style, block_sizes=sides)
        extent = Extent(*shape) if is_told else None
        self._paint.compile(_picture(shape), keys, None, extent, best=best)

    def _content_shape(self, size: Size) -> tuple[Size, bool]:
        """Returns in which shape a content is painted, and whether its program gets its size."""
        shape = self.contents.choose(size) if self.may_pad else size
        return shape, self.may_pad and not _is_plain(size, shape)

    def _style_program(self, size: Size, balanced: bool) -> tuple[tuple, Sides | None]:
        """Returns what `style_keys` takes for styles of a size: its arguments and the sides."""
        shape = self.styles.choose(size) if self.may_pad else size
        sides = self.block_sizes(size) if balanced else None
        if not self.may_pad or (_is_plain(size, shape) and not self._blocks):
            return (_picture(shape), None, None), sides
        return (_picture(shape), Extent(*size), self._real_blocks(size, shape, balanced)), sides

    def _unite_keys(self, sizes: Iterable[Size], balanced: bool) -> None:
        """Lets keys of styles of all these sizes, and smaller ones, have one shape."""
        for size in sizes:
            for tap, real in self._real_blocks(size, size, balanced).items():
                self._blocks[tap] = max(self._blocks.get(tap, 0), len(real.order))

    def _real_blocks(self, size: Size, shape: Size, balanced: bool) -> dict[str, RealBlocks]:
        small, large = tap_sizes(size), tap_sizes(shape)
        return {
            tap: _real_blocks(small[tap], large[tap], side, self._blocks.get(tap, 0))
            for tap, side in self.block_sizes(size, trained=not balanced)
        }


def padded(pictures: np.ndarray, shape: Size) -> np.ndarray:
    """Repeats the last row and column of `[b, H, W, 3]` up to a shape."""
    if size_of(pictures.shape) == shape:
        return pictures
    widths = [(0, whole - part) for whole, part in zip(shape, pictures.shape[1:3], strict=True)]
    return np.pad(pictures, ((0, 0), *widths, (0, 0)), mode="edge")


def _is_plain(size: Size, shape: Size) -> bool:
    """Tells whether a picture gets a program that knows nothing of padding.

    Those are squares, as in training and evaluation, and pictures too small to be padded. Others
    share the program of their shape, even if they fill it.
    """
    return shape == size and (size[0] == size[1] or min(size) < SMALLEST_PADDED_PX)


def _picture(shape: Size) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, *shape, 3), jnp.float32)


def _padded_shares(shares: np.ndarray, shape: Size, tap: str) -> np.ndarray:
    if shares.shape[1:] == (1, 1):
        return shares
    widths = [(0, a - b) for a, b in zip(tap_sizes(shape)[tap], shares.shape[1:], strict=True)]
    return np.pad(shares, ((0, 0), *widths))


def _real_blocks(size: Size, shape: Size, side: int, least: int) -> RealBlocks:
    """Lists the blocks of a map of this size in those of a padded one, by numpy.

    As many more as make `least`, or a number that few others round up to, repeat the first.
    """
    rows, columns = grid_shape(*size, side)
    padded_columns = grid_shape(*shape, side)[1]
    index = (np.arange(rows)[:, None] * padded_columns + np.arange(columns)).reshape(-1)
    order = np.zeros(max(_block_count(len(index)), least), np.int32)
    order[: len(index)] = index
    return RealBlocks(Extent(*size), order, len(index))


def _block_count(blocks: int) -> int:
    """Rounds up to 2^k or 3 * 2^k, so that few shapes of keys occur."""
    power = 1 << (blocks - 1).bit_length()
    return power * 3 // 4 if power >= 4 and blocks <= power * 3 // 4 else power
