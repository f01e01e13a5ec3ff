"""The notebooks of `examples/`: whole, small, and run from the top by `make outside`."""

import base64
import json
import re
from pathlib import Path

import pytest

from tests.support.notebooks import NOTEBOOKS, executed, shown
from tests.support.paths import ROOT

MOST_BYTES, MOST_PICTURE_BYTES = 300_000, 80_000


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def cells(path: Path, kind: str) -> list[dict]:
    notebook = json.loads(path.read_text("utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_there_are_a_first_look_a_training_and_a_look_inside():
    assert [path.stem for path in NOTEBOOKS] == ["attention", "quickstart", "train_your_own"]


def test_what_is_kept_was_run_once_from_the_top_without_an_error(path):
    counts = [cell["execution_count"] for cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in cells(path, "code") for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {
        *("stream", "execute_result", "display_data")
    }
    assert not any(output.get("name") == "stderr" for output in outputs)


def test_pictures_are_there_and_small(path):
    assert path.stat().st_size < MOST_BYTES
    sizes = [
        len(base64.b64decode("".join(data)))
        for cell in cells(path, "code")
        for output in cell["outputs"]
        for kind, data in output.get("data", {}).items()
        if kind.startswith("image/")
    ]
    assert len(sizes) >= 3 and max(sizes) < MOST_PICTURE_BYTES


def test_it_tells_nothing_of_the_machine_and_its_links_lead_somewhere(path):
    text = path.read_text("utf-8")
    assert str(Path.home()) not in text and str(ROOT) not in text and "/tmp" not in text
    for cell in cells(path, "markdown"):
        for link in re.findall(r"\]\(([^)#]+)", "".join(cell["source"])):
            assert (path.parent / link).exists(), link


@pytest.mark.export
def test_it_runs_and_shows_what_it_showed(path):
    import nbformat

    pytest.importorskip("matplotlib", reason="the notebooks draw curves")
    assert shown(executed(path)) == shown(nbformat.read(path, as_version=4))
