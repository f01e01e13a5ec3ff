"""Finds the config of `--config`: a file, or by name one of those that come with the package."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from stya2k_jax.errors import UserError

_PACKAGE = Path(__file__).parents[1]
# An installed package has them inside, a checkout beside it.
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
FOLDER = next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def with_config_file(argv: Sequence[str]) -> list[str]:
    """Returns a command line whose `--config` is a file, and lets that file import its neighbours.

    Args:
      argv: with `--config=FILE` or `--config=NAME`, perhaps followed by `:VARIANT`.

    Raises:
      UserError: neither a file nor a name.
    """
    argv = list(argv)
    for i, argument in enumerate(argv):
        flag, equals, value = argument.partition("=")
        if flag not in ("--config", "-config"):
            continue
        place = i if equals else i + 1
        value = value if equals else "".join(argv[place : place + 1])
        if value:
            name, colon, variant = value.partition(":")
            path = f"{_file_of(name)}{colon}{variant}"
            argv[place] = f"{flag}={path}" if equals else path
    return argv


def _file_of(name: str) -> Path:
    path = Path(name)
    if path.is_file():
        sys.path.append(str(path.absolute().parent.parent))
    elif name in NAMES:
        path = FOLDER / f"{name}.py"
    else:
        raise UserError(
            f"there is no config {name!r}: neither a file nor one of {', '.join(NAMES)}."
        )
    if path.parent == FOLDER or not importlib.util.find_spec("configs"):
        _import_as_configs()
    return path


def _import_as_configs() -> None:
    """Makes `from configs import a2k` find the configs of the package."""
    spec = importlib.util.spec_from_file_location(
        "configs", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    sys.modules["configs"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["configs"])
