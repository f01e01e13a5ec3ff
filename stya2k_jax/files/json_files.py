"""JSON files that are written whole or not at all."""

import json
from pathlib import Path
from typing import Any

from stya2k_jax.errors import UserError
from stya2k_jax.files.atomic import write_whole


def read_object(path: Path, advice: str) -> dict[str, Any]:
    """Reads a JSON object that `write_json` wrote.

    Raises:
      UserError: the file is damaged; ends with the advice.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}); {advice}.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged (no object); {advice}.")
    return found


def write_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:  # the name of a file that is not UTF-8
        data = json.dumps(value, indent=2).encode("utf-8")
    write_whole(path, lambda name: Path(name).write_bytes(data + b"\n"))
