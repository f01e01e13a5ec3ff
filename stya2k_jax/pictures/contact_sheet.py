"""Many pictures in one: rows and columns, with sources and names along the edges."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stya2k_jax.errors import UserError

CELL_PX = 256
MOST_CELLS = 2000
_GAP_PX = 8
_NAME_PX = 20  # height of a line with a name
_INK, _PAPER = (60, 60, 60), (255, 255, 255)


def check_fits(rows: int, columns: int) -> None:
    """Raises a UserError for more pictures than a sheet holds."""
    if rows * columns > MOST_CELLS:
        raise UserError(
            f"A sheet of {rows}x{columns} pictures is too large; give at most {MOST_CELLS} pairs."
        )


class _Edge(NamedTuple):
    """The head of a row or column; both parts may be empty."""

    picture: Image.Image
    name: str

    @property
    def height(self) -> int:
        return self.picture.height + (_NAME_PX if self.name else 0)


class ContactSheet:
    """Small copies of pictures in rows and columns, such as contents and styles.

    Rows and columns are in the order in which they were first used.
    """

    def __init__(self, cell_px: int = CELL_PX):
        """Takes the side in pixels that no copy exceeds."""
        self._cell_px = cell_px
        self._rows: dict[str, _Edge] = {}
        self._columns: dict[str, _Edge] = {}
        self._inner: dict[tuple[str, str], Image.Image] = {}

    def __len__(self) -> int:
        """Returns how many pictures there are, not counting the edges."""
        return len(self._inner)

    def head_row(self, key: str, name: str, picture: np.ndarray) -> None:
        """Puts a name and a picture, uint8 `[H, W, 3]`, at the left of a row, if it has none."""
        self._rows.setdefault(key, _Edge(self._small(picture), name))

    def head_column(self, key: str, name: str, pictures: Sequence[np.ndarray]) -> None:
        """Puts a name and a picture on top of a column, if it has none; several are a blend."""
        self._columns.setdefault(key, _Edge(self._small(_side_by_side(pictures)), name))

    def put(self, row: str, column: str, picture: np.ndarray) -> None:
        """Puts a picture, uint8 `[H, W, 3]`, where a row and a column meet."""
        self._rows.setdefault(row, _Edge(Image.new("RGB", (0, 0)), ""))
        self._columns.setdefault(column, _Edge(Image.new("RGB", (0, 0)), ""))
        self._inner[row, column] = self._small(picture)

    def image(self) -> Image.Image:
        """Returns the sheet, RGB on white; where nothing was put, it is empty."""
        tops, lefts = self._columns, self._rows
        widths = {key: edge.picture.width for key, edge in tops.items()}
        heights = {key: edge.height for key, edge in lefts.items()}
        for (row, column), image in self._inner.items():
            widths[column] = max(widths[column], image.width)
            heights[row] = max(heights[row], image.height)
        left_px = max((edge.picture.width for edge in lefts.values()), default=0)
        top_px = max((edge.height for edge in tops.values()), default=0)
        xs, right = _places(left_px, widths)
        ys, bottom = _places(top_px, heights)
        sheet = Image.new("RGB", (right, bottom), _PAPER)
        for key, edge in tops.items():  # the names are on one line
            line = _GAP_PX + top_px - _NAME_PX if edge.name else _GAP_PX + top_px
            sheet.paste(edge.picture, (xs[key], line - edge.picture.height))
            _write(sheet, edge.name, xs[key], line, widths[key])
        for key, edge in lefts.items():
            sheet.paste(edge.picture, (_GAP_PX, ys[key]))
            _write(sheet, edge.name, _GAP_PX, ys[key] + edge.picture.height, left_px)
        for (row, column), image in self._inner.items():
            sheet.paste(image, (xs[column], ys[row]))
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


def _places(edge_px: int, sizes_px: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Returns where things of these sizes begin behind an edge, with gaps, and where all end."""
    at = _GAP_PX + (edge_px + _GAP_PX if edge_px else 0)
    starts = {}
    for key, size in sizes_px.items():
        starts[key] = at
        at += size + _GAP_PX
    return starts, at


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
