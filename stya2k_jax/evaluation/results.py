"""The rows of an evaluation, written at once, so that an interrupted run can go on."""

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stya2k_jax.errors import UserError
from stya2k_jax.files.atomic import whole_lines, write_whole
from stya2k_jax.files.settings import check_settings

ROWS_FILE = "pairs.jsonl"
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")  # how a cell begins that is computed
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
        except (ValueError, KeyError, TypeError, RecursionError) as error:
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


def _key(row: Row) -> Key:
    return row["system"], row["content"], row["style"]


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows as a table with a header, whole or not at all.

    Names that a spreadsheet would compute, such as `=1+1`, get an apostrophe in front, after which
    it shows them as they are.
    """
    rows = [{name: _as_text(value) for name, value in row.items()} for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row))

    def write(name: str) -> None:
        # The name of a file need not be UTF-8.
        with open(name, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(rows)

    write_whole(path, write)


def _as_text(value: Any) -> Any:
    is_formula = isinstance(value, str) and value.startswith(FORMULAS)
    return f"'{value}" if is_formula else value
