"""Settings that are kept beside results; a later run must have the same."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stya2k_jax.errors import UserError
from stya2k_jax.files.json_files import read_object, write_json

SETTINGS_FILE = "settings.json"


def check_settings(directory: Path, settings: Mapping[str, Any]) -> None:
    """Writes the settings into a new directory, or compares them with the ones there.

    Raises:
      UserError: they differ; names the fields.
    """
    path, settings = directory / SETTINGS_FILE, json.loads(json.dumps(settings))
    if not path.is_file():
        write_json(path, settings)
        return
    before = read_object(path, "choose another --output")
    changed = list(changes(before, settings))
    if changed:
        raise UserError(
            f"{directory} was begun with other settings:\n  "
            + "\n  ".join(changed)
            + "\nChoose another --output, or the settings that it was begun with."
        )


def changes(
    before: dict, now: dict, said: tuple[str, str] = ("before", "now"), prefix: str = ""
) -> Iterable[str]:
    """Yields a line for each field of nested settings that differs, ending in the words `said`."""
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from changes(old, new, said, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}: {_said(old)} {said[0]}, {_said(new)} {said[1]}"


def _said(value: Any) -> str:
    return "absent" if value is None else str(value)
