"""Types of the public names: complete for a strict checker, and not `Any`."""

import inspect
import subprocess
import sys
import typing

import pytest

import stya2k_jax
from tests.support.paths import ROOT

EXAMPLE = ROOT / "examples" / "typed.py"
MISTAKES = """
import numpy as np
import stya2k_jax

model = stya2k_jax.load()
stylizer = stya2k_jax.Stylizer("a2k-mini")
stylizer("photo.jpg", "painting.jpg").shape
stylizer(np.zeros((8, 8, 3)), "painting.jpg").save("a.png")
stylizer("photo.jpg", "painting.jpg", strength=0.5)
stylizer("photo.jpg", 3)
stylizer.encode_style("painting.jpg").save(3)
for content, style, picture in stylizer.stylize_many(["a.jpg"], ["b.jpg"]):
    picture.shape
stya2k_jax.Architecture(width="a quarter")
model.architecture.channels(3)
stya2k_jax.load(3)
"""
RIGHT_LINES = {"", "import", "model =", "for content"}


def checked(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_an_example_of_the_whole_api_passes_a_strict_checker():
    done = checked(EXAMPLE)
    assert done.returncode == 0, done.stdout


def test_mistakes_are_found_in_each_line_that_has_one(tmp_path):
    path = tmp_path / "mistakes.py"
    path.write_text(MISTAKES)
    done = checked(path)
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    wrong = {
        i
        for i, line in enumerate(MISTAKES.splitlines(), 1)
        if not any(line == start or (start and line.startswith(start)) for start in RIGHT_LINES)
    }
    assert found == wrong, done.stdout


def public_functions() -> dict[str, typing.Any]:
    found = {}
    for name in stya2k_jax.__all__:
        value = getattr(stya2k_jax, name)
        if inspect.isfunction(value):
            found[name] = value
            continue
        for part, member in vars(value).items():
            if inspect.isfunction(member) and (not part.startswith("_") or part == "__call__"):
                found[f"{name}.{part}"] = member
    return found


@pytest.mark.parametrize("name", public_functions())
def test_every_public_function_names_all_its_types(name):
    signature = inspect.signature(public_functions()[name])
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    assert all(p.annotation is not inspect.Parameter.empty for p in parameters)
    assert signature.return_annotation is not inspect.Signature.empty
    documented = inspect.getdoc(public_functions()[name])
    assert documented or name == "Style.__len__"


def test_the_example_uses_every_public_name():
    text = EXAMPLE.read_text()
    assert all(name in text for name in stya2k_jax.__all__)
