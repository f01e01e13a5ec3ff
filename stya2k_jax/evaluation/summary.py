"""From numbers per pair to the numbers of a table: means with their uncertainty, medians."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

RESAMPLES = 10_000
_AT_ONCE = 500  # which bounds the memory
_RATIO = "pattern_"  # metrics named so are ratios, whose means are geometric


def summarise(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, dict]:
    """Sums up each metric over pairs.

    Args:
      rows: each has `content`, `style` and the metrics.
      names: the metrics.

    Returns:
      For each metric `count`, `mean`, `ci95` (low and high), `median`, and `per_style` (means).
      Means of `pattern_2px` and `pattern_4px` are geometric, and so are their intervals.
    """
    found = {}
    for name in names:
        values = {(r["content"], r["style"]): r[name] for r in rows if name in r}
        if not values:
            continue
        per_style: dict[str, list[float]] = {}
        for (_, style), value in values.items():
            per_style.setdefault(style, []).append(value)
        array = np.array(list(values.values()), np.float64)
        to, back = (np.log, np.exp) if name.startswith(_RATIO) else (np.asarray, np.asarray)
        low, high = bootstrap_interval(to(array))
        found[name] = {
            "count": len(array),
            "mean": float(back(to(array).mean())),
            "ci95": [float(back(low)), float(back(high))],
            "median": float(np.median(array)),
            "per_style": {style: float(back(np.mean(to(x)))) for style, x in per_style.items()},
        }
    return found


def bootstrap_interval(
    values: np.ndarray, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of the mean.

    Values are drawn anew one by one, as if they were independent. Pairs share contents and styles,
    so the interval tells how sure the mean is for pairs like these, not for new styles.

    Args:
      values: `[n]`.
      level: what part of the resampled means lies within.
      seed: of the resampling.
    """
    # The order in which pairs were measured must not matter: resample the sorted values.
    values, n = np.sort(values), len(values)
    rng, means = np.random.default_rng(seed), []
    for _ in range(0, RESAMPLES, _AT_ONCE):
        means.append(values[rng.integers(0, n, (_AT_ONCE, n))].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
