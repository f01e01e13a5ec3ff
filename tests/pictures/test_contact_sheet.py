"""Sheets: every picture where its row and column meet, with sources along the edges."""

import numpy as np
import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.pictures.contact_sheet import MOST_CELLS, ContactSheet, check_fits

COLORS = {
    name: np.array(value, np.uint8)
    for name, value in dict(a=(200, 0, 0), b=(0, 200, 0), x=(0, 0, 200), y=(200, 200, 0)).items()
}


def flat(color, height=40, width=40) -> np.ndarray:
    return np.broadcast_to(np.asarray(color, np.uint8), (height, width, 3)).copy()


def places(image: np.ndarray, color) -> tuple[slice, slice]:
    """Returns rows and columns of the rectangle that has this color."""
    is_there = (image == np.asarray(color)).all(axis=2)
    rows, columns = np.flatnonzero(is_there.any(axis=1)), np.flatnonzero(is_there.any(axis=0))
    assert is_there[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


@pytest.fixture
def sheet():
    sheet = ContactSheet(cell_px=40)
    for row in "ab":
        sheet.head_row(row, f"content {row}", flat(COLORS[row]))
    for column in "xy":
        sheet.head_column(column, f"style {column}", [flat(COLORS[column], 20, 40)])
    for row in "ab":
        for column in "xy":
            sheet.put(row, column, flat(COLORS[row] // 2 + COLORS[column] // 2, 30, 40))
    return sheet


def test_each_result_is_beside_its_content_and_below_its_style(sheet):
    image = np.asarray(sheet.image())
    assert len(sheet) == 4
    for row in "ab":
        for column in "xy":
            at = places(image, COLORS[row] // 2 + COLORS[column] // 2)
            content, style = places(image, COLORS[row]), places(image, COLORS[column])
            assert at[0].start == content[0].start and content[1].stop < at[1].start
            assert at[1] == style[1] and style[0].stop < at[0].start
            assert (at[0].stop - at[0].start, at[1].stop - at[1].start) == (30, 40)


def test_names_are_written_and_cut_where_they_are_too_long():
    sheets = []
    for name in ("m", "m" * 300, "m" * 301):
        sheet = ContactSheet(cell_px=60)
        sheet.head_row("a", name, flat(COLORS["a"], 60, 60))
        sheet.put("a", "x", flat(COLORS["x"], 60, 60))
        sheets.append(np.asarray(sheet.image()))
    short, long, longer = sheets
    assert short.shape == long.shape and (short != long).any()
    np.testing.assert_array_equal(long, longer)
    assert (long[:, :8] == 255).all() and (long[:, 68:76] == 255).all()  # the gaps


def test_large_pictures_are_made_small_with_their_aspect_and_small_ones_stay():
    sheet = ContactSheet(cell_px=64)
    sheet.put("r", "wide", flat((9, 9, 9), 100, 400))
    sheet.put("r", "small", flat((70, 7, 7), 5, 3))
    image = np.asarray(sheet.image())
    for color, shape in (((9, 9, 9), (16, 64)), ((70, 7, 7), (5, 3))):
        at = places(image, color)
        assert tuple(part.stop - part.start for part in at) == shape


def test_a_blend_is_shown_as_strips_of_its_pictures():
    sheet = ContactSheet(cell_px=40)
    sheet.head_column("x", "a+b", [flat(COLORS["a"]), flat(COLORS["b"], 10, 90)])
    sheet.put("r", "x", flat((9, 9, 9)))
    image = np.asarray(sheet.image())
    left, right = places(image, COLORS["a"]), places(image, COLORS["b"])
    assert left[0] == right[0] and left[1].stop == right[1].start
    assert left[1].stop - left[1].start == right[1].stop - right[1].start == 20


def test_names_that_are_no_text_are_drawn_all_the_same():
    sheet = ContactSheet()
    sheet.head_row("r", "\udcff\n日本", flat((9, 9, 9)))
    sheet.put("r", "c", flat((9, 9, 9)))
    assert sheet.image().width > 80


def test_what_is_missing_is_left_white(sheet):
    sheet = ContactSheet(cell_px=40)
    sheet.put("a", "x", flat(COLORS["a"]))
    sheet.put("b", "y", flat(COLORS["b"]))
    image = np.asarray(sheet.image())
    first, second = places(image, COLORS["a"]), places(image, COLORS["b"])
    assert (image[first[0], second[1]] == 255).all() and (image[second[0], first[1]] == 255).all()


def test_a_sheet_has_a_limit():
    check_fits(40, MOST_CELLS // 40)
    with pytest.raises(UserError, match="A sheet of 41x50 pictures is too large; give at most"):
        check_fits(41, MOST_CELLS // 40)
