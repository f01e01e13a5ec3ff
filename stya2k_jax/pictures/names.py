"""Names of results, and files told apart by name."""

import hashlib
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from stya2k_jax.errors import UserError

# File systems allow 255 bytes; the rest is for suffixes and for names while a file is written.
MOST_BYTES = 200


class Pair(NamedTuple):
    """A content and a style by the names of their files, without suffix."""

    content: str
    style: str

    @property
    def stem(self) -> str:
        """Name of the stylized picture's file, without suffix, as `stylize.py` writes it."""
        return short_name(f"{self.content}_stylized_{self.style}")


def short_name(name: str) -> str:
    """Returns a name of at most `MOST_BYTES`; a longer one is cut and ends in a hash of all."""
    data = os.fsencode(name)
    if len(data) <= MOST_BYTES:
        return name
    end = "-" + hashlib.sha256(data).hexdigest()[:8]
    return data[: MOST_BYTES - len(end)].decode("utf-8", "ignore") + end


def by_name(kind: str, paths: Sequence[Path]) -> dict[str, Path]:
    """Returns files by their names without suffix, in the given order; repetitions are dropped.

    Raises:
      UserError: two different files of one name.
    """
    check_apart(kind, paths, lambda path: path.stem)
    return {path.stem: path for path in paths}


def check_apart(kind: str, paths: Iterable[Path], result: Callable[[Path], Hashable]) -> None:
    """Raises a UserError where two different files would have the same `result`."""
    found: dict[Hashable, Path] = {}
    for path in paths:
        first = found.setdefault(result(path), path)
        if first != path:
            raise UserError(
                f"Two {kind} are called {path.stem!r}: {first} and {path}. Results are told apart "
                "by name; rename one of them."
            )
