"""Means with intervals, and medians, of numbers per pair."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

RESAMPLES = 10_000
_AT_ONCE = 500  # which bounds the memory
_RATIO = "pattern_"  # metrics named so are ratios, whose means are geometric


def summarize(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, dict]:
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
        found[name] = {
            "count": len(array),
            "mean": float(back(to(array).mean())),
            "ci95": [float(back(bound)) for bound in bootstrap_interval(to(array))],
            "median": float(np.median(array)),
            "per_style": {style: float(back(np.mean(to(x)))) for style, x in per_style.items()},
        }
    return found


def bootstrap_interval(
    values: np.ndarray, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of the mean.

    Values are resampled one by one, as if they were independent. Pairs share contents and styles,
    so the interval is about pairs like these, not about new styles.

    Args:
      values: `[n]`.
      level: the share of resampled means that lies within.
      seed: of the resampling.
    """
    if len(values) == 1:  # which SciPy refuses
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (np.sort(values),),  # the order in which pairs were measured must not matter
        np.mean,
        n_resamples=RESAMPLES,
        batch=_AT_ONCE,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = found.confidence_interval
    return float(low), float(high)
