"""Pictures that are asked for by a name instead of a file: `drawn:waves`, and `-`, the input."""

from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

from stya2k_jax.errors import PictureError
from stya2k_jax.pictures.reading import Layers, decode_layers
from stya2k_jax.pictures.synthetic import STYLES, draw

DRAWN = "drawn:"
ALL = "all"  # of the kinds of drawn styles
STDIN = "-"
_DRAWN_PX = 512


class Named(NamedTuple):
    """A picture that is no file.

    Attributes:
      name: stands for it in the names of results.
      layers: the picture.
    """

    name: str
    layers: Layers


def is_named(text: str) -> bool:
    """Returns whether a text asks for a drawn picture or the input, not for a file.

    A file of such a name is reached as `./-` or `./drawn:waves`.
    """
    return text == STDIN or text.startswith(DRAWN)


def named_pictures(text: str, stdin: BinaryIO, size_px: int = 0) -> dict[Path, Named]:
    """Returns what a text asks for, by the path that stands for it.

    Args:
      text: `-`, which reads the input to its end; `drawn:NAME`, see `synthetic.draw`; or
        `drawn:all`, one style of each kind.
      stdin: the input.
      size_px: side of drawn pictures; 0: 512.

    Raises:
      UserError: no such drawn picture.
      PictureError: the input is empty or no picture.
    """
    if text == STDIN:
        data = stdin.read()
        if not data:
            raise PictureError("The input (-) is empty; pipe a picture into it.")
        return {Path(STDIN): Named("stdin", decode_layers(data, "the input (-)"))}
    name = text.removeprefix(DRAWN)
    return {
        Path(DRAWN + one): Named(
            one, Layers(Image.fromarray(draw(one, size_px or _DRAWN_PX)), None)
        )
        for one in (STYLES if name == ALL else [name])
    }
