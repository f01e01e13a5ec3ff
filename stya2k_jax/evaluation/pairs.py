"""Pairs of a content and a style, and the stylized picture of each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stya2k_jax.errors import UserError
from stya2k_jax.files.digests import digest_of_file
from stya2k_jax.pictures.names import Pair, by_name
from stya2k_jax.pictures.reading import find_pictures


class Sources(NamedTuple):
    """The contents and styles of an evaluation."""

    contents: dict[str, Path]  # by name
    styles: dict[str, Path]
    digests: dict[Path, str]  # of all these files

    def digests_by_name(self) -> dict[str, dict[str, str]]:
        """Returns the digests of contents and of styles by their names, JSON-ready."""
        both = {"contents": self.contents, "styles": self.styles}
        return {
            kind: {name: self.digests[path] for name, path in files.items()}
            for kind, files in both.items()
        }


class Stylized(NamedTuple):
    """The stylized pictures of one system."""

    files: dict[Pair, Path]
    unused: list[Path]  # belong to no pair


def open_sources(contents: Sequence[Path], styles: Sequence[Path]) -> Sources:
    """Names and hashes the picture files of contents and styles.

    Raises:
      UserError: two contents or two styles of one name.
    """
    named = by_name("contents", contents), by_name("styles", styles)
    files = dict.fromkeys((*named[0].values(), *named[1].values()))
    return Sources(*named, {path: digest_of_file(path) for path in files})


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


def find_stylized(directory: Path, pairs: Sequence[Pair]) -> Stylized:
    """Looks for the pairs' stylized pictures below a folder, by name.

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
    return Stylized(found, list(files.values()))
