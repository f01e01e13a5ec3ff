"""Which pictures an evaluation compares: names, files, and the square that is looked at."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.pictures.reading import crop_square, find_pictures


class Pair(NamedTuple):
    """A content and a style by the names of their files, without suffix."""

    content: str
    style: str

    @property
    def stem(self) -> str:
        """Name of the stylized picture's file, without suffix, as `stylize.py` writes it."""
        return f"{self.content}_stylized_{self.style}"


def by_name(kind: str, paths: Sequence[Path]) -> dict[str, Path]:
    """Returns files by their names without suffix, in the given order; repetitions are dropped.

    Raises:
      UserError: two different files of one name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if found.setdefault(path.stem, path) != path:
            raise UserError(
                f"Two {kind} are called {path.stem!r}: {found[path.stem]} and {path}. Results are "
                "told apart by name; rename one of them."
            )
    return found


def all_pairs(
    contents: Mapping[str, Path], styles: Mapping[str, Path], styles_at_once: int = 8
) -> list[Pair]:
    """Returns every pair, content by content within a few styles at a time.

    In this order few features have to be kept in memory, whatever the number of pictures.

    Raises:
      UserError: the names of two pairs' pictures are the same.
    """
    names = list(styles)
    groups = [names[i : i + styles_at_once] for i in range(0, len(names), styles_at_once)]
    pairs = [Pair(c, s) for group in groups for c in contents for s in group]
    found: dict[str, Pair] = {}
    for pair in pairs:
        if found.setdefault(pair.stem, pair) != pair:
            raise UserError(
                f"{found[pair.stem]} and {pair} both have pictures called {pair.stem!r}; rename a "
                "content or a style."
            )
    return pairs


def find_stylized(directory: Path, pairs: Sequence[Pair]) -> tuple[dict[Pair, Path], list[Path]]:
    """Looks for the pairs' stylized pictures below a folder, by name.

    Returns:
      The files found, and those that belong to no pair.

    Raises:
      UserError: two files of one name, no pictures at all, or none of any pair.
    """
    files = by_name("stylized pictures", find_pictures(directory))
    found = {pair: files.pop(pair.stem) for pair in pairs if pair.stem in files}
    if not found:
        raise UserError(
            f"{directory} holds no picture of any pair, such as {pairs[0].stem}.png; pictures are "
            "named {content}_stylized_{style} after the files of both."
        )
    return found, list(files.values())


def as_square(image: Image.Image, size_px: int, crop: str = "centre") -> Image.Image:
    """Makes a picture a square of `size_px`; one that is such a square already is not changed.

    Args:
      image: an RGB picture.
      size_px: side of the result.
      crop: `"centre"`: cut out the largest square around the middle (an odd rest is larger at the
        bottom and right), then resize; `"squash"`: resize without keeping the aspect, as in the
        paper's data. Resizing is bicubic.
    """
    if crop == "centre":
        return crop_square(image, size_px)
    if image.size == (size_px, size_px):
        return image
    return image.resize((size_px, size_px), Image.Resampling.BICUBIC)


def digest(path: Path) -> str:
    """Returns the first 16 digits of a file's sha256, which tell it from others."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
