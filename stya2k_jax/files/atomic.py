"""Files and directories that are whole or not there."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LONGEST_SUFFIX = 16  # bytes; a longer one is no format's and would not fit into a short name
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def write_whole(path: str | os.PathLike, write: Callable[[str], Any]) -> None:
    """Lets `write(name)` make a file beside `path`, then renames it: `path` is never half-written.

    The directory is made where needed. The name is hidden and ends in the suffix of `path`.

    Raises:
      OSError: the file cannot be written, because the disk is full, for example; it names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    name = _temporary(path, suffix)
    with _named_in_errors(path, name):
        # Made here, so that the system applies the umask.
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        mode = os.fstat(handle).st_mode & 0o777
        os.close(handle)
        try:
            write(name)
            os.chmod(name, mode)  # `write` may have put another file there
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def whole_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a directory to fill, which at the end becomes `path`: `path` is never half-filled.

    Raises:
      OSError: there is something at `path`, other than an empty directory; or as `write_whole`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = _temporary(path)
    with _named_in_errors(path, name):
        os.mkdir(name)
        try:
            yield Path(name)
            os.replace(name, path)
        except BaseException:
            shutil.rmtree(name, ignore_errors=True)
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


def _temporary(path: Path, suffix: str = "") -> str:
    """Returns a new name in the folder of `path`, short however long the name of `path` is."""
    return str(path.parent / f".{secrets.token_hex(8)}{suffix}")


@contextmanager
def _named_in_errors(path: Path, name: str) -> Iterator[None]:
    """Lets an error of the system name the file that was wanted instead of the temporary one."""
    try:
        yield
    except OSError as error:
        found = error.filename
        unnamed = found is None and error.errno in _DISK_ERRORS  # of a write to an open file
        if not unnamed and not str(found).startswith(name):
            raise
        wanted = str(path) + ("" if unnamed else str(found).removeprefix(name))
        raise OSError(error.errno, error.strerror, wanted) from error
