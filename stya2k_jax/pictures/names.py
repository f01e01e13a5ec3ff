"""Which pictures an evaluation compares: names, files, and the square that is looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stya2k_jax.errors import UserError


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
