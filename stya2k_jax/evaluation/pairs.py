"""Pairs of a content and a style, and the stylized picture of each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stya2k_jax.errors import UserError
from stya2k_jax.pictures.names import Pair, by_name
from stya2k_jax.pictures.reading import find_pictures


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
