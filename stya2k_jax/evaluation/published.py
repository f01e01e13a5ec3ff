"""Numbers of other evaluations, to show beside ours if the protocols are equal."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.judge import COLUMNS
from stya2k_jax.evaluation.systems import REFERENCES
from stya2k_jax.files.settings import changes

ALWAYS = ("size_px", "crop", "contents", "styles")
OF_METRIC = {  # further settings that a metric depends on
    "losses": ("judge",),
    "lpips": ("lpips",),
    "cfsd": ("cfsd_vgg",),
    "form_b": ("judge", "form_b_blue_first", "form_b_size_px"),
}


def read_published(path: Path, settings: Mapping[str, Any]) -> dict[str, dict]:
    """Reads the means of systems from a `metrics.json`, or a file like it.

    Args:
      path: JSON with `settings` as in `metrics.json`, and `metrics`: by system and metric a
        dictionary with at least `mean`. Where it has `pairs`, none may have failed.
      settings: of this evaluation.

    Returns:
      What `summarize` returns, by the names of the systems followed by "(published)". Metrics that
      this evaluation does not know are left out.

    Raises:
      UserError: another file, or numbers under another protocol; names what differs.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        theirs, metrics = given["settings"], given["metrics"]
        if not isinstance(theirs["measure"], list):
            raise TypeError("settings.measure is no list")
        both = [metric for metric in settings["measure"] if metric in theirs["measure"]]
        found = {
            f"{system} (published)": {
                name: _checked(x) for name, x in summary.items() if name in COLUMNS
            }
            for system, summary in metrics.items()
            if system not in REFERENCES
        }
        partial = [s for s, x in given.get("pairs", {}).items() if x["done"] < x["expected"]]
    except (OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is no metrics.json of an evaluation ({type(error).__name__}: {error})."
        ) from error
    if partial:
        raise UserError(f"{path} lacks pairs of {', '.join(partial)}; finish that evaluation.")
    fields = [*ALWAYS, *(field for metric in both for field in OF_METRIC.get(metric, ()))]
    if "cfsd" in both and settings["cfsd_vgg"] is None:
        fields.append("judge")
    ours, theirs = ({field: x.get(field) for field in fields} for x in (settings, theirs))
    other = list(changes(theirs, ours, said=("there", "here")))
    if other:
        raise UserError(
            f"{path} has another protocol, so its numbers mean something else:\n  "
            + "\n  ".join(other)
        )
    return found


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a metric with its numbers converted; raises TypeError or ValueError for others."""
    numbers: dict[str, Any] = {"mean": float(given["mean"])}
    if "median" in given:
        numbers["median"] = float(given["median"])
    if "ci95" in given:
        low, high = map(float, given["ci95"])
        numbers["ci95"] = [low, high]
    if not np.isfinite([x for value in numbers.values() for x in np.ravel(value)]).all():
        raise ValueError("a number is not finite")
    return {**given, **numbers}
