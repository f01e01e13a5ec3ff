"""An evaluation as one HTML file that needs nothing else: tables, protocol, pictures, plots."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from stya2k_jax.evaluation.measure_pairs import Measured
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.reports import plots
from stya2k_jax.reports.metric_tables import LOWER_IS_BETTER, per_style_table, summary_table
from stya2k_jax.reports.page import page
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
    tables: Sequence[str] = (),
) -> None:
    """Writes the report, whole or not at all.

    Args:
      path: of the HTML file.
      title: its heading.
      sentences: the protocol in words.
      measured: rows, failures and pictures by system, the references last.
      summaries: `summarise` of each system's rows; also of systems without pictures.
      contents: files by name.
      styles: files by name.
      thumbnails: makes the pictures small.
      notes: further paragraphs, such as time and memory.
      tables: further tables, as HTML.
    """
    shown = [system for system, found in measured.items() if found.pictures]
    headings = [("numbers", "Numbers"), ("protocol", "Protocol")]
    headings += [("pairs", "Side by side")] if len(shown) > 1 else []
    headings += [(f"system-{i}", system) for i, system in enumerate(shown)]
    parts = [_navigation(headings), _counts(measured)]
    parts += ['<h2 id="numbers">Numbers</h2>', summary_table(summaries), *tables]
    points = {
        system: [(row["content_loss"], row["style_loss"]) for row in found.rows]
        for system, found in measured.items()
        if found.rows and "content_loss" in found.rows[0]
    }
    if points:
        parts += ["<h3>Content against style, a dot a pair</h3>"]
        parts.append(plots.scatter(points, "content loss", "style loss"))
    parts += map(_paragraph, notes)
    parts += ['<h2 id="protocol">Protocol</h2><ul>', *(f"<li>{escape(s)}</li>" for s in sentences)]
    parts.append("</ul>")
    if len(shown) > 1:
        parts.append(pair_browser({name: measured[name].rows for name in shown}, contents, styles))
    for i, system in enumerate(shown):
        rows, pictures = measured[system].rows, measured[system].pictures
        parts += [f'<h2 id="system-{i}">{escape(system)}</h2><h3>By style</h3>']
        parts.append(per_style_table(summaries[system], styles))
        parts += [dots for name in ("style_loss", "content_loss") if (dots := _dots(rows, name))]
        parts.append("<h3>All pictures</h3><p>Click a picture to enlarge it.</p>")
        parts.append(picture_grid(pictures, contents, styles, thumbnails, system))
        for name, lower in LOWER_IS_BETTER.items():
            if rows and name in rows[0]:
                parts.append(extremes(rows, name, lower, pictures, contents, styles, thumbnails))
    html = page(title, parts)
    write_whole(path, lambda name: Path(name).write_text(html, encoding="utf-8"))


def _navigation(headings: Sequence[tuple[str, str]]) -> str:
    links = (f'<a href="#{target}">{escape(name)}</a>' for target, name in headings)
    return f"<nav>{''.join(links)}</nav>"


def _counts(measured: Mapping[str, Measured]) -> str:
    lines = []
    for system, found in measured.items():
        counts = found.counts()
        line = f"{escape(system)}: {counts['expected']} pairs expected, "
        line += f"{counts['done']} done, {counts['failed']} failed."
        if found.unused:
            names = ", ".join(path.name for path in found.unused[:5])
            more = ", …" if len(found.unused) > 5 else ""
            line += f" {len(found.unused)} files belong to no pair ({escape(names)}{more})."
        reasons = "".join(f"<li>{escape(r)}</li>" for r in found.failures.values())
        problem = found.failures or found.unused
        if reasons:
            line += f"<details><summary>What failed</summary><ul>{reasons}</ul></details>"
        lines.append(f"<li{' class=warning' if problem else ''}>{line}</li>")
    return f'<ul class="counts">{"".join(lines)}</ul>'


def _dots(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    groups: dict[str, list[float]] = {}
    for row in rows:
        if name in row:
            groups.setdefault(row["style"], []).append(row[name])
    return plots.dots_by_group(groups, name.replace("_", " ")) if groups else ""


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"
