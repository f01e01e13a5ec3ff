"""Running a model on arrays of any size: whole where memory allows, else in tiles."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Any

import jax
import numpy as np

from stya2k_jax.inference.program import Tell
from stya2k_jax.inference.program_shapes import SMALLEST_PADDED_PX
from stya2k_jax.inference.programs import NARROW, Programs, Shares
from stya2k_jax.inference.tiles import TILE_PX, Tiles
from stya2k_jax.network.model import StyA2K
from stya2k_jax.network.sizes import Size, size_of

_BYTES_PER_PX_AT_FULL_WIDTH = 1200  # that a picture takes when it is painted whole


class WholeOrTiled:
    """Encodes styles and paints contents, `[b, H, W, 3]` in [0, 1], of any size.

    Attributes:
      programs: the compiled halves, for pictures that are painted whole.
      tell: is called with a sentence before something is compiled; None: nobody is told.
    """

    def __init__(
        self, model: StyA2K, max_memory: float, tile_px: int | None, quick_start: bool = True
    ):
        """Takes what `Stylizer` takes."""
        narrow = model.architecture.width <= NARROW
        self.tell: Tell | None = None
        self.programs = Programs(model, self._say, quick_start)
        self._model, self._tile_px = model, tile_px or (256 if narrow else TILE_PX)
        self._quick_start = quick_start
        self._whole_px = max_memory / (_BYTES_PER_PX_AT_FULL_WIDTH * model.architecture.width)

    def prepare(
        self, contents: Iterable[Size], styles: Iterable[Size], balanced: bool, beforehand: bool
    ) -> list[Future]:
        """Prepares programs as `Programs.prepare` does, for what is painted whole."""
        contents, styles = (filter(self._is_whole, sizes) for sizes in (contents, styles))
        return self.programs.prepare(contents, styles, balanced, beforehand)

    def keys(self, picture: np.ndarray, balanced: bool) -> dict:
        """Returns what attention needs of a style, or of a batch of them."""
        size = size_of(picture.shape)
        if len(picture) > 1 or self._is_whole(size):
            return self.programs.style_keys(picture, balanced)
        return self.programs.keys_of_taps(self._tiles.taps(picture), size, balanced)

    def paint(
        self, pixels: np.ndarray, keys: Sequence[dict], shares: Shares, alone: bool
    ) -> np.ndarray:
        """Paints contents; unclipped float32 of their shape.

        Args:
          pixels: the contents.
          keys: of each style.
          shares: by tap, how much of each style.
          alone: there is one style, and its share is 1 everywhere.
        """
        if self._is_whole(size_of(pixels.shape), len(pixels)):
            return self._whole(pixels, keys, shares, alone)
        each = []
        for i, x in enumerate(pixels):
            own = [_keys_of_one(k, i) for k in keys]
            run = self._whole if self._is_whole(size_of(pixels.shape)) else self._tiled
            each.append(run(x[None], own, shares, alone))
        return np.concatenate(each)

    def _whole(
        self, pixels: np.ndarray, keys: Sequence[dict], shares: Shares, alone: bool
    ) -> np.ndarray:
        if alone:
            return self.programs.paint(pixels, keys[0])
        return self.programs.paint(pixels, tuple(keys), shares)

    def _tiled(
        self, pixels: np.ndarray, keys: Sequence[dict], shares: Shares, _: bool
    ) -> np.ndarray:
        return self._tiles.paint(pixels, keys, shares)

    def _is_whole(self, size: Size, batch: int = 1) -> bool:
        # A strip narrower than that has no inner point at the deepest tap, and is small enough.
        return batch * size[0] * size[1] <= self._whole_px or min(size) < SMALLEST_PADDED_PX

    @cached_property
    def _tiles(self) -> Tiles:
        return Tiles(self._model, self._tile_px, self._say, self._quick_start)

    def _say(self, sentence: str) -> None:
        if self.tell is not None:
            self.tell(sentence)


def _keys_of_one(keys: dict, index: int) -> dict:
    """Picks one of a batch of styles; masks and grids, which have no batch, stay."""
    return jax.tree.map(lambda x: one_of(x, index) if x.ndim > 3 else x, keys)


def one_of(batch: Any, index: int) -> Any:
    """Returns a batch of one: its only element, or the one at the index."""
    return batch if len(batch) == 1 else batch[index : index + 1]
