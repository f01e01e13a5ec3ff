"""Small pictures for a report: grids, single pairs, and the best and worst pairs."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from stya2k_jax.errors import PictureError
from stya2k_jax.pictures.names import Pair
from stya2k_jax.reports.metric_tables import LOWER_IS_BETTER, heading
from stya2k_jax.reports.page import macro

THUMBNAIL_PX = 256
EXTREMES = 3  # best and worst pairs shown for a metric


def small_jpeg(pixels: np.ndarray, size_px: int = THUMBNAIL_PX, quality: int = 80) -> str:
    """Returns uint8 `[H, W, 3]` as a JPEG in base64, made smaller if a side is over `size_px`."""
    image = Image.fromarray(pixels)
    image.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return base64.b64encode(buffer.getvalue()).decode()


class Thumbnails:
    """Pictures as data URLs, each made once."""

    def __init__(self, pixels_of: Callable[[Path], np.ndarray], size_px: int = THUMBNAIL_PX):
        """Takes what reads a picture as uint8 `[H, W, 3]`, and the longest side of one shown."""
        self._pixels_of, self._size_px, self._made = pixels_of, size_px, {}

    def keep(self, path: Path, pixels: np.ndarray) -> None:
        """Makes a thumbnail of a picture that somebody has read anyway."""
        if path not in self._made:
            self._made[path] = small_jpeg(pixels, self._size_px)

    def image(self, path: Path, title: str = "") -> str:
        """Returns an `<img>`, or the title where the picture cannot be read."""
        name = title or path.stem
        if path not in self._made:
            try:
                self.keep(path, self._pixels_of(path))
            except PictureError:  # counted among the failures
                return name
        return macro("image", name, self.source(path))

    def source(self, path: Path) -> str:
        """Returns the data URL of a picture.

        Raises:
          PictureError: it cannot be read.
        """
        if path not in self._made:
            self.keep(path, self._pixels_of(path))
        return f"data:image/jpeg;base64,{self._made[path]}"


def picture_grid(
    pictures: Mapping[Pair, Path],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    thumbnails: Thumbnails,
    system: str = "",
    *,
    named: bool = False,
) -> Markup:
    """Lays all pictures out: styles in the first row, contents in the first column.

    Args:
      pictures: the files of the pairs.
      contents: files by name.
      styles: files by name.
      thumbnails: make the small pictures.
      system: whose pictures they are.
      named: contents and styles have their names below, and all pictures are larger.
    """

    def cell(pair: Pair) -> str:
        return thumbnails.image(pictures[pair], pair.stem) if pair in pictures else "–"

    def source(name: str, path: Path) -> str:
        if not named:
            return thumbnails.image(path)
        name = name.replace("_", " ")
        return macro("captioned", thumbnails.image(path, name), name)

    head = [source(name, path) for name, path in styles.items()]
    rows = [
        (source(name, path), [cell(Pair(name, style)) for style in styles])
        for name, path in contents.items()
    ]
    return macro("grid", system, head, rows, "large" if named else "")


def pair_browser(
    rows: Iterable[Sequence[Mapping[str, Any]]], contents: Iterable[str], styles: Iterable[str]
) -> Markup:
    """Shows one chosen pair of all systems, with its numbers; takes the pictures from the grids.

    Args:
      rows: of each system whose `picture_grid` is on the page, in the order of the grids.
      contents: names in the order of the grids.
      styles: the same.
    """
    numbers = [
        {
            Pair(row["content"], row["style"]).stem: [
                f"{name.replace('_', ' ')} {row[name]:.3g}"
                for name in LOWER_IS_BETTER
                if name in row
            ]
            for row in found
        }
        for found in rows
    ]
    return macro("pair_browser", numbers, list(contents), list(styles))


def extremes(
    rows: Sequence[Mapping[str, Any]],
    name: str,
    lower: bool,
    pictures: Mapping[Pair, Path],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    thumbnails: Thumbnails,
) -> Markup:
    """Shows the best and the worst pairs by a metric, each with its content and style."""
    order = sorted(rows, key=lambda row: row[name], reverse=not lower)
    parts = Markup()
    for kind, chosen in (("Best", order[:EXTREMES]), ("Worst", order[EXTREMES:][-EXTREMES:])):
        figures = []
        for row in chosen:
            pair = Pair(row["content"], row["style"])
            three = (contents[pair.content], styles[pair.style], pictures[pair])
            images = [thumbnails.image(path) for path in three]
            figures.append((images, f"{pair.content}, {pair.style}: {row[name]:.4g}"))
        if figures:
            parts += macro("figures", f"{kind}: {heading(name)}", figures)
    return parts
