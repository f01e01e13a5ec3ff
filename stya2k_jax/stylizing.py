"""The public verb: pictures of any kind in, stylized pictures of the same kind out."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image
from tqdm import tqdm

from stya2k_jax.errors import UserError
from stya2k_jax.images import (
    PictureError,
    read_picture,
    resize_short_side,
    to_float,
    to_rgb,
    to_uint8,
    write_png,
)
from stya2k_jax.model import StyA2K, check_pictures

Picture = str | os.PathLike | Image.Image | np.ndarray | jax.Array

STYLES_AT_ONCE = 8  # whose keys are kept in memory while all contents pass


class Stylizer:
    """Stylizes paths, PIL images and arrays with a model.

    The network is compiled once for each size of content and of style.
    """

    def __init__(self, model: StyA2K):
        """Takes a model as `stya2k_jax.load` returns it."""
        graph, self._state = nnx.split(model)

        @jax.jit
        def style_keys(state: nnx.State, style: jax.Array) -> dict:
            model = nnx.merge(graph, state)
            return model.painter.keys(model.encoder(style))

        @jax.jit
        def paint(state: nnx.State, content: jax.Array, keys: dict) -> jax.Array:
            model = nnx.merge(graph, state)
            return model.painter(model.encoder(content), keys, *content.shape[1:3])

        self._style_keys, self._paint = style_keys, paint

    def __call__(self, content: Picture, style: Picture) -> Any:
        """Paints the content in the style.

        Args:
          content: a path, a PIL image, or an array `[H, W, 3]` or `[b, H, W, 3]`, uint8 or floats
            in [0, 1].
          style: the same, of any size; with a batch of contents, one style for all or one each.

        Returns:
          What the content was: a PIL image (for a path too), or an array of its shape and dtype.
          Floats are clipped to [0, 1].

        Raises:
          PictureError: a file cannot be read.
          UserError: an array is not a picture.
        """
        pixels = as_pixels(content, "content")
        style_pixels = as_pixels(style, "style")
        if len(style_pixels) == 1:
            style_pixels = np.repeat(style_pixels, len(pixels), axis=0)
        check_pictures(pixels, style_pixels)
        painted = self._paint(self._state, pixels, self._style_keys(self._state, style_pixels))
        return _as_kind_of(content, np.asarray(painted))

    def pairs(
        self, contents: Sequence[Image.Image], styles: Sequence[Image.Image]
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """Stylizes every pair of a few pictures; each style is encoded once.

        Yields:
          Index of the content, index of the style, and the result, uint8 `[H, W, 3]`.
        """
        keys = [self._style_keys(self._state, to_float(style)[None]) for style in styles]
        for i, content in enumerate(contents):
            pixels = to_float(content)[None]
            for j, style in enumerate(keys):
                yield i, j, to_uint8(self._paint(self._state, pixels, style)[0])


def stylize_files(
    stylizer: Stylizer,
    contents: Sequence[Path],
    styles: Sequence[Path],
    output: Path,
    *,
    content_size: int,
    style_size: int,
) -> dict[Path, str]:
    """Stylizes every pair of files as `output/{content}_stylized_{style}.png`, with a progress bar.

    Args:
      stylizer: the model.
      contents: picture files.
      styles: picture files.
      output: directory, made where needed.
      content_size: short side in pixels to which contents are resized; 0 keeps their size.
      style_size: the same for styles.

    Returns:
      Each file that could not be read, with the reason; the pairs it is in are missing.

    Raises:
      UserError: two contents or two styles of one name, whose results would overwrite each other.
    """
    for kind, paths in (("contents", contents), ("styles", styles)):
        refuse_equal_names(kind, paths)
    output.mkdir(parents=True, exist_ok=True)
    failures: dict[Path, str] = {}
    with tqdm(total=len(contents) * len(styles), unit="picture") as progress:
        for first in range(0, len(styles), STYLES_AT_ONCE):
            some = _read_all(styles[first : first + STYLES_AT_ONCE], style_size, failures)
            for path in contents:
                content = _read_all([path], content_size, failures)
                for _, j, picture in stylizer.pairs(list(content.values()), list(some.values())):
                    name = f"{path.stem}_stylized_{list(some)[j].stem}.png"
                    write_png(output / name, picture)
                    progress.update()
    return failures


def refuse_equal_names(kind: str, paths: Sequence[Path]) -> None:
    """Raises a UserError if two different files have one name but for their suffix."""
    seen: dict[str, Path] = {}
    for path in paths:
        if seen.setdefault(path.stem, path) != path:
            raise UserError(
                f"Two {kind} are called {path.stem!r}: {seen[path.stem]} and {path}. Their results "
                "would have one name; rename one of them."
            )


def as_pixels(picture: Picture, name: str) -> np.ndarray:
    """Returns a picture of any kind as float32 `[b, H, W, 3]` in [0, 1].

    Raises:
      PictureError: a file cannot be read.
      UserError: an array has another shape, type or range.
    """
    if isinstance(picture, str | os.PathLike):
        return to_float(read_picture(picture))[None]
    if isinstance(picture, Image.Image):
        return to_float(to_rgb(picture))[None]
    if not isinstance(picture, np.ndarray | jax.Array):
        raise UserError(
            f"{name} is a {type(picture).__name__}; expected a path, a PIL image or an array."
        )
    array = np.asarray(picture)
    if array.ndim not in (3, 4) or array.shape[-1] != 3 or not array.size:
        raise UserError(
            f"{name} has shape {array.shape}; expected [height, width, 3] or "
            "[batch, height, width, 3]."
        )
    if array.dtype != np.uint8 and not jnp.issubdtype(array.dtype, jnp.floating):
        raise UserError(f"{name} is of {array.dtype}; expected uint8, or floats in [0, 1].")
    pixels = array.astype(np.float32) / (255 if array.dtype == np.uint8 else 1)
    low, high = pixels.min(), pixels.max()
    if not (-0.5 <= low and high <= 1.5):  # resizing may overshoot a little
        raise UserError(f"{name} ranges from {low:g} to {high:g}; expected floats in [0, 1].")
    return pixels.reshape(-1, *array.shape[-3:])


def _as_kind_of(content: Picture, painted: np.ndarray) -> Any:
    if isinstance(content, str | os.PathLike | Image.Image):
        return Image.fromarray(to_uint8(painted[0]))
    shape, dtype = content.shape, np.dtype(content.dtype)
    if dtype == np.uint8:
        return to_uint8(painted).reshape(shape)
    return np.clip(painted, 0, 1).astype(dtype).reshape(shape)


def _read_all(
    paths: Sequence[Path], size_px: int, failures: dict[Path, str]
) -> dict[Path, Image.Image]:
    pictures = {}
    for path in paths:
        try:
            pictures[path] = resize_short_side(read_picture(path), size_px)
        except PictureError as error:
            failures[path] = str(error)
    return pictures
