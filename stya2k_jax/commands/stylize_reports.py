"""What `stya2k stylize` says of its results: a line of JSON each, and one picture of all."""

import json
from typing import Any

import jax

from stya2k_jax.inference.results import Result
from stya2k_jax.pictures.contact_sheet import ContactSheet


def json_line(result: Result) -> str:
    """Returns one line: files, size, seconds and device of a result."""
    styles = [str(path) for path in result.styles]
    height, width = result.size
    row: dict[str, Any] = dict(
        content=str(result.content),
        style=styles[0] if len(styles) == 1 else styles,
        output=None if result.target is None else str(result.target),
        width=width,
        height=height,
        seconds=round(result.seconds, 3),
        device=jax.default_backend(),
    )
    if result.frames is not None:
        row["frames"] = result.frames
    return json.dumps(row)


def put_on_sheet(sheet: ContactSheet, result: Result) -> None:
    """Adds a picture to the sheet, with its content and style along the edges."""
    if result.shown is None:
        return  # a clip
    content, painted, style = result.shown
    row, column = str(result.content), "\n".join(map(str, result.styles))
    sheet.head_row(row, result.pair.content, content)
    sheet.head_column(column, result.pair.style, [picture[0] for picture in style.pictures])
    sheet.put(row, column, painted)
