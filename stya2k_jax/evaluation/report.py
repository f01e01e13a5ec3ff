"""An evaluation as one HTML file that needs nothing else: tables, protocol, pictures, plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from stya2k_jax.evaluation.measure_pairs import Measured
from stya2k_jax.reports import plots
from stya2k_jax.reports.metric_tables import LOWER_IS_BETTER, per_style_table, summary_table
from stya2k_jax.reports.page import write_page
from stya2k_jax.reports.picture_grids import Thumbnails, extremes, pair_browser, picture_grid


def write_report(
    path: Path,
    *,
    title: str,
    sentences: Sequence[str],
    measured: Mapping[str, Measured],
    summaries: Mapping[str, dict],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    thumbnails: Thumbnails,
    notes: Sequence[str] = (),
    tables: Sequence[Markup] = (),
) -> None:
    """Writes the report, whole or not at all.

    Args:
      path: of the HTML file.
      title: its heading.
      sentences: the protocol in words.
      measured: rows, failures and pictures by system, the references last.
      summaries: `summarize` of each system's rows; also of systems without pictures.
      contents: files by name.
      styles: files by name.
      thumbnails: makes the pictures small.
      notes: further paragraphs, such as time and memory.
      tables: further tables.
    """
    shown = [system for system, found in measured.items() if found.pictures]
    headings = [("numbers", "Numbers"), ("protocol", "Protocol")]
    headings += [("pairs", "Side by side")] if len(shown) > 1 else []
    headings += [(f"system-{i}", system) for i, system in enumerate(shown)]
    points = {
        system: [(row["content_loss"], row["style_loss"]) for row in found.rows]
        for system, found in measured.items()
        if found.rows and "content_loss" in found.rows[0]
    }
    systems = []
    for i, system in enumerate(shown):
        rows, pictures = measured[system].rows, measured[system].pictures
        has = [name for name in LOWER_IS_BETTER if rows and name in rows[0]]
        three = (pictures, contents, styles)
        systems.append(
            {
                "target": f"system-{i}",
                "name": system,
                "table": per_style_table(summaries[system], styles),
                "plots": [
                    _dots(rows, name) for name in ("style_loss", "content_loss") if name in has
                ],
                "grid": picture_grid(*three, thumbnails, system),
                "extremes": [
                    extremes(rows, name, LOWER_IS_BETTER[name], *three, thumbnails) for name in has
                ],
            }
        )
    write_page(
        path,
        "report.html",
        title=title,
        headings=headings,
        measured=measured,
        summary=summary_table(summaries),
        tables=tables,
        scatter=plots.scatter(points, "content loss", "style loss") if points else "",
        notes=notes,
        sentences=sentences,
        pair_browser=pair_browser([measured[name].rows for name in shown], contents, styles)
        if len(shown) > 1
        else "",
        shown=systems,
    )


def _dots(rows: Sequence[Mapping[str, Any]], name: str) -> Markup:
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row["style"], []).append(row[name])
    return plots.dots_by_group(groups, name.replace("_", " "))
