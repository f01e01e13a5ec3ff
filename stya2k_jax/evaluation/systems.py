"""Systems of an evaluation: models and folders of stylized pictures."""

from pathlib import Path

from stya2k_jax.weights.loading import MINI
from stya2k_jax.weights.model_files import ARCHITECTURE_FILE, PAINTER_FILE

REFERENCES = ("content unchanged", "style itself")


def is_model(path: Path) -> bool:
    """Tells a model (a directory, a run, a file or "a2k-mini") from a folder of pictures."""
    return (
        str(path) == MINI
        or path.is_file()
        or any((path / name).is_file() for name in (PAINTER_FILE, ARCHITECTURE_FILE))
    )
