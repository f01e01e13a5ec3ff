"""An evaluation's numbers on disk: one line a pair, so that a broken evaluation goes on."""

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stya2k_jax.errors import UserError
from stya2k_jax.files.atomic import whole_lines, write_whole

SETTINGS_FILE = "settings.json"
ROWS_FILE = "pairs.jsonl"

Row = dict[str, Any]  # system, content, style, picture (its digest), and a number for each metric
Key = tuple[str, str, str]


class Results:
    """The rows of a directory, read when opened and appended to afterwards."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]):
        """Opens a directory that is new, or was begun with the same settings.

        Args:
          directory: made where needed.
          settings: all that changes a number, JSON-ready.

        Raises:
          UserError: the directory was begun with other settings; names the fields. Or its rows are
            damaged.
        """
        check_settings(directory, settings)
        self._path = directory / ROWS_FILE
        try:
            rows = [json.loads(line) for line in whole_lines(self._path)]
            self._rows = {_key(row): row for row in rows if row["picture"]}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self._path} is damaged ({type(error).__name__}: {error}); remove it, and all is "
                "measured again."
            ) from error

    def get(self, system: str, content: str, style: str, picture: str) -> Row | None:
        """Returns a row if it is there and was measured on this very picture, given by digest."""
        row = self._rows.get((system, content, style))
        return row if row and row["picture"] == picture else None

    def add(self, rows: Iterable[Row]) -> None:
        """Appends rows; they are on disk when this returns."""
        rows = list(rows)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
            file.flush()
            os.fsync(file.fileno())
        self._rows |= {_key(row): row for row in rows}


def check_settings(directory: Path, settings: Mapping[str, Any]) -> None:
    """Writes the settings into a new directory, or compares them with those that are there.

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


def read_object(path: Path, advice: str) -> dict[str, Any]:
    """Reads a JSON object that `write_json` wrote.

    Raises:
      UserError: the file is damaged; ends with the advice.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); {advice}.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged (no object); {advice}.")
    return found


def changes(
    before: dict, now: dict, said: tuple[str, str] = ("before", "now"), prefix: str = ""
) -> Iterable[str]:
    """Yields, a line each, which fields of nested settings differ and how, in these words."""
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from changes(old, new, said, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}: {_said(old)} {said[0]}, {_said(new)} {said[1]}"


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows as a table with a header, whole or not at all."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))

    def write(name: str) -> None:
        with open(name, "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(rows)

    write_whole(path, write)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda name: Path(name).write_text(text, encoding="utf-8"))


def _said(value: Any) -> str:
    return "absent" if value is None else str(value)


def _key(row: Row) -> Key:
    return row["system"], row["content"], row["style"]
