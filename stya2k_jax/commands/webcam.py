"""Serves a page that paints what the camera sees, until Ctrl-C."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from absl import flags
from PIL import Image

from stya2k_jax.commands import command_line, compile_cache
from stya2k_jax.demo.camera_server import STYLE_PX, serve_camera
from stya2k_jax.demo.server import listen
from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.inference.warming import common_sizes
from stya2k_jax.pictures.named import ALL, DRAWN, named_pictures
from stya2k_jax.pictures.reading import find_all, read_picture
from stya2k_jax.pictures.resizing import as_square
from stya2k_jax.weights.loading import MINI, load

_HOST = "127.0.0.1"  # browsers give a page of another machine no camera without https
_FRAME_PX, _FRAME_ASPECTS = 240, (4 / 3, 16 / 9)
_MOST_STYLES = 24


def main() -> None:
    """Serves the page until Ctrl-C."""
    style = flags.DEFINE_multi_string(
        "style", [], f"Painting, folder or drawn:NAME; repeatable; default: {DRAWN}{ALL}."
    )
    port = flags.DEFINE_integer(
        "port", 7861, "Port to listen on.", lower_bound=1, upper_bound=2**16 - 1
    )
    checkpoint = flags.DEFINE_string("checkpoint", MINI, "The model that paints.")
    cache = flags.DEFINE_string(
        "compile_cache", None, "Directory for compiled programs; '' for none; default: ~/.cache."
    )

    def run(argv: Sequence[str]) -> None:
        styles = find_styles([*argv[1:], *style.value] or [DRAWN + ALL])
        compile_cache.use(cache.value)
        with listen(_HOST, port.value) as listener:
            stylizer = Stylizer(load(checkpoint.value))
            sizes = common_sizes(_FRAME_PX, _FRAME_ASPECTS)[: len(_FRAME_ASPECTS)]
            stylizer.prepare(sizes, [(STYLE_PX, STYLE_PX)], beforehand=True)
            serve_camera(stylizer, styles, listener)

    command_line.run(run, "[STYLE ...]")


def find_styles(texts: Iterable[str]) -> dict[str, Image.Image]:
    """Reads styles as squares, by name; complains of those that cannot be read.

    Args:
      texts: files, folders, and `drawn:NAME` as `pictures.named` knows them.

    Raises:
      UserError: something is not there, there are too many, or none can be read.
    """
    styles: dict[str, Image.Image] = {}
    for text in texts:
        if text.startswith(DRAWN):
            drawn = named_pictures(text, sys.stdin.buffer)
            found = [(picture.name, picture.layers.rgb) for picture in drawn.values()]
        else:
            paths = find_all([text])
            _check_number(len(styles) + len(paths))
            found = _read_all(paths)
        for name, image in found:
            styles[_free(name, styles)] = as_square(image, STYLE_PX)
        _check_number(len(styles))
    if not styles:
        raise UserError("None of these paintings can be read; name others.")
    return styles


def _check_number(count: int) -> None:
    if count > _MOST_STYLES:
        raise UserError(f"These are {count} paintings; name at most {_MOST_STYLES}.")


def _read_all(paths: list[Path]) -> list[tuple[str, Image.Image]]:
    found = []
    for path in paths:
        try:
            found.append((path.name, read_picture(path)))
        except PictureError as error:
            command_line.complain(str(error))
    return found


def _free(name: str, taken: Iterable[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free
