"""SHA-256 of bytes, files, arrays and descriptions, in hex digits."""

import hashlib
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

_SHORT = 16  # digits, enough to distinguish a project's files


def digest_of_bytes(data: bytes) -> str:
    """Returns all 64 digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of_file(path: str | PathLike) -> str:
    """Returns the first 16 digits for a file's content."""
    return digest_of_bytes(Path(path).read_bytes())[:_SHORT]


def digest_of_arrays(*given: np.ndarray | str) -> str:
    """Returns the first 16 digits for arrays, shapes included, and words."""
    found = hashlib.sha256()
    for x in given:
        found.update(x.encode() if isinstance(x, str) else repr(x.shape).encode() + x.tobytes())
    return found.hexdigest()[:_SHORT]


def digest_of_parts(parts: Iterable[Any]) -> str:
    """Returns all 64 digits for the `repr` of each part."""
    found = hashlib.sha256()
    for part in parts:
        found.update(repr(part).encode("utf-8", "surrogateescape") + b"\n")
    return found.hexdigest()
