"""The notebooks of `examples/`: run them, and keep what they show (`make notebooks`)."""

import sys
from pathlib import Path
from typing import Any

from stya2k_jax.files.atomic import write_whole
from tests.support.paths import ROOT

NOTEBOOKS = tuple(sorted((ROOT / "examples").glob("*.ipynb")))
SECONDS_A_CELL = 300


def executed(path: Path) -> Any:
    """Runs a notebook in its folder, from the top, in a process of its own.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook, timeout=SECONDS_A_CELL, resources=resources, record_timing=False
    )
    done = client.execute()
    done.metadata["language_info"] = {"name": "python"}  # whatever the version
    return done


def shown(notebook: Any) -> list[list[str]]:
    """Returns for each cell of code the kinds of its outputs, such as `image/jpeg`."""
    return [
        [
            kind
            for output in cell.outputs
            for kind in sorted(output.get("data", [output.output_type]))
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def main(paths: list[str]) -> None:
    """Runs notebooks and writes them with their outputs."""
    import nbformat

    for path in map(Path, paths):
        text = nbformat.writes(executed(path))
        write_whole(path, lambda name, text=text: Path(name).write_text(f"{text}\n", "utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
