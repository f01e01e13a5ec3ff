"""`stya2k info` and `stya2k styles`: quick, and whatever the machine lacks, no crash."""

import json
import re
import subprocess
import sys

import jax
import pytest
from PIL import Image

from stya2k_jax.commands import info
from stya2k_jax.pictures.synthetic import CONTENTS, STYLES
from stya2k_jax.weights.loading import MINI_FILE
from tests.support.commands import run_command


def test_versions_devices_models_and_cache_are_shown():
    done = run_command("-m", "stya2k_jax", "info")
    assert done.returncode == 0 and not done.stderr
    lines = dict(re.split(" +", line, maxsplit=1) for line in done.stdout.splitlines())
    assert list(lines) == ["versions", "system", "devices", "models", "extras", "cache"]
    assert f"jax {jax.__version__}" in lines["versions"] and "cpu:0" in lines["devices"]
    assert "1,511,733 numbers" in lines["models"] and str(MINI_FILE) in lines["models"]


def test_as_json_it_is_one_line_with_the_same():
    done = run_command("-m", "stya2k_jax", "info", "--json")
    [line] = done.stdout.splitlines()
    found = json.loads(line)
    assert found["versions"]["jax"] == jax.__version__
    assert found["models"]["a2k-mini"]["bytes"] == MINI_FILE.stat().st_size


@pytest.fixture
def cache_is_elsewhere(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def test_the_programs_of_the_cache_are_counted(tmp_path, cache_is_elsewhere):
    assert info.cache() == dict(folder=str(tmp_path), programs=0, bytes=0)
    for name, size in (("a-cache", 30), ("a-atime", 8), ("b-cache", 12)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert info.cache() == dict(folder=str(tmp_path), programs=2, bytes=42)


NOWHERE = """
import os, pwd, sys
def unknown(*_): raise KeyError("no such user")
pwd.getpwuid = unknown
for name in ("HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
    os.environ.pop(name, None)
sys.argv = ["stya2k", "info"]
from stya2k_jax.__main__ import main
main()
"""


def test_without_a_home_and_without_a_device_it_says_so():
    done = subprocess.run(
        ["env", "JAX_PLATFORMS=nonsense", sys.executable, "-c", NOWHERE],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^cache +none: there is no home directory$", done.stdout, re.MULTILINE)
    assert re.search(r"^devices +unknown \(", done.stdout, re.MULTILINE)


def test_a_cache_that_may_not_be_read_is_no_crash(monkeypatch):
    def closed(*_):
        raise PermissionError(13, "Permission denied", "/closed")

    monkeypatch.setattr(info.os, "scandir", closed)
    monkeypatch.setattr(info.Path, "is_dir", lambda _: True)
    assert info.tried(info.cache).startswith("unknown (PermissionError: [Errno 13]")


@pytest.mark.parametrize("name", STYLES + CONTENTS)
def test_every_drawn_picture_is_listed(name):
    done = run_command("-m", "stya2k_jax", "styles")
    assert done.returncode == 0
    assert re.search(rf"^drawn:{name} +\w", done.stdout, re.MULTILINE)


def test_the_sheet_of_drawn_pictures_is_written(tmp_path):
    done = run_command("-m", "stya2k_jax", "styles", f"--sheet={tmp_path / 'sheet.jpg'}")
    assert done.returncode == 0 and f"The sheet is {tmp_path / 'sheet.jpg'}" in done.stdout
    with Image.open(tmp_path / "sheet.jpg") as image:
        assert image.format == "JPEG" and image.height > len(STYLES + CONTENTS) * 256
    done = run_command("-m", "stya2k_jax", "styles", f"--sheet={tmp_path / 'sheet.gif'}")
    assert done.returncode == 2 and "No picture can be written as '.gif'" in done.stderr
