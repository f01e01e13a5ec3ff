"""Tests stand alone: what two files share lies in `tests/support`."""

import ast
from collections import Counter

from tests.support.paths import ROOT

SHARED = ("ROOT", "config_of", "encoded", "free_port", "noise", "rows_of", "saved")
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def imported(tree: ast.Module) -> set[str]:
    """Returns the full names of all that a file imports."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def code_in(tree: ast.Module) -> list[ast.Module]:
    """Returns the file and the scripts that it holds as text."""
    found = [tree]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and "import" in str(node.value):
            try:
                found.append(ast.parse(node.value))
            except SyntaxError:
                pass  # words, not code
    return found


def test_no_test_file_imports_another():
    arrows = [
        (path.relative_to(ROOT).as_posix(), name)
        for path in TESTS
        for tree in code_in(ast.parse(path.read_text("utf-8")))
        for name in imported(tree)
        if name.startswith("tests.") and ".test_" in name
    ]
    assert not arrows


def test_each_shared_name_is_defined_once():
    defined = Counter(
        name
        for path in TESTS
        for node in ast.parse(path.read_text("utf-8")).body
        for name in names_of(node)
    )
    assert {name: defined[name] for name in SHARED} == dict.fromkeys(SHARED, 1)


def names_of(node: ast.stmt) -> list[str]:
    """Returns the names that a statement of a file defines."""
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
