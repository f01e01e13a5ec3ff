"""The public verb: pictures of any kind in, stylized pictures of the same kind out."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import cached_property, partial
from typing import Any, cast, overload

import jax
import numpy as np
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.inference.attention_maps import AttentionMaps, attention_maps
from stya2k_jax.inference.style import POLICIES, Style, blend, load_style
from stya2k_jax.inference.stylize_many import (
    Stylized,
    check_several,
    sizes_of,
    stylize_many,
)
from stya2k_jax.inference.whole_or_tiled import WholeOrTiled, one_of
from stya2k_jax.network.architecture import STYLED_TAPS, Architecture
from stya2k_jax.network.model import StyA2K
from stya2k_jax.network.sizes import size_of, tap_sizes
from stya2k_jax.pictures.arrays import Picture, as_kind_of, as_layers, as_pixels, to_float, to_uint8
from stya2k_jax.pictures.colors import keep_luminance, match_color
from stya2k_jax.pictures.masks import as_mask, fit_mask, keep_content, reduce_mask, style_masks
from stya2k_jax.weights.parameters import fingerprint_of_model, named_arrays, with_arrays

COLORS = ("none", "luminance", "match")
MAX_MEMORY = 2**30  # bytes


class Stylizer:
    """Stylizes paths, PIL images and arrays of any size with a model.

    Programs are compiled when they are first needed; pictures of many sizes share a few. May be
    used by several threads.
    """

    def __init__(
        self,
        model: StyA2K,
        *,
        max_memory: float = MAX_MEMORY,
        tile_px: int | None = None,
        quick_start: bool = True,
    ):
        """Takes a model as `stya2k_jax.load` returns it.

        Args:
          model: the model.
          max_memory: bytes that features may take. A batch that takes more is painted one by one, a
            picture that takes more in tiles; the result is the same.
          tile_px: side of a tile, a multiple of 64, 128 or more. None: 512, or for a narrow model
            256, whose features then stay in the processor's cache.
          quick_start: on the CPU, paint the first pictures with programs that compile quickly, and
            compile better ones meanwhile. Pictures may differ by 1 of 255 by which one painted
            them. False: compile well before the first picture, so that a picture is the same bit
            for bit at every call and in every process.

        Raises:
          UserError: not a model, but its name, for example.
        """
        if not isinstance(model, StyA2K):
            raise UserError(
                f"A Stylizer takes a model, not {model!r}; load it first: "
                "Stylizer(stya2k_jax.load(DIRECTORY))."
            )
        self.model, self._max_memory, self._tile_px = model, max_memory, tile_px
        self._quick_start = quick_start
        self._model = WholeOrTiled(model, max_memory, tile_px, quick_start)

    def __repr__(self) -> str:
        return f"Stylizer({self.model.architecture}, model {self.fingerprint[:12]})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the model's numbers; programs are compiled again where they are needed."""
        options = dict(
            max_memory=self._max_memory, tile_px=self._tile_px, quick_start=self._quick_start
        )
        return _unpickled, (self.model.architecture, named_arrays(self.model), options)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the model, which tells its styles from those of other models."""
        return fingerprint_of_model(self.model)

    def encode_style(
        self,
        images: Picture | Style | Sequence[Picture | Style],
        weights: Sequence[float] | None = None,
        *,
        block_policy: str = "trained",
    ) -> Style:
        """Computes what attention needs of a style, once for all contents.

        Args:
          images: a picture, or several that are blended; of any kind and size. Styles that are
            encoded already may be among them.
          weights: how much of each; they are scaled to add up to 1. None: equal.
          block_policy: `"trained"`: blocks as in training; `"balanced"`: larger ones for large
            styles, which keeps attention affordable.

        Returns:
          A style to give in the place of pictures. The result is the same.

        Raises:
          PictureError: a file cannot be read.
          UserError: something is no picture, a style is of another model or policy, weights do not
            fit, or no such policy.
        """
        if block_policy not in POLICIES:
            raise UserError(f"block_policy={block_policy!r}; choose one of {', '.join(POLICIES)}.")
        several = images if isinstance(images, list | tuple) else [cast(Picture | Style, images)]
        if not several:
            raise UserError("No style is given; give at least one picture.")
        given = [x if isinstance(x, Style) else as_pixels(x, "style") for x in several]
        for style in given:
            if isinstance(style, Style):
                self._check_model(style)
        encoded = [x if isinstance(x, Style) else self._encoded(x, block_policy) for x in given]
        alone = len(encoded) == 1 and weights is None
        return encoded[0] if alone else blend(encoded, weights)

    def load_style(self, path: str | os.PathLike[str]) -> Style:
        """Reads a style that `Style.save` wrote.

        Raises:
          UserError: no such file, a damaged one, or a style of another model.
        """
        shapes = self._model.programs.key_shapes
        return load_style(path, self.fingerprint, self.model.architecture, shapes)

    @overload
    def __call__(
        self,
        content: str | os.PathLike[str] | Image.Image,
        style: Style | Picture | Sequence[Picture],
        *,
        alpha: float = ...,
        preserve_color: str = ...,
        masks: Sequence[Picture] | None = ...,
        content_mask: Picture | None = ...,
    ) -> Image.Image: ...

    @overload
    def __call__(
        self,
        content: np.ndarray | jax.Array,
        style: Style | Picture | Sequence[Picture],
        *,
        alpha: float = ...,
        preserve_color: str = ...,
        masks: Sequence[Picture] | None = ...,
        content_mask: Picture | None = ...,
    ) -> np.ndarray: ...

    def __call__(
        self,
        content: Picture,
        style: Style | Picture | Sequence[Picture],
        *,
        alpha: float = 1.0,
        preserve_color: str = "none",
        masks: Sequence[Picture] | None = None,
        content_mask: Picture | None = None,
    ) -> Any:
        """Paints the content in the style.

        Strength: up to 1 the picture is blended with the content, pixel by pixel. Of the ways to
        weaken a style this is the one that gives back the content at 0: over 30 pairs of
        photographs and paintings at 256², the structural similarity to the content at alpha 0 is 1,
        against 0.52 for blending with the features of the content stylized by itself and 0.43 for
        scaling what attention adds, and at 0.5 it is 0.64 against 0.44 and 0.40. Beyond 1, where
        pixels would only be clipped, what attention adds is scaled (O_i in F_cs = sum w_i O_i +
        F_c).

        Args:
          content: a path, a PIL image, or an array `[H, W, 3]` or `[b, H, W, 3]`, uint8 or floats
            in [0, 1].
          style: of `encode_style`; or a picture of any kind and size, or several that are blended
            equally; or with a batch of contents, an array of one style each.
          alpha: strength, 0 to 3.
          preserve_color: `"luminance"`: colors of the content, lightness of the result;
            `"match"`: the style is given the content's colors first; or `"none"`.
          masks: where each of several styles is painted, in their order, white on black.
          content_mask: where it is white, the content stays as it is.

        Returns:
          What the content was: a PIL image (for a path too), or an array of its shape and dtype.
          Floats are clipped to [0, 1]. A picture with transparency is painted as it looks on white,
          and the PIL image has its transparency.

        Raises:
          PictureError: a file cannot be read.
          UserError: an array is not a picture, or a choice does not exist.
        """
        _check_choices(alpha, preserve_color)
        pixels, transparency = as_layers(content, "content")
        if isinstance(style, Style):
            self._check_model(style)
        else:
            style = self.encode_style(style)
        if masks is not None and len(masks) != len(style):
            raise UserError(f"{len(masks)} masks for {len(style)} styles; give one for each.")
        for batch in {len(picture) for picture in style.pictures} - {1, len(pixels)}:
            raise UserError(
                f"{len(pixels)} contents and {batch} styles; give one style for each content, or "
                "one for all."
            )
        painted = self._stylized(pixels, style, alpha, preserve_color, masks)
        if content_mask is not None:
            mask = fit_mask(as_mask(content_mask), *pixels.shape[1:3])
            painted = keep_content(painted, pixels, mask)
        return as_kind_of(content, painted, transparency)

    @overload
    def stylize_many(
        self,
        contents: Iterable[str | os.PathLike[str] | Image.Image],
        styles: Iterable[Picture | Style],
        *,
        progress: bool = ...,
        alpha: float = ...,
        preserve_color: str = ...,
        content_mask: Picture | None = ...,
    ) -> Iterator[Stylized[Image.Image]]: ...

    @overload
    def stylize_many(
        self,
        contents: Iterable[np.ndarray | jax.Array],
        styles: Iterable[Picture | Style],
        *,
        progress: bool = ...,
        alpha: float = ...,
        preserve_color: str = ...,
        content_mask: Picture | None = ...,
    ) -> Iterator[Stylized[np.ndarray]]: ...

    def stylize_many(
        self,
        contents: Iterable[Any],
        styles: Iterable[Picture | Style],
        *,
        progress: bool = False,
        alpha: float = 1.0,
        preserve_color: str = "none",
        content_mask: Picture | None = None,
    ) -> Iterator[Stylized[Any]]:
        """Paints every content in every style, one at a time.

        Styles are encoded once, before the first result, and stay in memory; contents are read when
        their turn comes.

        Args:
          contents: as `__call__` takes them, of any sizes; also without an end.
          styles: pictures, or styles of `encode_style`.
          progress: whether to show a progress bar, on stderr.
          alpha: as in `__call__`, and so are the others.
          preserve_color: as in `__call__`.
          content_mask: one for all contents.

        Yields:
          `Stylized(content, style, picture)`: two indices, and what `__call__` returns; all styles
          of the first content come first.

        Raises:
          PictureError: a file cannot be read; what came before has been yielded.
          UserError: as in `__call__`.
        """
        _check_choices(alpha, preserve_color)
        check_several(contents=contents, styles=styles)
        encoded = [self.encode_style(style) for style in styles]
        if isinstance(contents, list | tuple):
            self.prepare(sizes_of(contents))
        options: Any = dict(alpha=alpha, preserve_color=preserve_color, content_mask=content_mask)
        return stylize_many(partial(self, **options), contents, encoded, progress)

    def attention(
        self,
        content: Picture,
        style: Style | Picture,
        position: tuple[int, int],
        tap: str = "relu4_1",
    ) -> AttentionMaps:
        """Returns what a pixel of a content attends to in a style (Figure 6).

        Args:
          content: one picture, as above.
          style: one picture, or a style of one.
          position: row and column of the pixel.
          tap: whose attention it is, relu3_1, relu4_1 or relu5_1; with the blocks of training.

        Raises:
          PictureError: a file cannot be read.
          UserError: something is no picture, a place outside it, or no such tap.
        """
        seen = (
            to_float(style.pictures[0]) if isinstance(style, Style) else as_pixels(style, "style")
        )
        return attention_maps(self.model, as_pixels(content, "content"), seen, position, tap)

    def prepare(
        self,
        contents: Iterable[tuple[int, int]],
        styles: Iterable[tuple[int, int]] = (),
        *,
        block_policy: str = "trained",
        beforehand: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> list[Future]:
        """Chooses programs for pictures that are going to come, and begins to compile them.

        Without that they are chosen and compiled as pictures come, with more padding.

        Args:
          contents: heights and widths.
          styles: heights and widths of styles, which are going to be painted one at a time. Without
            them nothing is compiled yet.
          block_policy: as `encode_style` takes it.
          beforehand: long before they come: a program for every standard shape among them,
            compiled well, instead of few, compiled at once.
          tell: is called with a sentence before a program is compiled, now or later.

        Returns:
          A future, which may be cancelled, for each program that is being compiled; nobody need
          wait for them.
        """
        self._model.tell = tell
        return self._model.prepare(contents, styles, block_policy == "balanced", beforehand)

    def pairs(
        self, contents: Sequence[Image.Image], styles: Sequence[Image.Image]
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """Stylizes every pair of a few pictures; each style is encoded once.

        Yields:
          Index of the content, index of the style, and the result, uint8 `[H, W, 3]`.
        """
        encoded = [self.encode_style(style) for style in styles]
        for i, content in enumerate(contents):
            pixels = as_pixels(content, "content")[0]
            for j, style in enumerate(encoded):
                yield i, j, to_uint8(self(pixels, style))

    def _stylized(
        self,
        pixels: np.ndarray,
        style: Style,
        alpha: float,
        preserve_color: str,
        masks: Sequence[Picture] | None,
    ) -> np.ndarray:
        shares = _shares(style, max(alpha, 1), masks, size_of(pixels.shape))
        alone = len(style) == 1 and alpha <= 1
        if alpha == 0:
            return pixels
        if preserve_color == "match":
            each = [
                self._model.paint(x[None], self._matched(style, i, x).keys, shares, alone)
                for i, x in enumerate(pixels)
            ]
            painted = np.concatenate(each)
        else:
            painted = self._model.paint(pixels, style.keys, shares, alone)
        painted = np.clip(painted, 0, 1)
        if preserve_color == "luminance":
            painted = keep_luminance(painted, pixels)
        return painted if alpha >= 1 else alpha * painted + (1 - alpha) * pixels

    def _check_model(self, style: Style) -> None:
        if style.model != self.fingerprint:
            raise UserError(
                f"The style was encoded by another model ({style.model[:12]}); encode it with "
                f"this one ({self.fingerprint[:12]})."
            )

    def _encoded(self, picture: np.ndarray, block_policy: str) -> Style:
        return Style(
            (self._model.keys(picture, block_policy == "balanced"),),
            (1.0,),
            (to_uint8(picture),),
            self.fingerprint,
            self.model.architecture,
            block_policy,
        )

    def _matched(self, style: Style, index: int, content: np.ndarray) -> Style:
        pictures = [match_color(to_float(one_of(p, index)[0]), content) for p in style.pictures]
        return self.encode_style(pictures, style.weights, block_policy=style.block_policy)


def _check_choices(alpha: float, preserve_color: str) -> None:
    try:
        is_strength = bool(0 <= alpha <= 3)
    except (TypeError, ValueError):  # text, or an array of several
        is_strength = False
    if not is_strength:
        raise UserError(f"alpha={alpha!r} is not a strength; use 0 (the content) to 3, usually 1.")
    if preserve_color not in COLORS:
        raise UserError(f"preserve_color={preserve_color!r}; choose one of {', '.join(COLORS)}.")


def _shares(
    style: Style, strength: float, masks: Sequence[Picture] | None, size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Returns by tap how much of each style every point takes, `[k, 1, 1]` or `[k, H, W]`."""
    if masks is None:
        weights = np.asarray(style.weights, np.float32)[:, None, None] * np.float32(strength)
        return dict.fromkeys(STYLED_TAPS, weights)
    whole = style_masks([as_mask(mask) for mask in masks], *size)
    sizes = tap_sizes(size)
    return {tap: np.float32(strength) * reduce_mask(whole, *sizes[tap]) for tap in STYLED_TAPS}


def _unpickled(
    architecture: Architecture, arrays: dict[str, np.ndarray], options: dict[str, Any]
) -> Stylizer:
    template = StyA2K(architecture, rngs=None)
    return Stylizer(cast(StyA2K, with_arrays(template, arrays, "the pickled model")), **options)
