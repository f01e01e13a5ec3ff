"""Where the tests find the checkout and the reference data."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def reference_path(*parts: str) -> Path:
    """Finds reference data: in $STYA2K_REFERENCE, else in the folder `shared` beside the clone."""
    return Path(os.environ.get("STYA2K_REFERENCE", ROOT.parent / "shared")).joinpath(*parts)
