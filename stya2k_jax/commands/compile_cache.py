"""Compiled programs on disk: a command that starts again need not compile again."""

import hashlib
import os
import platform
from pathlib import Path

import jax

_CPU = Path("/proc/cpuinfo")


def use(directory: str | None) -> None:
    """Makes JAX keep compiled programs in a directory.

    Args:
      directory: made where needed; "" keeps none. None: the directory of JAX's own settings, such
        as JAX_COMPILATION_CACHE_DIR, else `stya2k_jax` in the user's cache (XDG_CACHE_HOME).
    """
    if directory is None:
        if jax.config.jax_compilation_cache_dir:
            return
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        directory = str(Path(home) / "stya2k_jax" / _machine())
    jax.config.update("jax_compilation_cache_dir", directory or None)


def _machine() -> str:
    """Returns a name that two machines share only if they run the same instructions.

    Many machines may share a home directory, and a program compiled for one processor crashes on
    another.
    """
    lines = _CPU.read_text().splitlines() if _CPU.is_file() else [platform.processor()]
    features = next((line for line in lines if line.startswith("flags")), lines[0])
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:12]}"
