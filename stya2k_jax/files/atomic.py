"""Files and directories that are whole or not there."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_whole(path: str | os.PathLike, write: Callable[[str], Any]) -> None:
    """Lets `write(name)` make a file beside `path`, then renames it: `path` is never half-written.

    The directory is made where needed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        write(name)
        os.chmod(name, 0o666 & ~_umask())  # mkstemp lets nobody else read
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def whole_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a directory to fill, which at the end becomes `path`: `path` is never half-filled.

    Raises:
      OSError: there is something at `path`, other than an empty directory.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield directory
        os.chmod(directory, 0o777 & ~_umask())  # mkdtemp lets nobody else in
        os.replace(directory, path)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def whole_lines(path: str | os.PathLike) -> list[str]:
    """Reads a file that lines are appended to; a last one that was cut off is taken away."""
    path = Path(path)
    if not path.is_file():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        write_whole(path, lambda name: Path(name).write_bytes(whole))
    return whole.decode("utf-8").splitlines()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
