"""Rows survive kills, and numbers of different settings never meet."""

import csv
import json

import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.results import ROWS_FILE, Results, write_csv
from stya2k_jax.files.settings import SETTINGS_FILE

SETTINGS = {"size_px": 512, "measure": ["losses"], "contents": {"a": "12", "b": "34"}}


def row(content: str, **numbers: float) -> dict:
    return {"system": "ours", "content": content, "style": "s", "picture": "ff", **numbers}


def test_rows_are_there_when_the_directory_is_opened_again(tmp_path):
    Results(tmp_path / "new", SETTINGS).add([row("a", lpips=0.1 + 0.2), row("b", lpips=1e-17)])
    again = Results(tmp_path / "new", SETTINGS)
    assert again.get("ours", "a", "s", "ff") == row("a", lpips=0.1 + 0.2)  # to the last bit
    assert again.get("ours", "b", "s", "ff") == row("b", lpips=1e-17)
    assert again.get("theirs", "a", "s", "ff") is None


def test_a_picture_that_has_changed_is_not_measured_yet(tmp_path):
    Results(tmp_path, SETTINGS).add([row("a")])
    assert Results(tmp_path, SETTINGS).get("ours", "a", "s", "ee") is None


def test_a_line_that_was_cut_off_is_dropped_and_the_next_begins_afresh(tmp_path):
    Results(tmp_path, SETTINGS).add([row("a"), row("b")])
    path = tmp_path / ROWS_FILE
    path.write_bytes(path.read_bytes()[:-9])
    results = Results(tmp_path, SETTINGS)
    assert results.get("ours", "a", "s", "ff") and results.get("ours", "b", "s", "ff") is None
    results.add([row("b", lpips=1)])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        row("a"),
        row("b", lpips=1),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size_px": 256}, "size_px: 512 before, 256 now"),
        (
            {"measure": ["losses", "ssim"]},
            r"measure: \['losses'\] before, \['losses', 'ssim'\] now",
        ),
        ({"contents": {"a": "12", "b": "56"}}, "contents.b: 34 before, 56 now"),
        ({"contents": {"a": "12"}}, "contents.b: 34 before, absent now"),
        ({"crop": "squash"}, "crop: absent before, squash now"),
    ],
)
def test_other_settings_are_refused_by_field(tmp_path, change, message):
    Results(tmp_path, SETTINGS)
    with pytest.raises(UserError, match=f"(?s)begun with other settings.*{message}.*--output"):
        Results(tmp_path, SETTINGS | change)


@pytest.mark.parametrize("line", [b"{", b"\xff", b"[]", b'{"system": "ours"}'])
def test_damaged_rows_or_settings_are_refused_by_file(tmp_path, line):
    Results(tmp_path, SETTINGS).add([row("a")])
    (tmp_path / ROWS_FILE).write_bytes(line + b"\n")
    with pytest.raises(UserError, match=f"{ROWS_FILE} is damaged .*; remove it"):
        Results(tmp_path, SETTINGS)
    (tmp_path / SETTINGS_FILE).write_bytes(line)
    message = f"{SETTINGS_FILE} is damaged" if b"system" not in line else "size_px: absent before"
    with pytest.raises(UserError, match=message):
        Results(tmp_path, SETTINGS)


def test_a_table_has_every_column_of_every_row(tmp_path):
    rows = [row("a", lpips=0.5), row("b", ssim=0.25)]
    write_csv(tmp_path / "a.csv", rows)
    with open(tmp_path / "a.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert [r["lpips"] for r in read] == ["0.5", ""] and [r["ssim"] for r in read] == ["", "0.25"]


def test_names_that_a_spreadsheet_would_compute_are_written_as_text(tmp_path):
    names = ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "\na", "a=1", "'a"]
    write_csv(tmp_path / "a.csv", [row(name, lpips=-0.5) for name in names])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [r["content"] for r in read] == [f"'{name}" for name in names[:7]] + names[7:]
    assert {r["lpips"] for r in read} == {"-0.5"}  # numbers stay numbers
