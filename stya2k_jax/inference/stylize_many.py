"""Every pair of many contents and a few styles, one after the other."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from PIL import Image
from tqdm import tqdm

from stya2k_jax.errors import UserError
from stya2k_jax.inference.style import Style
from stya2k_jax.pictures.arrays import Picture
from stya2k_jax.pictures.reading import upright_size

Kind = TypeVar("Kind")


class Stylized(NamedTuple, Generic[Kind]):
    """One result of `Stylizer.stylize_many`.

    Attributes:
      content: index of the content.
      style: index of the style.
      picture: as `Stylizer` returns it.
    """

    content: int
    style: int
    picture: Kind


def stylize_many(
    paint: Callable[[Any, Style], Any],
    contents: Iterable[Picture],
    styles: Sequence[Style],
    progress: bool,
) -> Iterator[Stylized[Any]]:
    """Yields every pair's result: all styles of the first content, then of the next."""
    total = len(contents) * len(styles) if isinstance(contents, Sequence) else None
    with tqdm(total=total, unit="picture", disable=not progress) as bar:
        for i, content in enumerate(contents):
            for j, style in enumerate(styles):
                picture = paint(content, style)
                bar.update()
                yield Stylized(i, j, picture)


def check_several(**given: Any) -> None:
    """Raises a UserError where one picture or style stands in the place of several."""
    for name, value in given.items():
        if isinstance(value, str | os.PathLike | Image.Image | Style) or not isinstance(
            value, Iterable
        ):
            raise UserError(
                f"{name} is one {type(value).__name__}; give several, as a list, for example."
            )


def sizes_of(contents: Iterable[Picture]) -> Iterator[tuple[int, int]]:
    """Yields height and width of the contents that tell it without being decoded."""
    for content in contents:
        if isinstance(content, str | os.PathLike):
            size = upright_size(content)
            if size is not None:
                yield size
        elif not isinstance(content, Image.Image) and getattr(content, "ndim", 0) in (3, 4):
            height, width = content.shape[-3:-1]
            yield height, width
