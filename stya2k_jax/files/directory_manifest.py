"""The list of a checkpoint's files with their digests, which shows whether it is whole."""

import errno
import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

NAME = "manifest.json"
_UNFINISHED = f".{NAME}.unfinished"


def write(directory: Path) -> None:
    """Writes a manifest into a directory whose files are complete, and flushes all to the disk.

    The manifest holds each file's path, size in bytes and SHA-256, and a SHA-256 of the list. It
    appears last and at once: a directory without it was cut off.

    Raises:
      OSError: a file cannot be read, or the manifest not written.
    """
    files = {name: _description(directory / name, on_disk=True) for name in _files(directory)}
    for folder, _, _ in os.walk(directory):
        _sync_folder(folder)
    _sync_folder(directory.parent)  # where Orbax has just renamed the directory
    unfinished = directory / _UNFINISHED
    try:
        with open(unfinished, "wb") as file:
            file.write(_text(files))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, directory / NAME)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(directory)


def problems(directory: Path, unread: Collection[str] = ()) -> list[str]:
    """Compares a directory with its manifest; returns what is wrong, or nothing if it is whole.

    Of what lies in the folders `unread` only names and sizes are compared: that takes no time.
    """
    try:
        text = (directory / NAME).read_bytes()
    except FileNotFoundError:
        return [f"{NAME} is missing, so the save was cut off or is not finished"]
    except OSError as error:
        return [f"{NAME} cannot be read ({error.strerror})"]
    files = _parse(text)
    if files is None:
        return [f"{NAME} has changed"]
    try:
        present = _files(directory)
    except OSError as error:
        return [f"{error.filename} cannot be listed ({error.strerror})"]
    changes = (
        _change(directory, name, expected, read=name.partition("/")[0] not in unread)
        for name, expected in files.items()
        if name in present
    )
    return [
        *(f"{name} is missing" for name in sorted(files.keys() - present)),
        *(f"{name} is extra" for name in sorted(present - files.keys())),
        *filter(None, changes),
    ]


def _change(directory: Path, name: str, expected: dict[str, Any], read: bool) -> str | None:
    try:
        size = (directory / name).stat().st_size
        if size != expected["size"]:
            return f"{name} has changed ({size} bytes, {expected['size']} were written)"
        if read and _description(directory / name) != expected:
            return f"{name} has changed"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"
    return None


def _files(directory: Path) -> set[str]:
    def refuse(error: OSError) -> None:
        raise error  # os.walk would leave out what it cannot list

    return {
        (Path(folder) / name).relative_to(directory).as_posix()
        for folder, _, names in os.walk(directory, onerror=refuse)
        for name in names
    } - {NAME, _UNFINISHED}


def _description(path: Path, on_disk: bool = False) -> dict[str, Any]:
    with open(path, "rb") as file:
        if on_disk:
            os.fsync(file.fileno())  # also raises the error of a write that failed later
        size = os.fstat(file.fileno()).st_size
        return {"size": size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _text(files: dict[str, Any]) -> bytes:
    """Returns the text of a manifest; equal lists give equal bytes."""
    listed = json.dumps(files, indent=1, sort_keys=True)
    digest = hashlib.sha256(listed.encode()).hexdigest()
    return f'{{"files": {listed},\n"sha256": "{digest}"}}\n'.encode()


def _parse(text: bytes) -> dict[str, Any] | None:
    """Reads a manifest; None if a byte differs from what `write` would write."""
    try:
        files = json.loads(text)["files"]
        return files if _text(files) == text else None
    except (ValueError, LookupError, TypeError):
        return None


def _sync_folder(folder: str | Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not every file system has it
            raise
    finally:
        os.close(handle)
