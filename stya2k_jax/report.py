"""An evaluation as one HTML file that needs nothing else: tables, protocol, pictures, plots."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stya2k_jax import plots
from stya2k_jax.evaluating import Measured
from stya2k_jax.files import write_whole
from stya2k_jax.images import PictureError
from stya2k_jax.pairs import Pair

THUMBNAIL_PX = 256
EXTREMES = 3  # best and worst pairs shown for a metric
LOWER_IS_BETTER = {
    "content_loss": True,
    "style_loss": True,
    "lpips": True,
    "ssim": False,
    "cfsd": True,
}

_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: #222; background: #fff }
table { border-collapse: collapse; margin: .6rem 0 } .wide { overflow-x: auto }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right;
  white-space: nowrap }
th:first-child, td:first-child { text-align: left }
small { color: #777 } .plot { max-width: 35rem; font-size: 11px }
.grid td, .grid th { padding: 1px; border: 0; text-align: center; font-size: 11px }
.grid img { width: 84px; display: block; cursor: zoom-in }
.grid img:focus { width: 256px; outline: 2px solid #2a6f97 }
figure { display: inline-block; margin: .3rem 1rem .6rem 0 } figure img { width: 130px }
figcaption { font-size: 12px } .warning { color: #a33 }
"""


class Thumbnails:
    """Pictures as data URLs, each made once."""

    def __init__(self, pixels_of: Callable[[Path], np.ndarray]):
        """Takes what reads a picture as uint8 `[H, W, 3]`."""
        self._pixels_of, self._made = pixels_of, {}

    def image(self, path: Path, title: str = "") -> str:
        """Returns an `<img>`; one that a click or Tab enlarges where the page's style says so."""
        if path not in self._made:
            try:
                image = Image.fromarray(self._pixels_of(path))
            except PictureError:  # counted among the failures
                return escape(title or path.stem)
            image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            image.save(buffer, format="JPEG", quality=80)
            self._made[path] = base64.b64encode(buffer.getvalue()).decode()
        name = escape(title or path.stem, quote=True)
        source = f"data:image/jpeg;base64,{self._made[path]}"
        return f'<img loading="lazy" tabindex="0" title="{name}" alt="{name}" src="{source}">'


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
      summaries: `summarise` of each system's rows.
      contents: files by name.
      styles: files by name.
      thumbnails: makes the pictures small.
      notes: further paragraphs, such as time and memory.
      tables: further tables, as HTML.
    """
    parts = [_counts(measured)]
    parts += ["<h2>Numbers</h2>", summary_table(summaries), *tables, *map(_paragraph, notes)]
    parts += ["<h2>Protocol</h2><ul>", *(f"<li>{escape(s)}</li>" for s in sentences), "</ul>"]
    for system, found in measured.items():
        if not found.pictures:
            continue
        rows, pictures = found.rows, found.pictures
        heading = escape(system)
        parts += [f"<h2>By style: {heading}</h2>", per_style_table(summaries[system], styles)]
        parts += [dots for name in ("style_loss", "content_loss") if (dots := _dots(rows, name))]
        for name, lower in LOWER_IS_BETTER.items():
            if rows and name in rows[0]:
                parts.append(f"<h3>Best and worst in {name}</h3>")
                parts.append(_extremes(rows, name, lower, pictures, contents, styles, thumbnails))
        parts += [f"<h2>Pictures: {heading}</h2><p>Click a picture to enlarge it.</p>"]
        parts.append(picture_grid(pictures, contents, styles, thumbnails))
    points = {
        system: [(row["content_loss"], row["style_loss"]) for row in found.rows]
        for system, found in measured.items()
        if found.rows and "content_loss" in found.rows[0]
    }
    if points:
        parts += ["<h2>Content against style</h2>"]
        parts.append(plots.scatter(points, "content loss", "style loss"))
    html = page(title, parts)
    write_whole(path, lambda name: Path(name).write_text(html, encoding="utf-8"))


def page(title: str, parts: Sequence[str]) -> str:
    """Returns an HTML page of its parts, under its title as the heading."""
    name = escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_CSS}</style><body><h1>{name}</h1>{''.join(parts)}</body></html>\n"
    )


def summary_table(summaries: Mapping[str, dict]) -> str:
    """Lays metrics out in columns, systems in rows: mean, interval and median."""
    names = list(dict.fromkeys(name for summary in summaries.values() for name in summary))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
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


def per_style_table(summary: Mapping[str, dict], styles: Mapping[str, Path]) -> str:
    """Lays the means of each style out, a row a style."""
    head = "".join(f"<th>{escape(name)}</th>" for name in summary)
    rows = []
    for style in styles:
        values = [found["per_style"].get(style) for found in summary.values()]
        cells = "".join(f"<td>{'–' if v is None else f'{v:.4g}'}</td>" for v in values)
        rows.append(f"<tr><td>{escape(style)}</td>{cells}</tr>")
    return f'<div class="wide"><table><tr><th>style</th>{head}</tr>{"".join(rows)}</table></div>'


def picture_grid(
    pictures: Mapping[Pair, Path],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    thumbnails: Thumbnails,
) -> str:
    """Lays all pictures out: styles in the first row, contents in the first column."""
    rows = ["<tr><th></th>" + "".join(f"<th>{thumbnails.image(styles[s])}</th>" for s in styles)]
    for content in contents:
        cells = [f"<th>{thumbnails.image(contents[content])}</th>"]
        for style in styles:
            pair = Pair(content, style)
            shown = thumbnails.image(pictures[pair], pair.stem) if pair in pictures else "–"
            cells.append(f"<td>{shown}</td>")
        rows.append("<tr>" + "".join(cells))
    return f'<div class="wide"><table class="grid">{"</tr>".join(rows)}</tr></table></div>'


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
        lines.append(f"<p{' class=warning' if problem else ''}>{line}</p>")
        if reasons:
            lines.append(f"<details><summary>What failed</summary><ul>{reasons}</ul></details>")
    return "".join(lines)


def _extremes(
    rows: Sequence[Mapping[str, Any]],
    name: str,
    lower: bool,
    pictures: Mapping[Pair, Path],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    thumbnails: Thumbnails,
) -> str:
    order = sorted(rows, key=lambda row: row[name], reverse=not lower)
    chosen = order[:EXTREMES] + order[EXTREMES:][-EXTREMES:]
    figures = []
    for row in chosen:
        pair = Pair(row["content"], row["style"])
        three = (contents[pair.content], styles[pair.style], pictures[pair])
        images = "".join(thumbnails.image(path) for path in three)
        caption = f"{escape(pair.stem)}: {row[name]:.4g}"
        figures.append(f"<figure>{images}<figcaption>{caption}</figcaption></figure>")
    return "".join(figures)


def _dots(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    groups: dict[str, list[float]] = {}
    for row in rows:
        if name in row:
            groups.setdefault(row["style"], []).append(row[name])
    return plots.dots_by_group(groups, name.replace("_", " ")) if groups else ""


def _mean(found: Mapping[str, Any]) -> str:
    low, high = found["ci95"]
    return (
        f"{found['mean']:.4g} <small>[{low:.4g}, {high:.4g}]<br>median "
        f"{found['median']:.4g}</small>"
    )


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"
