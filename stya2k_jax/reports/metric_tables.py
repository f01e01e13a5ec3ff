"""Measured numbers as HTML tables: systems, or styles, in rows and metrics in columns."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

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


def summary_table(summaries: Mapping[str, dict]) -> str:
    """Lays metrics out in columns, systems in rows: mean, interval and median.

    Metrics that are not in `LOWER_IS_BETTER` follow in a table that is opened by a click.
    """
    names = list(dict.fromkeys(name for summary in summaries.values() for name in summary))
    first = [name for name in names if name in LOWER_IS_BETTER] or names
    rest = [name for name in names if name not in first]
    return _summary_table(summaries, first) + _folded(_summary_table(summaries, rest), rest)


def fid_table(fids: Mapping[str, Mapping[str, float]]) -> str:
    """Lays FID and ArtFID out, a row a system."""
    rows = "".join(
        f"<tr><td>{escape(system)}</td><td>{found['pictures']}</td><td>{found['fid']:.4g}</td>"
        f"<td>{format(found['art_fid'], '.4g') if 'art_fid' in found else '–'}</td></tr>"
        for system, found in fids.items()
    )
    head = "<th>over all pictures</th><th>number</th><th>FID ↓</th><th>ArtFID ↓</th>"
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def per_style_table(summary: Mapping[str, dict], styles: Mapping[str, Path]) -> str:
    """Lays the means of each style out, a row a style; further metrics as in `summary_table`."""
    first = [name for name in summary if name in LOWER_IS_BETTER] or list(summary)
    rest = [name for name in summary if name not in first]
    return _style_table(summary, first, styles) + _folded(_style_table(summary, rest, styles), rest)


def heading(name: str) -> str:
    """Says a metric in words, with an arrow to where it is better."""
    arrow = {True: " ↓", False: " ↑", None: ""}[LOWER_IS_BETTER.get(name)]
    words = name.upper() if name in ("lpips", "ssim", "cfsd") else re.sub(r"_(?!\d)", " ", name)
    words = re.sub(r"^pattern_(\d)px", r"pattern of \1 px", words)
    return escape(words + arrow)


def _summary_table(summaries: Mapping[str, dict], names: Sequence[str]) -> str:
    head = "".join(f"<th>{heading(name)}</th>" for name in names)
    rows = []
    for system, summary in summaries.items():
        cells = []
        for name in names:
            found = summary.get(name)
            cells.append(f"<td>{_mean(found)}</td>" if found else "<td>–</td>")
        rows.append(f"<tr><td>{escape(system)}</td>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table><tr><th>mean [95 % interval], median</th>{head}</tr>'
        f"{''.join(rows)}</table></div>"
    )


def _style_table(summary: Mapping[str, dict], names: Sequence[str], styles: Mapping[str, Path]):
    head = "".join(f"<th>{heading(name)}</th>" for name in names)
    rows = []
    for style in styles:
        values = [summary[name]["per_style"].get(style) for name in names]
        cells = "".join(f"<td>{'–' if v is None else f'{v:.4g}'}</td>" for v in values)
        rows.append(f"<tr><td>{escape(style)}</td>{cells}</tr>")
    return f'<div class="wide"><table><tr><th>style</th>{head}</tr>{"".join(rows)}</table></div>'


def _folded(table: str, names: Sequence[str]) -> str:
    title = "By layer, per layer and in form B"
    return f"<details><summary>{title}</summary>{table}</details>" if names else ""


def _mean(found: Mapping[str, Any]) -> str:
    if not {"ci95", "median"} <= found.keys():  # published
        return f"{found['mean']:.4g}"
    low, high = found["ci95"]
    return (
        f"{found['mean']:.4g} <small>[{low:.4g}, {high:.4g}]<br>median "
        f"{found['median']:.4g}</small>"
    )
