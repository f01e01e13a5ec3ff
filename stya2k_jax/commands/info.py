"""Shows versions, devices, models and the cache, for a bug report or a first look.

What cannot be found out is said in its place; this command does not fail.
"""

import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from absl import flags

from stya2k_jax.commands import command_line, compile_cache

PACKAGES = ("jax", "jaxlib", "flax", "numpy", "pillow")
EXTRAS = {  # with a module of each, which shows whether it is installed
    "demo": "gradio",
    "evaluate": "skimage",
    "heic": "pillow_heif",
    "onnx": "onnxruntime",
    "torch": "torch",
    "video": "av",
}


def main() -> None:
    """Prints what there is."""
    as_json = flags.DEFINE_bool("json", False, "Print one line of JSON.")

    def run(_: Sequence[str]) -> None:
        found = {name: tried(look) for name, look in LOOKS.items()}
        if as_json.value:
            print(json.dumps(found))
            return
        for name, value in found.items():
            print(f"{name:9} {_in_words(value)}")

    command_line.run(run)


def versions() -> dict[str, str]:
    """Returns the versions of this package, Python and what it computes with."""
    found = {"stya2k-jax": version(), "python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


def version() -> str:
    """Returns the version of this package."""
    return _version("stya2k-jax")


def devices() -> list[str]:
    """Returns what JAX computes on."""
    import jax

    return [f"{device.platform}:{device.id} {device.device_kind}" for device in jax.devices()]


def models() -> dict[str, Any]:
    """Returns the model that comes with the package: file, size and architecture."""
    from safetensors import safe_open

    from stya2k_jax.weights.loading import MINI, MINI_FILE

    with safe_open(MINI_FILE, "numpy") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]
    numbers = sum(_product(shape) for shape in shapes)
    size = MINI_FILE.stat().st_size
    return {MINI: dict(numbers=numbers, bytes=size, file=str(MINI_FILE))}


def extras() -> dict[str, bool]:
    """Returns which optional parts are installed."""
    return {name: importlib.util.find_spec(module) is not None for name, module in EXTRAS.items()}


def cache() -> dict[str, Any] | str:
    """Returns the folder of compiled programs, how many there are, and their bytes."""
    import jax

    folder = jax.config.jax_compilation_cache_dir or compile_cache.default_directory()
    if folder is None:
        return "none: there is no home directory"
    sizes = [
        entry.stat().st_size
        for entry in (os.scandir(folder) if Path(folder).is_dir() else ())
        if entry.name.endswith("-cache")
    ]
    return dict(folder=folder, programs=len(sizes), bytes=sum(sizes))


def tried(look: Callable[[], Any]) -> Any:
    """Returns what there is to see, or the reason why it cannot be seen."""
    try:
        return look()
    except Exception as error:  # of a driver or a damaged installation, which are to be shown
        reason = " ".join(str(error).split()) or "no reason given"
        return f"unknown ({type(error).__name__}: {reason})"


LOOKS: dict[str, Callable[[], Any]] = {
    "versions": versions,
    "system": lambda: f"{platform.platform()}, {os.cpu_count()} cores, {sys.executable}",
    "devices": devices,
    "models": models,
    "extras": extras,
    "cache": cache,
}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _product(shape: Sequence[int]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if not isinstance(value, dict):
        return str(value)
    parts = []
    for name, part in value.items():
        if isinstance(part, dict):
            parts.append(f"{name}: {_in_words(part)}")
        elif isinstance(part, bool):
            parts.append(name if part else f"no {name}")
        elif name == "bytes":
            parts.append(f"{part / 1e6:.1f} MB")
        elif isinstance(part, int):
            parts.append(f"{part:,} {name}")
        elif name in ("file", "folder"):
            parts.append(part)
        else:
            parts.append(f"{name} {part}")
    return ", ".join(parts)
