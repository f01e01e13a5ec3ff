"""Painting a picture of any size in bounded memory: stage by stage, each in tiles.

Whole feature maps stay in the host's memory between stages. A stage is the convolutions between two
poolings, the attention of a tap, or a step of the decoder. It sees one window of the maps at a
time, with as many points around it as its convolutions reach. So every number is that of the whole
picture: statistics come from whole maps, blocks lie on one grid, and attention sees all of the
style. Nothing is blended, so there are no seams.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from stya2k_jax.errors import UserError
from stya2k_jax.inference.program import Program, Tell
from stya2k_jax.inference.programs import NARROW
from stya2k_jax.network.architecture import BASELINES, STYLED_TAPS, TAPS
from stya2k_jax.network.encoder import STAGES
from stya2k_jax.network.model import StyA2K
from stya2k_jax.network.normalization import EPSILON
from stya2k_jax.network.sizes import Extent, size_of, tap_sizes

TILE_PX = 512
_ATTENTION_POINTS = 64  # about the side of a window of attention


class Window(NamedTuple):
    """One window along an axis.

    Attributes:
      start: first point that the stage sees.
      real: number of its points that lie in the map.
      first: first point of the part that is valid and kept.
      end: one past the last point of that part.
    """

    start: int
    real: int
    first: int
    end: int


class Tiles:
    """Runs a model's stages in windows."""

    def __init__(
        self,
        model: StyA2K,
        tile_px: int = TILE_PX,
        tell: Tell | None = None,
        quick_start: bool = True,
    ):
        """Takes the model and the side of a window in pixels, a multiple of 64 from 128 on.

        `tell` and `quick_start` as `Program` takes them. Pictures are at least 32 pixels on either
        side.
        """
        if tile_px % 64 or tile_px < 128:
            raise UserError(f"A tile of {tile_px} pixels: use a multiple of 64, 128 or more.")
        variant = model.architecture.variant
        if variant in BASELINES or variant == "no_pa_step1":
            raise UserError(
                f"{variant} cannot paint in tiles, because it needs the place of every point in "
                "the whole picture; use a smaller picture, or more memory for a whole one."
            )
        self.tile_px = tile_px
        graph, state = nnx.split(model)

        def program(name: str, run: Callable) -> Program:
            return Program(
                f"tile_{name}",
                lambda state, *arguments: run(nnx.merge(graph, state), *arguments),
                state,
                about=model.architecture,
                narrow=model.architecture.width <= NARROW,
                quick_start=quick_start,
                tell=tell,
            )

        self._encode = [program(f"encode_{i}", _encoder_stage(i)) for i in range(len(STAGES))]
        self._attend = {tap: program(f"attend_{tap}", _attention(tap)) for tap in STYLED_TAPS}
        decoder: tuple[Callable, ...] = (
            lambda m, x, f_cs5, e: m.painter.decoder.from_relu4_1(x, f_cs5, e),
            lambda m, f_cs3, x, e: m.painter.decoder.from_relu3_1(x, f_cs3, e),
            lambda m, x, e: m.painter.decoder.from_relu2_1(x, *_doubled(x), e),
            lambda m, x, e: m.painter.decoder.from_relu1_1(x, *_doubled(x), e),
        )
        self._decode = [program(f"decode_{i}", run) for i, run in enumerate(decoder)]

    def taps(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the taps `[1, h, w, c]` that are styled, of a picture `[1, H, W, 3]`."""
        taps: dict[str, np.ndarray] = {}
        x = picture
        for i, tap in enumerate(TAPS):
            is_last = i == len(TAPS) - 1
            wanted = [("tap", 1)] * (tap in STYLED_TAPS) + [("pooled", 2)] * (not is_last)
            outputs = self._run(
                self._encode[i],
                size_of(x.shape),
                [(x, 1)],
                dict(wanted),
                side=self.tile_px // (1, 1, 2, 4, 4)[i],
                reach=len(STAGES[i]),
            )
            x = outputs.get("pooled", x)
            if "tap" in outputs:
                taps[tap] = outputs["tap"]
        return taps

    def paint(
        self,
        content: np.ndarray,
        keys: Sequence[dict],
        shares: Mapping[str, np.ndarray],
    ) -> np.ndarray:
        """Paints a content `[1, H, W, 3]` in [0, 1]; unclipped float32 of the same shape.

        Args:
          content: the picture.
          keys: of one style or several.
          shares: by tap, `[k, 1, 1]` or `[k, h, w]`.
        """
        f_cs = self.taps(content)
        for tap, features in f_cs.items():
            self._attend_in_place(tap, features, keys, shares[tap])
        sizes, t = tap_sizes(size_of(content.shape)), self.tile_px
        f_cs4, f_cs5, f_cs3 = f_cs.pop("relu4_1"), f_cs.pop("relu5_1"), f_cs.pop("relu3_1")
        x = self._run(
            self._decode[0], sizes["relu4_1"], [(f_cs4, 1), (f_cs5, 2)], {"": 1}, t // 4, 2
        )[""]
        del f_cs4, f_cs5
        x = self._run(self._decode[1], sizes["relu3_1"], [(f_cs3, 1), (x, 2)], {"": 1}, t // 2, 4)[
            ""
        ]
        del f_cs3
        x = self._run(self._decode[2], sizes["relu2_1"], [(x, 2)], {"": 1}, t, 2)[""]
        return self._run(self._decode[3], sizes["relu1_1"], [(x, 2)], {"": 1}, t, 2)[""]

    def _attend_in_place(
        self, tap: str, features: np.ndarray, keys: Sequence[dict], shares: np.ndarray
    ) -> None:
        moments = whole_moments(features)
        height, width = features.shape[1:3]
        own = [{tap: one[tap]} for one in keys]
        side = _whole_blocks(own)
        own, moments = jax.device_put((own, moments))  # once, not with every window
        for rows in windows(height, side, 0):
            for columns in windows(width, side, 0):
                extent = Extent(rows.real, columns.real)
                part = shares
                if shares.shape[1:] != (1, 1):
                    part = _cut(shares[..., None], rows, columns, 1, side)[..., 0]
                window = _cut(features, rows, columns, 1, side)
                out = self._attend[tap](window, own, part, extent, moments)
                kept = np.s_[:, rows.first : rows.end, columns.first : columns.end]
                features[kept] = np.asarray(out)[:, : rows.real, : columns.real]

    def _run(
        self,
        program: Callable,
        size: tuple[int, int],
        inputs: Sequence[tuple[np.ndarray, int]],
        outputs: Mapping[str, int],
        side: int,
        reach: int,
    ) -> dict[str, np.ndarray]:
        """Runs a stage over all windows.

        Args:
          program: of the state, the inputs' windows and the extent of the real part.
          size: of the map that is cut into windows.
          inputs: maps `[b, h, w, c]`, each with its scale: how many points of `size` one of its
            points covers.
          outputs: the scales of the results, by name; "" for a program that returns one array.
          side: side of the kept part of a window, in points.
          reach: how many points around it are needed, even or rounded up to that.

        Returns:
          The whole maps that come out, by name.
        """
        reach += reach % 2
        while side // 2 >= max(size):  # halves only, so that small maps do not compile each
            side //= 2
        whole: dict[str, np.ndarray] = {}

        def keep(rows: Window, columns: Window, found: Any) -> None:
            for name, scale in outputs.items():
                part = np.asarray(found[name] if name else found)
                if name not in whole:
                    shape = (len(part), *(-(-s // scale) for s in size), part.shape[3])
                    whole[name] = np.empty(shape, part.dtype)
                (y, from_y), (x, from_x) = _kept(rows, scale), _kept(columns, scale)
                whole[name][:, y, x] = part[:, from_y, from_x]

        pending: tuple | None = None  # the one before is copied while this one is computed
        for rows in windows(size[0], side, reach):
            for columns in windows(size[1], side, reach):
                cut = [_cut(x, rows, columns, scale, side + 2 * reach) for x, scale in inputs]
                found = program(*cut, Extent(rows.real, columns.real))
                if pending is not None:
                    keep(*pending)
                pending = rows, columns, found
        assert pending is not None  # a map has at least one window
        keep(*pending)
        return whole


def windows(length: int, side: int, reach: int) -> Iterator[Window]:
    """Cuts an axis into windows of `side` points that are kept and `reach` more on either side."""
    for first in range(0, length, side):
        start = max(0, first - reach)
        real = min(side + 2 * reach, length - start)
        yield Window(start, real, first, min(first + side, length))


def whole_moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns `mean_and_std` of a map `[1, h, w, c]`, row by row and in float64."""
    points = features.shape[1] * features.shape[2]
    mean = sum(row.sum(axis=0, dtype=np.float64) for row in features[0]) / points
    squares = sum(
        np.square(row.astype(np.float32) - mean.astype(np.float32)).sum(axis=0, dtype=np.float64)
        for row in features[0]
    )
    std = np.sqrt(squares / max(points - 1, 1) + EPSILON)
    return tuple(x[None, None, None].astype(np.float32) for x in (mean, std))


def _encoder_stage(index: int) -> Callable:
    def run(model: StyA2K, x: jax.Array, extent: Extent) -> dict[str, jax.Array]:
        features = [f for _, f in model.encoder.stage(index, x, extent)]
        found = {"tap": features[0]} if TAPS[index] in STYLED_TAPS else {}
        if index < len(STAGES) - 1:
            found["pooled"] = model.encoder.pool(features[-1], extent)
        return found

    return run


def _attention(tap: str) -> Callable:
    def run(model, window, keys, shares, extent, moments):
        taps = {tap: window}
        return model.painter.features(tap, taps, keys, shares, extent=extent, moments=moments)

    return run


def _whole_blocks(keys: Sequence[dict]) -> int:
    """Returns the side of windows that hold whole blocks of all styles."""
    paths = [path for one in keys for modules in one.values() for path in modules.values()]
    sides = [path.block_size for path in paths if hasattr(path, "block_size")]
    side = math.lcm(1, *sides)
    return max(1, _ATTENTION_POINTS // side) * side


def _doubled(x: jax.Array) -> tuple[int, int]:
    return 2 * x.shape[1], 2 * x.shape[2]


def _kept(window: Window, scale: int) -> tuple[slice, slice]:
    """Returns where a window's kept part lies in a whole map of a scale, and in the window."""
    first, end = window.first // scale, -(-window.end // scale)
    start = window.start // scale
    return slice(first, end), slice(first - start, end - start)


def _cut(x: np.ndarray, rows: Window, columns: Window, scale: int, side: int) -> np.ndarray:
    """Cuts a window out of `[b, h, w, c]`, with zeros beyond its end."""
    ends = [-(-(w.start + w.real) // scale) for w in (rows, columns)]
    part = x[:, rows.start // scale : ends[0], columns.start // scale : ends[1]]
    lacking = [(0, side // scale - length) for length in part.shape[1:3]]
    if not any(after for _, after in lacking):
        return part
    return np.pad(part, ((0, 0), *lacking, (0, 0)))
