"""Lists the pictures that the project draws itself, for `stya2k stylize photo.jpg drawn:NAME`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.commands.stylize_arguments import check_format
from stya2k_jax.pictures.contact_sheet import ContactSheet
from stya2k_jax.pictures.named import ALL, DRAWN
from stya2k_jax.pictures.synthetic import CONTENTS, STYLES, draw
from stya2k_jax.pictures.writing import write_picture

LOOKS = {
    "hatching": "strokes of one ink on a colored ground",
    "mosaic": "small tiles with dark joints",
    "ink_wash": "washes of thin color with dark rims",
    "stained_glass": "glowing panes in lead",
    "waves": "flowing bands of brush strokes",
    "landscape": "hills under a sky, as a content",
    "still_life": "round things on a table, as a content",
}
VERSIONS = ("_2", "_3", "_4")  # on the sheet


def main() -> None:
    """Prints the names, and paints them where asked for."""
    sheet = flags.DEFINE_string("sheet", None, "File for one picture of them all.")

    def run(_: Sequence[str]) -> None:
        if sheet.value is not None:
            check_format(Path(sheet.value).suffix)
            write_picture(sheet.value, np.asarray(drawn_sheet().image()))
        for name in STYLES + CONTENTS:
            print(f"{DRAWN}{name:14} {LOOKS[name]}")
        print(
            f"{DRAWN}{ALL:14} one of each style\n\n"
            f"A number gives other shapes and colors: {DRAWN}{STYLES[-1]}_2, _3 and so on."
        )
        if sheet.value is not None:
            print(f"The sheet is {sheet.value}")

    command_line.run(run)


def drawn_sheet() -> ContactSheet:
    """Returns a sheet with each kind in a row, and a few of its versions."""
    sheet = ContactSheet()
    for kind in STYLES + CONTENTS:
        sheet.head_row(kind, kind, draw(kind))
        for version in VERSIONS:
            sheet.put(kind, version, draw(kind + version))
    return sheet
