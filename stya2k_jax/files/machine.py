"""A name for this machine's processor, for what runs on no other."""

import platform
from functools import cache
from pathlib import Path

from stya2k_jax.files.digests import digest_of_bytes

_CPU = Path("/proc/cpuinfo")


@cache
def machine() -> str:
    """Returns a name that two machines share only if they run the same instructions.

    Many machines may share a home directory, and a program compiled for one processor crashes on
    another.
    """
    lines = _CPU.read_text().splitlines() if _CPU.is_file() else [platform.processor()]
    features = next((line for line in lines if line.startswith("flags")), lines[0])
    return f"{platform.machine()}-{digest_of_bytes(features.encode())[:12]}"
