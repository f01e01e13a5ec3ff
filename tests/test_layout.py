"""The plan of the package: folders in an order, none of which imports from one after it."""

import ast
import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import stya2k_jax

PACKAGE = Path(stya2k_jax.__file__).parent
AT_THE_ROOT = {"__init__.py", "__main__.py", "errors.py", "stopping.py", "py.typed"}
BELOW_ALL = {"errors", "stopping"}
FOLDERS = (  # each imports from those before it; docs/architecture.md says what they hold
    *("files", "network", "pictures", "weights", "conversion", "data", "training", "video"),
    *("inference", "export", "metrics", "reports", "web", "evaluation", "demo", "commands"),
)
NOT_LOADED = (  # by `import stya2k_jax`, because they are heavy, optional or both
    *("orbax", "grain", "tensorflow_datasets", "tensorboardX", "av", "cv2", "gradio", "torch"),
    *("ml_collections", "matplotlib"),
)


def name_of(path: Path) -> str:
    """Returns a module's name within the package: `network.a2k`, `network` of its `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def imports_of(code: str, files: dict[str, Path] = FILES) -> set[str]:
    """Returns the package's modules that code imports, at the top and inside functions."""
    named = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports in this package are absolute"
            named += [f"{node.module}.{alias.name}" for alias in node.names]
    found = set()
    for name in named:
        top, _, name = name.partition(".")
        if top == "stya2k_jax":  # what follows is a module, or a name in one
            found.add(name if name in files else name.rpartition(".")[0])
    return found


def circle_of(graph: dict[str, set[str]]) -> list[str]:
    """Returns a circle of a graph, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


IMPORTS = {name: imports_of(path.read_text("utf-8")) for name, path in FILES.items()}


def test_imports_are_found_wherever_they_stand():
    code = """
import stya2k_jax.network.a2k as a2k, os
from stya2k_jax.errors import UserError
from stya2k_jax import load
def late():
    from stya2k_jax.network import model, blocks
    from stya2k_jax.files.atomic import write_whole
"""
    modules = {"errors", "network.a2k", "network.model", "network.blocks", "files.atomic"}
    assert imports_of(code) == modules | {""}


def test_a_folder_imports_only_from_those_before_it():
    back = []
    for name, others in IMPORTS.items():
        folder, inside, _ = name.partition(".")
        if name in ("", "__main__"):
            continue
        for other in sorted(others):
            before = FOLDERS[: FOLDERS.index(folder) + 1] if folder in FOLDERS else ()
            if other.partition(".")[0] not in (*before, *BELOW_ALL):
                back.append(f"{name} imports {other or 'stya2k_jax'}")
    assert not back


def test_no_files_import_each_other_in_a_circle():
    assert not circle_of(IMPORTS)
    assert circle_of({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_no_folders_import_each_other_in_a_circle():
    folders = {folder: set() for folder in FOLDERS}
    for name, others in IMPORTS.items():
        folder = name.partition(".")[0]
        if folder in folders:
            folders[folder] |= {other.partition(".")[0] for other in others} - {folder}
    assert not circle_of(folders)


def test_each_folder_has_its_place_and_nothing_else_lies_at_the_root():
    found = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert found <= AT_THE_ROOT | set(FOLDERS)
    assert set(FOLDERS) <= found


@pytest.mark.parametrize("folder", [*FOLDERS, "network/baselines", "evaluation/clips"])
def test_each_folder_says_in_a_few_lines_what_lives_there(folder):
    text = ast.get_docstring(ast.parse((PACKAGE / folder / "__init__.py").read_text("utf-8")))
    assert 2 <= len(text.splitlines()) <= 5
    named = text.replace(",", " ").replace(";", " ").replace(".", " ").replace("`", " ").split()
    modules = {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__"}
    assert "Read" in named and modules & set(named)


def test_importing_the_package_loads_nothing_heavy_that_not_everybody_needs():
    code = (
        "import sys; from stya2k_jax import *; "
        f"print(*({{name.partition('.')[0] for name in sys.modules}} & set({NOT_LOADED})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_commands_settle_what_xla_logs_before_jax_is_imported():
    code = (
        "import os, sys, stya2k_jax.commands; "
        "assert 'jax' not in sys.modules; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    )
    for given, expected in ((None, "3"), ("0", "0")):
        environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": given} if given else {}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        assert done.stdout.split() == [expected]


def test_the_public_names_are_those_that_are_listed():
    for name in stya2k_jax.__all__:
        assert getattr(stya2k_jax, name).__module__.startswith("stya2k_jax.")
        assert name in dir(stya2k_jax)
    with pytest.raises(AttributeError, match="no attribute 'Stylist'"):
        stya2k_jax.Stylist  # noqa: B018
