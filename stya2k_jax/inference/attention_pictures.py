"""Attention maps as pictures over the style, after the paper's Figure 6.

Heads are averaged: logits, block scores and weights are shown as their mean over the heads, and of
the blocks that the heads choose the share of heads that chose each.
"""

import math
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stya2k_jax.errors import UserError
from stya2k_jax.files.atomic import whole_directory
from stya2k_jax.inference.attention_maps import AttentionMaps
from stya2k_jax.network.sizes import Size
from stya2k_jax.pictures.arrays import checked_range, to_uint8, write_png
from stya2k_jax.pictures.colors import lab_to_srgb

CELL_PX = 400  # longest side of a picture on the contact sheet
_COLUMNS = 4  # of it
_TILE_PX, _TILE_GAP_PX = 96, 8  # of enlarged blocks, about
_GAP_PX, _BAR_PX, _FONT_PX, _LINE_PX = 18, 12, 15, 20
_INK, _PAPER, _MARK = (34, 34, 34), (255, 255, 255), (255, 220, 0)
_HEAT = 0.65  # share of the heat map's color; the rest is the style in grey
_FAINT = (110, 110, 110)
_DIM = 0.5  # brightness of what is not the point's block
_TITLES = {  # letters of the parts of Figure 6
    "content_point": ("Content", "yellow: the point that attends"),
    "style": ("Style", "what it attends to"),
    "da_before": ("(e) Distributed, before softmax", "logit of each block's regional key"),
    "da_after": ("(f) Distributed, after softmax", "weight of each block"),
    "pa_region_before": ("(g) Progressive, regions, before argmax", "fit of each block"),
    "pa_region_after": (
        "(h) Progressive, regions, after argmax",
        "share of heads that chose the block",
    ),
    "pa_position": (
        "(i) Progressive, positions, after softmax",
        "weight of each point; white: the chosen blocks",
    ),
    "pa_blocks": ("(i) enlarged", "the chosen blocks alone, row by row"),
    "all_before": ("(b) All-to-all, before softmax", "logit of each point"),
    "all_after": ("(c) All-to-all, after softmax", "weight of each point"),
}


class _HeatMap(NamedTuple):
    """A map of the style before it becomes a picture.

    Attributes:
      values: mean over the heads, `[rows, columns]` of cells.
      cell_px: side of a cell, in pixels of the style.
      lowest: the value that is shown darkest.
    """

    values: np.ndarray
    cell_px: int
    lowest: float


def attention_pictures(
    maps: AttentionMaps, style_picture: np.ndarray, content_picture: np.ndarray
) -> dict[str, np.ndarray]:
    """Paints attention maps over the style.

    The style is shown in grey, the values above it in color: from dark violet over red to light
    yellow, in steps that look equally large. "Before" maps (of the softmax or the argmax) begin at
    their smallest value, "after" maps at 0; all end at their largest.

    Args:
      maps: what `attention_maps` returned.
      style_picture: the style, uint8 or floats in [0, 1], `[H', W', 3]`.
      content_picture: the same of the content, `[H, W, 3]`.

    Returns:
      Pictures by name, uint8. Of the content's size: `content_point`, where the point is framed,
      and its block where blocks attend together. Of the style's size, as far as the variant has
      them: `da_before` and `da_after`, logits and weights of distributed attention;
      `pa_region_before` and `pa_region_after`, fit of each block and the share of heads that chose
      it; `pa_position`, weights over the points of the chosen blocks, which are framed;
      `all_before` and `all_after`, logits and weights of all-to-all attention. `pa_blocks` is the
      chosen blocks of `pa_position` enlarged, and `contact_sheet` all of them with titles, scales
      and the style itself.

    Raises:
      UserError: something is no picture, or of another size than the maps are of.
    """
    style = _as_uint8(style_picture, "style_picture", maps.style_size)
    content = _as_uint8(content_picture, "content_picture", maps.content_size)
    heat_maps = _heat_maps(maps)
    pictures = {"content_point": _marked_point(content, maps)}
    for name, heat_map in heat_maps.items():
        pictures[name] = _over(style, heat_map)
    if maps.progressive is not None:
        side_px = maps.block_size * maps.point_px
        corners = np.unique(maps.progressive.chosen, axis=0) * side_px
        pictures["pa_blocks"] = _enlarged(pictures["pa_position"], corners, side_px)
        for corner in corners:
            _frame(pictures["pa_position"], corner, side_px, _PAPER)
    pictures["contact_sheet"] = _contact_sheet(pictures, style, heat_maps, maps)
    return pictures


def save_attention(directory: str | os.PathLike, pictures: Mapping[str, np.ndarray]) -> list[Path]:
    """Writes what `attention_pictures` returned as `directory/{name}.png`, all of it or nothing.

    Returns:
      The files.

    Raises:
      UserError: there is something at `directory` already, or it cannot be written.
    """
    directory = Path(directory)
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise UserError(f"{directory} exists and is not empty; give a new directory.")
    try:
        with whole_directory(directory) as filling:
            for name, picture in pictures.items():
                write_png(filling / f"{name}.png", picture)
    except OSError as error:
        raise UserError(f"{directory} cannot be written: {error.strerror or error}.") from error
    return [directory / f"{name}.png" for name in pictures]


def _heat_maps(maps: AttentionMaps) -> dict[str, _HeatMap]:
    point_px, found = maps.point_px, {}
    block_px = point_px * maps.block_size

    def add(name: str, values: np.ndarray, cell_px: int, lowest: float | None = 0.0) -> None:
        values = values.mean(axis=0)
        found[name] = _HeatMap(values, cell_px, float(values.min()) if lowest is None else lowest)

    if maps.distributed is not None:
        add("da_before", maps.distributed.logits, block_px, lowest=None)
        add("da_after", maps.distributed.weights, block_px)
    if maps.progressive is not None:
        scores, chosen, weights = maps.progressive
        if scores is not None:
            add("pa_region_before", scores, block_px, lowest=None)
        rows, columns = (-(-side // block_px) for side in maps.style_size)
        votes = np.zeros((len(chosen), rows, columns))
        votes[np.arange(len(chosen)), *chosen.T] = 1
        add("pa_region_after", votes, block_px)
        add("pa_position", weights, point_px)
    if maps.all_to_all is not None:
        add("all_before", maps.all_to_all.logits, point_px, lowest=None)
        add("all_after", maps.all_to_all.weights, point_px)
    return found


def _over(style: np.ndarray, heat_map: _HeatMap) -> np.ndarray:
    """Lays a heat map, cell by cell, over the style `[H', W', 3]` in grey."""
    values, cell_px, lowest = heat_map
    span = float(values.max()) - lowest
    heat = (values - lowest) / span if span > 0 else np.zeros_like(values)
    colors = heat_colors().astype(np.float32)[np.round(heat * 255).astype(int)]
    colors = colors.repeat(cell_px, axis=0).repeat(cell_px, axis=1)
    grey = np.asarray(Image.fromarray(style).convert("L"), np.float32)[..., None] / 255
    return to_uint8(_HEAT * colors[: style.shape[0], : style.shape[1]] + (1 - _HEAT) * grey)


@cache
def heat_colors() -> np.ndarray:
    """Returns 256 colors from dark violet over red to light yellow, sRGB in [0, 1], `[256, 3]`.

    Lightness rises all along, so that they are in order in grey print and for the color-blind,
    too; neighbours are equally far apart in CIELAB.
    """
    t = np.linspace(0, 1, 4096)
    hue = np.deg2rad(300 + 155 * t)
    chroma = 30 + 148 * t * (1 - t)  # within sRGB all along
    lab = np.stack([10 + 84 * t, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    way = np.concatenate([[0], np.linalg.norm(np.diff(lab, axis=0), axis=1).cumsum()])
    even = np.interp(np.linspace(0, way[-1], 256), way, t)
    return lab_to_srgb(np.stack([np.interp(even, t, axis) for axis in lab.T], axis=-1))


def _marked_point(content: np.ndarray, maps: AttentionMaps) -> np.ndarray:
    """Frames the point and, where blocks attend together, its block; the rest is darker."""
    point, point_px = np.array(maps.point), maps.point_px
    corner, side_px = point * point_px, point_px
    if maps.progressive is not None:
        side_px = maps.block_size * point_px
        corner = corner // side_px * side_px
    picture = to_uint8(content.astype(np.float32) / 255 * _DIM)
    inside = tuple(map(slice, corner, corner + side_px))
    picture[inside] = content[inside]
    _frame(picture, corner, side_px, _PAPER)
    _frame(picture, point * point_px, point_px, _MARK)
    return picture


def _frame(
    picture: np.ndarray, corner: np.ndarray, side_px: int, color: tuple[int, int, int]
) -> None:
    """Draws a frame around a square of a picture `[H, W, 3]`, in place."""
    line_px = max(1, round(min(picture.shape[:2]) / 200))
    ends = np.array(picture.shape[:2])
    first = np.maximum(corner, line_px)
    last = np.maximum(np.minimum(corner + side_px, ends - line_px), first)

    def grown(by_px: int) -> tuple[slice, slice]:
        rows, columns = map(slice, np.maximum(first - by_px, 0), last + by_px)
        return rows, columns

    inside = picture[grown(0)].copy()
    picture[grown(line_px + 1)] = _INK
    picture[grown(line_px)] = color
    picture[grown(0)] = inside


def _enlarged(picture: np.ndarray, corners: np.ndarray, side_px: int) -> np.ndarray:
    """Lays squares of a picture `[H, W, 3]` out on white, row by row and enlarged."""
    factor = max(1, round(_TILE_PX / side_px))
    columns = math.ceil(math.sqrt(2 * len(corners)))
    rows, pitch = -(-len(corners) // columns), side_px * factor + _TILE_GAP_PX
    size = rows * pitch - _TILE_GAP_PX, columns * pitch - _TILE_GAP_PX
    sheet = np.full((*size, 3), _PAPER, np.uint8)
    for i, (top, left) in enumerate(corners):
        tile = picture[top : top + side_px, left : left + side_px]
        tile = tile.repeat(factor, axis=0).repeat(factor, axis=1)
        row, column = i // columns * pitch, i % columns * pitch
        sheet[row : row + tile.shape[0], column : column + tile.shape[1]] = tile
    return sheet


def _contact_sheet(
    pictures: Mapping[str, np.ndarray],
    style: np.ndarray,
    heat_maps: Mapping[str, _HeatMap],
    maps: AttentionMaps,
) -> np.ndarray:
    """Lays pictures out with titles and scales, row by row."""
    titles, scales = dict(_TITLES), dict(heat_maps)
    if maps.progressive is not None:
        scales["pa_blocks"] = scales["pa_position"]
        content, point = titles["content_point"]
        titles["content_point"] = (content, f"{point}; white: its block")
        if maps.progressive.scores is None:
            titles["pa_region_after"] = ("Progressive, no step 1", "the block at the same place")
    shown = {"content_point": pictures["content_point"], "style": style, **pictures}
    cells = [_cell(titles[name], shown[name], scales.get(name)) for name in shown]
    rows = [cells[i : i + _COLUMNS] for i in range(0, len(cells), _COLUMNS)]
    tops = np.cumsum([_GAP_PX] + [max(cell.height for cell in row) + _GAP_PX for row in rows])
    pitch = CELL_PX + _GAP_PX
    size = min(len(cells), _COLUMNS) * pitch + _GAP_PX, int(tops[-1]) + _LINE_PX + _GAP_PX
    sheet = Image.new("RGB", size, _PAPER)
    for i, cell in enumerate(cells):
        sheet.paste(cell, (_GAP_PX + i % _COLUMNS * pitch, int(tops[i // _COLUMNS])))
    ImageDraw.Draw(sheet).text((_GAP_PX, int(tops[-1])), _caption(maps), _INK, _font())
    return np.asarray(sheet)


def _caption(maps: AttentionMaps) -> str:
    path = maps.distributed or maps.progressive or maps.all_to_all
    assert path is not None  # every variant has one
    heads = len(path.weights)
    return (
        f"{maps.tap}, content pixel at row {maps.position[0]}, column {maps.position[1]}. "
        f"A point is {maps.point_px} x {maps.point_px} pixels"
        + (
            f", a block {maps.block_size} x {maps.block_size} points. "
            if not maps.all_to_all
            else ". "
        )
        + (f"Values are means over {heads} heads." if heads > 1 else "There is one head.")
    )


def _cell(title: tuple[str, str], picture: np.ndarray, heat_map: _HeatMap | None) -> Image.Image:
    """Puts a title above a picture and, below a heat map, its scale."""
    factor = CELL_PX / max(picture.shape[:2])
    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    method = Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.NEAREST
    shown = Image.fromarray(picture).resize((width, height), method)
    title_px = 2 * _LINE_PX + 4
    cell = Image.new("RGB", (CELL_PX, title_px + height + 4 + _BAR_PX + _LINE_PX + 2), _PAPER)
    draw = ImageDraw.Draw(cell)
    for i, (text, ink) in enumerate(zip(title, (_INK, _FAINT), strict=True)):
        draw.text((0, i * _LINE_PX), text, ink, _font())
    cell.paste(shown, (0, title_px))
    if heat_map is not None:
        bar = to_uint8(_HEAT * heat_colors()[None] + (1 - _HEAT) / 2)  # as above middle grey
        top = title_px + height + 4
        cell.paste(Image.fromarray(bar).resize((width, _BAR_PX)), (0, top))
        for text, x, anchor in (
            (f"{heat_map.lowest:.3g}", 0, "la"),
            (f"{heat_map.values.max():.3g}", width, "ra"),
        ):
            draw.text((x, top + _BAR_PX + 2), text, _INK, _font(), anchor=anchor)
    return cell


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_PX)


def _as_uint8(picture: np.ndarray, name: str, size: Size) -> np.ndarray:
    """Returns a picture `[H, W, 3]` of that size as uint8."""
    array = np.asarray(picture)
    if array.shape != (*size, 3):
        raise UserError(
            f"{name} has shape {array.shape}; the maps are of a picture of {size[0]}x{size[1]} "
            f"pixels, so expected [{size[0]}, {size[1]}, 3]."
        )
    return array if array.dtype == np.uint8 else to_uint8(checked_range(array, name))
