"""Measured numbers as HTML tables: systems, or styles, in rows and metrics in columns."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from stya2k_jax.reports.page import macro

LOWER_IS_BETTER = {  # the metrics that the first tables show
    "content_loss": True,
    "style_loss": True,
    "lpips": True,
    "ssim": False,
    "cfsd": True,
    "pattern_2px": True,
    "pattern_4px": True,
    "rims": True,
}


def summary_table(summaries: Mapping[str, dict]) -> Markup:
    """Lays metrics out in columns, systems in rows: mean, interval and median.

    Metrics that are not in `LOWER_IS_BETTER` follow in a table that is opened by a click.
    """
    names = list(dict.fromkeys(name for summary in summaries.values() for name in summary))

    def table(names: Sequence[str]) -> Markup:
        head = ["mean [95 % interval], median", *map(heading, names)]
        rows = summaries.items()
        return macro("table", head, [[s, *(_mean(x.get(name)) for name in names)] for s, x in rows])

    return _first_and_rest(table, names)


def fid_table(fids: Mapping[str, Mapping[str, float]]) -> Markup:
    """Lays FID and ArtFID out, a row a system."""
    rows = [
        [system, found["pictures"], number(found["fid"]), number(found.get("art_fid"))]
        for system, found in fids.items()
    ]
    return macro("table", ["over all pictures", "number", "FID ↓", "ArtFID ↓"], rows)


def per_style_table(summary: Mapping[str, dict], styles: Iterable[str]) -> Markup:
    """Lays the means of each style out, a row a style; further metrics as in `summary_table`."""

    def table(names: Sequence[str]) -> Markup:
        means = [summary[name]["per_style"] for name in names]
        rows = [[style, *(number(mean.get(style)) for mean in means)] for style in styles]
        return macro("table", ["style", *map(heading, names)], rows)

    return _first_and_rest(table, list(summary))


def heading(name: str) -> str:
    """Returns a metric's name in words, with an arrow to where it is better."""
    arrow = {True: " ↓", False: " ↑", None: ""}[LOWER_IS_BETTER.get(name)]
    words = name.upper() if name in ("lpips", "ssim", "cfsd") else re.sub(r"_(?!\d)", " ", name)
    return re.sub(r"^pattern_(\d)px", r"pattern of \1 px", words) + arrow


def number(value: float | None) -> str:
    """Returns a number with four digits, or a dash where there is none."""
    return "–" if value is None else f"{value:.4g}"


def _first_and_rest(table, names: Sequence[str]) -> Markup:
    first = [name for name in names if name in LOWER_IS_BETTER] or names
    rest = [name for name in names if name not in first]
    title = "By layer, per layer and in form B"
    return table(first) + (macro("folded", title, table(rest)) if rest else "")


def _mean(found: Mapping[str, Any] | None) -> str:
    if found is None or not {"ci95", "median"} <= found.keys():  # absent, or published
        return number(found and found["mean"])
    return macro("mean", *map(number, (found["mean"], *found["ci95"], found["median"])))
