"""Compiled programs on disk, ready to run: the next start neither traces nor compiles them.

They lie in the folder `ready` of JAX's compile cache. A file holds code that runs when it is
loaded. So a file or folder that anyone else could have written is not read.
"""

import contextlib
import hashlib
import os
import pickle
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jaxlib
from jax.experimental import serialize_executable

from stya2k_jax.files.atomic import write_whole
from stya2k_jax.files.digests import digest_of_parts
from stya2k_jax.files.machine import machine

FOLDER, SUFFIX = "ready", ".program"
MAX_BYTES = 2**30  # beyond, what was used least recently is removed
_DIGEST_BYTES = 32
_SETTINGS = ("jax_default_matmul_precision", "jax_enable_x64")
_CODE = ("network", "inference")  # whose change makes other programs


def folder() -> Path | None:
    """Returns where programs are kept; None where JAX keeps none."""
    directory = jax.config.values["jax_compilation_cache_dir"]
    usual = jax.process_count() == 1 and jax.config.values["jax_default_device"] is None
    return Path(directory) / FOLDER if directory and usual else None


def path_of(name: str, *about: Any) -> Path | None:
    """Returns the file of a program; None where programs are not kept.

    Its name is a digest of what the program depends on.

    Args:
      name: of the program.
      *about: what else its text depends on, such as the shapes of its arguments.
    """
    place = folder()
    if place is None:
        return None
    device = jax.devices()[0]
    versions = jax.__version__, jaxlib.__version__, device.client.platform_version
    settings = [jax.config.values[setting] for setting in _SETTINGS]
    flags = os.environ.get("XLA_FLAGS")
    parts = (name, _code(), versions, device.device_kind, machine(), flags, settings, about)
    return place / f"{name}-{digest_of_parts(parts)[:40]}{SUFFIX}"


def read(path: Path, see: Callable[[Any], None] | None = None) -> tuple[Any, Any] | None:
    """Returns a program and what was kept beside it.

    None: there is none, it is damaged, somebody else could have written it, or this JAX cannot
    load it. `see` gets what was kept beside it before the program is loaded, which takes longer.
    """
    try:
        if not _is_ours_alone(path):
            return None
        data = path.read_bytes()
        digest, data = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != digest:
            return None
        program, (given, found), beside = pickle.loads(data)
        if see is not None:
            see(beside)
        loaded = serialize_executable.deserialize_and_load(
            program, given, found, execution_devices=jax.devices()[:1]
        )
    except Exception:  # whatever is wrong with it, it is compiled anew
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return loaded, beside


def write(path: Path, compiled: jax.stages.Compiled, beside: Any) -> None:
    """Keeps a program whose arguments and results are plain tuples; errors are not told."""
    try:
        program, *trees = serialize_executable.serialize(compiled)
        data = pickle.dumps((program, trees, beside))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole = hashlib.sha256(data).digest() + data
        write_whole(path, lambda name: Path(name).write_bytes(whole))
        path.chmod(0o600)
        _forget_the_oldest(path.parent)
    except Exception:  # a full disk, a device whose programs cannot be written
        return


def _is_ours_alone(path: Path) -> bool:
    """Returns whether a file and its folder are this user's, and nobody else may write them."""
    if not hasattr(os, "getuid"):  # Windows: a user's folders are the user's
        return path.is_file()
    found = [place.stat() for place in (path, path.parent)]
    others = stat.S_IWGRP | stat.S_IWOTH
    return all(one.st_uid == os.getuid() and not one.st_mode & others for one in found)


def _forget_the_oldest(place: Path) -> None:
    found = sorted(((file.stat(), file) for file in place.glob(f"*{SUFFIX}")), key=_last_use)
    total = sum(status.st_size for status, _ in found)
    for status, file in found:
        if total <= MAX_BYTES:
            break
        file.unlink(missing_ok=True)
        total -= status.st_size


def _last_use(found: tuple[os.stat_result, Path]) -> float:
    return found[0].st_mtime


@cache
def _code() -> str:
    """Returns a digest of the package's code that programs are made of."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for part in _CODE:
        for file in sorted((root / part).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
