"""What a training run did, in sentences and a curve, from the files that it keeps."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from stya2k_jax.demo.words import duration
from stya2k_jax.errors import UserError
from stya2k_jax.reports import plots
from stya2k_jax.training.log import METRICS_FILE
from stya2k_jax.training.run_directory import CONFIG_FILE
from stya2k_jax.weights.loading import MINI

_SAME = 0.03  # a change of the loss by less is none

Rows = dict[int, dict[str, float]]


class Story(NamedTuple):
    """What the page tells of a run: sentences, and its losses as SVG."""

    sentences: list[str]
    curve: Markup


def story_of(run: Path) -> Story:
    """Tells what a run trained and how its loss went.

    Raises:
      UserError: the run has no steps yet, or its `metrics.jsonl` is damaged.
    """
    rows = read_log(run)
    names = [name for name in rows[max(rows)] if name.startswith("loss")]
    try:
        series = {n: [(float(step), float(row[n])) for step, row in rows.items()] for n in names}
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(run, error) from error
    curve = plots.lines(series, "step", "weighted loss")
    sentences = [
        f"{_what_was_trained(run, rows)} This shows that training works; the pictures above are by "
        "the model as it was before."
    ]
    if "loss" in series:
        sentences.append(_how_it_went([y for _, y in series["loss"]]))
    return Story(sentences, curve)


def read_log(run: Path) -> Rows:
    """Reads the numbers of each step; of two lines of a step the last one counts.

    Raises:
      UserError: as `story_of`.
    """
    path = run / METRICS_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = {row["step"]: row for row in map(json.loads, lines)}
        steps = sorted(rows)
        losses = [float(row[name]) for row in rows.values() for name in row if _is_loss(name)]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(run, error) from error
    if not steps or not losses:
        raise UserError(f"{run} has no steps yet; train longer.")
    return rows


def _is_loss(name: str) -> bool:
    return name.startswith("loss")


def _damaged(run: Path, error: Exception) -> UserError:
    return UserError(
        f"{run / METRICS_FILE} is no log of a training run ({type(error).__name__}: {error})."
    )


def _what_was_trained(run: Path, rows: Rows) -> str:
    config = _config(run)
    steps = len(rows)
    begun = (
        "a2k-mini was trained further" if config.get("initial") == MINI else "A model was trained"
    )
    on = " on pictures that the project draws" if config.get("content") == "demo:" else ""
    batch = config.get("batch_size")
    size = f" of {batch} pictures" if isinstance(batch, int) and batch > 1 else ""
    text = f"{begun}{on}, for {steps} step{'s' * (steps > 1)}{size}"
    seconds = _seconds(rows, batch)
    return f"{text}; it took {duration(seconds)}." if seconds else f"{text}."


def _config(run: Path) -> Mapping[str, Any]:
    """Returns the run's recipe, or nothing where there is none: then fewer words are said."""
    try:
        return json.loads((run / CONFIG_FILE).read_text("utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _seconds(rows: Rows, batch: Any) -> float:
    rates = [row.get("images_per_second") for row in rows.values()]
    if not isinstance(batch, int) or not all(isinstance(x, float) and x > 0 for x in rates):
        return 0.0
    return sum(batch / x for x in rates)


def _how_it_went(losses: list[float]) -> str:
    """Compares the means of the first and the last tenth."""
    part = max(1, len(losses) // 10)
    first, last = sum(losses[:part]) / part, sum(losses[-part:]) / part
    change = (last - first) / first if first else 0.0
    if len(losses) < 3:
        return f"The loss is {last:.3g}; a curve needs more steps."
    numbers = f"from {first:.3g} to {last:.3g}, by {abs(change):.0%}"
    if abs(change) < _SAME:
        return (
            f"The loss stayed near {last:.3g}: the model was good at these pictures already. "
            "A step's loss depends on its pictures, so the pale line jumps."
        )
    verb = "fell" if change < 0 else "rose"
    rest = "" if change < 0 else "; train longer, or with a smaller learning rate"
    return f"The loss {verb} {numbers}{rest}. The bold lines are smoothed, the pale ones are not."
