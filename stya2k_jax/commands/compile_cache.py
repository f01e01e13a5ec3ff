"""Compiled programs on disk, so that the next start need not compile again."""

import os
import sys
from pathlib import Path

import jax

from stya2k_jax.files.machine import machine

MAX_BYTES = 2 * 2**30  # beyond, what was used least recently is removed


def use(directory: str | None) -> None:
    """Lets JAX keep compiled programs in a directory of at most `MAX_BYTES`.

    Several processes may use one directory. A damaged entry is compiled anew. Where nothing can be
    written, one line says so, and programs are not kept.

    Args:
      directory: made where needed; "" keeps none. None: the directory of JAX's own settings, such
        as JAX_COMPILATION_CACHE_DIR, else `stya2k_jax` in the user's cache (XDG_CACHE_HOME).
    """
    if directory is None:
        if jax.config.jax_compilation_cache_dir:
            return
        directory = default_directory()
        if directory is None:
            _say("there is no home directory")
    if directory:
        try:
            _check_writable(Path(directory))
        except OSError as error:
            _say(f"{directory}: {error.strerror or error}")
            directory = None
    if directory and _can_be_limited(Path(directory)):
        jax.config.update("jax_compilation_cache_max_size", MAX_BYTES)
    jax.config.update("jax_compilation_cache_dir", directory or None)


def default_directory() -> str | None:
    """Returns where programs are kept unless a user says otherwise; None without a home."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # neither HOME nor an entry in the list of users, as in containers
        return None
    return str(Path(home) / "stya2k_jax" / "programs" / machine())


def _check_writable(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    probe = directory / f".probe-{os.getpid()}"
    probe.touch()
    probe.unlink()


def _can_be_limited(directory: Path) -> bool:
    """Returns whether JAX knows when each entry was used; with one unknown it could write none.

    A directory that another program filled without a limit stays without one.
    """
    return all(
        entry.with_name(entry.name.removesuffix("-cache") + "-atime").exists()
        for entry in directory.glob("*-cache")
    )


def _say(reason: str) -> None:
    print(
        f"warning: compiled programs are not kept ({reason}); name a directory with "
        "--compile_cache=DIRECTORY.",
        file=sys.stderr,
    )
