"""The one door, `stya2k COMMAND`: the list, a misspelt command, and each command's flags."""

import subprocess
import sys
from importlib import metadata

import pytest

from stya2k_jax.commands import COMMANDS
from tests.support.commands import run_command
from tests.support.paths import ROOT

NO_COMMANDS = {
    *("command_line", "compile_cache", "config_files", "manual", "time_model", "__init__"),
    *("stylize_arguments", "stylize_reports"),
}


def test_every_command_is_listed_and_every_listed_command_is_there():
    files = {path.stem for path in (ROOT / "stya2k_jax" / "commands").glob("*.py")}
    assert files - NO_COMMANDS == {name.replace("-", "_") for name in COMMANDS}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_command_the_list_is_printed(arguments):
    done = run_command("-m", "stya2k_jax", *arguments)
    assert done.returncode == 0 and not done.stderr
    first, _, *lines = done.stdout.splitlines()
    assert first == "usage: stya2k COMMAND [FILE …] [--flag=value …]"
    assert [line.split()[0] for line in lines[: len(COMMANDS)]] == list(COMMANDS)
    assert [line[17:] for line in lines[: len(COMMANDS)]] == list(COMMANDS.values())


@pytest.mark.parametrize(
    ("typed", "meant"), [("styilze", "stylize"), ("convert_lpips", "convert-lpips")]
)
def test_a_misspelt_command_is_refused_with_the_one_that_was_meant(typed, meant):
    done = run_command("-m", "stya2k_jax", typed, "--content=a.png")
    assert done.returncode == 2 and not done.stdout
    message = f"error: there is no command {typed!r}. Did you mean {meant!r}?"
    assert done.stderr.splitlines()[0] == message and "  stylize " in done.stderr


def test_a_command_like_no_other_is_refused_with_the_list():
    done = run_command("-m", "stya2k_jax", "xyz")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no command 'xyz'.\n\nusage: stya2k COMMAND")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_flags_of_a_command_are_listed_under_its_name(name):
    done = run_command("-m", "stya2k_jax", name, "--help")
    assert (
        done.returncode == 0
        and not done.stderr
        and "\nstya2k " + name in "\n" + done.stdout.replace(":\n", "\n")
    )
    assert "  --" in done.stdout


def test_short_help_and_the_version_are_there():
    long, short = (run_command("-m", "stya2k_jax", "styles", flag) for flag in ("--help", "-h"))
    assert short.stdout == long.stdout and short.returncode == 0
    for flag in ("--version", "-V"):
        done = run_command("-m", "stya2k_jax", flag)
        expected = f"stya2k-jax {metadata.version('stya2k-jax')}\n"
        assert (done.returncode, done.stdout) == (0, expected)


def test_the_console_script_is_the_door():
    done = subprocess.run(
        [sys.executable, "-c", "from stya2k_jax.__main__ import main; main()"],
        capture_output=True,
        text=True,
    )
    listed = run_command("-m", "stya2k_jax")
    assert (done.returncode, done.stdout) == (0, listed.stdout)
