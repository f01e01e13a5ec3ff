"""Many pictures in one: rows and columns, with the sources and their names along the edges."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stya2k_jax.errors import UserError

CELL_PX = 256
MOST_CELLS = 2000
_GAP_PX = 8
_NAME_PX = 20  # height of a line with a name
_INK, _PAPER = (60, 60, 60), (255, 255, 255)


class _Cell(NamedTuple):
    picture: Image.Image
    name: str


class ContactSheet:
    """Small copies of results, in a row for each content and a column for each style.

    Rows and columns are in the order in which they were first used.
    """

    def __init__(self, cell_px: int = CELL_PX):
        """Takes the side in pixels that no copy exceeds."""
        self._cell_px = cell_px
        self._rows: dict[str, _Cell] = {}
        self._columns: dict[str, _Cell] = {}
        self._inner: dict[tuple[str, str], Image.Image] = {}

    def __len__(self) -> int:
        """Returns how many results there are."""
        return len(self._inner)

    def row(self, key: str, name: str, picture: np.ndarray) -> None:
        """Names a row and puts its source, uint8 `[H, W, 3]`, at its left."""
        if key not in self._rows:
            self._rows[key] = _Cell(self._small(picture), name)

    def column(self, key: str, name: str, pictures: Sequence[np.ndarray]) -> None:
        """Names a column and puts its source on top; several pictures are a blend."""
        if key not in self._columns:
            self._columns[key] = _Cell(self._small(_side_by_side(pictures)), name)

    def put(self, row: str, column: str, picture: np.ndarray) -> None:
        """Puts a result, uint8 `[H, W, 3]`, where a row and a column meet.

        Raises:
          UserError: there are `MOST_CELLS` already.
        """
        if len(self._inner) == MOST_CELLS:
            raise UserError(
                f"A sheet holds at most {MOST_CELLS} pictures; give fewer contents or styles."
            )
        self._inner[row, column] = self._small(picture)

    def image(self) -> Image.Image:
        """Returns the sheet, RGB on white; where nothing was put, it is empty."""
        tops, lefts = list(self._columns.values()), list(self._rows.values())
        left_px = max((cell.picture.width for cell in lefts), default=0)
        widths = [
            max(
                [self._columns[key].picture.width]
                + [image.width for (_, column), image in self._inner.items() if column == key]
            )
            for key in self._columns
        ]
        heights = [
            max(
                [self._rows[key].picture.height + _NAME_PX]
                + [image.height for (row, _), image in self._inner.items() if row == key]
            )
            for key in self._rows
        ]
        top_px = max((cell.picture.height for cell in tops), default=0) + _NAME_PX
        xs, ys = _places([left_px, *widths]), _places([top_px, *heights])
        sheet = Image.new("RGB", (xs[-1], ys[-1]), _PAPER)
        for x, width, cell in zip(xs[1:], widths, tops, strict=False):
            sheet.paste(cell.picture, (x, ys[1] - _GAP_PX - _NAME_PX - cell.picture.height))
            _write(sheet, cell.name, x, ys[1] - _GAP_PX - _NAME_PX, width)
        for y, cell in zip(ys[1:], lefts, strict=False):
            sheet.paste(cell.picture, (xs[0], y))
            _write(sheet, cell.name, xs[0], y + cell.picture.height, left_px)
        for (row, column), image in self._inner.items():
            at = list(self._columns).index(column), list(self._rows).index(row)
            sheet.paste(image, (xs[1 + at[0]], ys[1 + at[1]]))
        return sheet

    def _small(self, picture: np.ndarray) -> Image.Image:
        image = Image.fromarray(picture)
        image.thumbnail((self._cell_px,) * 2, Image.Resampling.LANCZOS)
        return image


def _side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Cuts a vertical strip out of each picture, as high as the first."""
    first = pictures[0]
    if len(pictures) == 1:
        return first
    size = first.shape[1], first.shape[0]
    edges = np.linspace(0, size[0], len(pictures) + 1).astype(int)
    strips = []
    for picture, left, right in zip(pictures, edges[:-1], edges[1:], strict=True):
        resized = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
        strips.append(np.asarray(resized)[:, left:right])
    return np.concatenate(strips, axis=1)


def _places(sizes_px: Sequence[int]) -> list[int]:
    """Returns where things of these sizes begin, with gaps between, and where all of them end."""
    starts = np.cumsum([_GAP_PX, *(size + _GAP_PX if size else 0 for size in sizes_px)])
    return [int(start) for start in starts]


def _write(sheet: Image.Image, name: str, x: int, y: int, width_px: int) -> None:
    """Writes a name on one line, cut where it is too long."""
    font = ImageFont.load_default(13)
    draw = ImageDraw.Draw(sheet)
    # A name of a file may hold bytes that are no text, and breaks of lines.
    name = " ".join(name.encode("utf-8", "replace").decode().split())
    shown = name
    while name and draw.textlength(shown, font) > width_px:
        name = name[:-1]
        shown = f"{name}…"
    draw.text((x, y + 2), shown, _INK, font)
