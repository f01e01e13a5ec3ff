"""The manual of all commands: current, whole, and true to the flags."""

import re

import pytest
from absl import flags

from stya2k_jax.commands import COMMANDS
from stya2k_jax.commands.manual import manual_of, page
from tests.support.commands import run_command
from tests.support.paths import ROOT


def test_the_manual_in_docs_is_that_of_the_commands():
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == page(), "run `make manual`"


@pytest.mark.parametrize("name", ["stylize", "evaluate", "info"])
def test_the_flags_of_a_manual_are_those_that_help_shows(name):
    shown = run_command("-m", "stya2k_jax", name, "--help").stdout
    found = set(re.findall(r"^\s+(?:-\w,)?--(?:\[no\])?(\w+):", shown, re.MULTILINE))
    assert {flag.name for flag in manual_of(name).flags} == found


def test_a_manual_leaves_no_flags_behind():
    before = set(flags.FLAGS)
    first, again = manual_of("stylize"), manual_of("stylize")
    assert set(flags.FLAGS) == before
    assert [flag.name for flag in first.flags] == [flag.name for flag in again.flags]


def test_a_row_names_type_choices_default_and_what_is_required():
    rows = {row for row in page().splitlines() if row.startswith("| ")}
    assert (
        "| `--alpha=X` | Strength: 0 is the content, 1 the model, up to 3. Default: 1.0. |" in rows
    )
    assert any(row.startswith("| `-o`, `--output=TEXT` | Folder for the results") for row in rows)
    assert "| `--output=TEXT` | Directory to make. Required. |" in rows
    assert any(row.endswith("One of none, luminance, match. Default: none. |") for row in rows)
    assert not any("repeat this option" in row or "<" in row for row in rows)


def test_every_command_has_a_section_and_says_what_it_does():
    sections = re.findall(r"^## stya2k (\S+)\n\n(\S.*)$", page(), re.MULTILINE)
    assert [name for name, _ in sections] == list(COMMANDS)
    assert all(re.match(r"[A-Z][a-z]+s ", text) for _, text in sections)
