"""A preference study as one HTML file (Sec. 4.2, "User Study").

Each group shows a content, a style and the systems' results under letters, and asks three
questions. Every participant sees another order. The page exports the votes as JSON and sends
nothing. It does not show which system is which; the exported file says it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.pictures.names import Pair
from stya2k_jax.reports.page import write_page
from stya2k_jax.reports.picture_grids import small_jpeg

QUESTIONS = {
    "content": "Which result keeps the content best?",
    "style": "Which result shows the style best?",
    "overall": "Which result do you like best?",
}
GROUPS = 20
PICTURE_PX = 320


def write_study(
    path: Path,
    systems: Mapping[str, Mapping[Pair, Path]],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    pixels_of: Callable[[Path], np.ndarray],
    *,
    groups: int = GROUPS,
    seed: int = 0,
) -> list[Pair]:
    """Writes the page.

    Args:
      path: of the HTML file.
      systems: each system's stylized pictures.
      contents: files by name.
      styles: files by name.
      pixels_of: reads a picture as uint8 `[H, W, 3]`.
      groups: how many pairs are shown; they are drawn among those that every system has.
      seed: of the draw, and of the keys that stand for systems in the page.

    Returns:
      The pairs shown.

    Raises:
      UserError: fewer than two systems, or no pair that all have.
    """
    if len(systems) < 2:
        raise UserError(f"a study compares systems; it got {len(systems)}: give --system twice.")
    common = sorted(set.intersection(*(set(pictures) for pictures in systems.values())))
    if not common:
        raise UserError(f"no pair has a picture of every one of {', '.join(systems)}.")
    rng = np.random.default_rng(seed)
    chosen = [common[i] for i in sorted(rng.permutation(len(common))[:groups])]
    keys = dict(zip(systems, (f"k{i}" for i in rng.permutation(len(systems))), strict=True))
    shown = {f"c:{p.content}": contents[p.content] for p in chosen}
    shown |= {f"s:{p.style}": styles[p.style] for p in chosen}
    study = {
        "keys": {key: system for system, key in keys.items()},
        "questions": QUESTIONS,
        "pictures": {name: _jpeg(pixels_of(file)) for name, file in shown.items()},
        "groups": [
            {
                "group": pair.stem,
                "content": f"c:{pair.content}",
                "style": f"s:{pair.style}",
                "results": {keys[s]: _jpeg(pixels_of(systems[s][pair])) for s in systems},
            }
            for pair in chosen
        ],
    }
    study["id"] = hashlib.sha256(json.dumps(study).encode()).hexdigest()[:16]
    write_page(path, "study.html", title="Preference study", study=study)
    return chosen


def _jpeg(pixels: np.ndarray) -> str:
    return small_jpeg(pixels, PICTURE_PX, quality=88)
