"""An evaluation as one HTML file that needs nothing else: tables, protocol, pictures, plots."""

import base64
import io
import json
import re
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
LOWER_IS_BETTER = {  # the metrics that the first tables show
    "content_loss": True,
    "style_loss": True,
    "lpips": True,
    "ssim": False,
    "cfsd": True,
}

_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: #222; background: #fff }
nav a { margin-right: 1rem; white-space: nowrap } a { color: #2a6f97 }
.counts { padding-left: 0; list-style: none }
table { border-collapse: collapse; margin: .6rem 0 } .wide { overflow-x: auto }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right;
  vertical-align: bottom }
td { vertical-align: middle } td, th:first-child { white-space: nowrap }
th:first-child, td:first-child { text-align: left }
th.group { text-align: center; border-left: 1px solid #ddd }
small { color: #666 } .plot { max-width: 35rem; width: 100%; font-size: 11px }
summary { cursor: pointer; color: #2a6f97 } select { font: inherit }
.grid td, .grid th { padding: 1px; border: 0; width: 84px; height: 84px; text-align: center;
  font-size: 11px; white-space: normal }
.grid img { width: 84px; display: block; cursor: zoom-in }
.grid img:focus { position: fixed; z-index: 1; width: min(80vmin, 512px); left: 50%; top: 50%;
  transform: translate(-50%, -50%); cursor: default; outline: 2px solid #2a6f97;
  box-shadow: 0 0 0 100vmax #0008 }
figure { display: inline-block; margin: .3rem 1rem .6rem 0; vertical-align: top }
figure img { width: 118px } figcaption { font-size: 12px; white-space: pre-line }
#chosen figure, #chosen img { width: 256px; max-width: 44vw } .warning { color: #a33 }
"""

# Shows one pair of all systems; takes the pictures from the grids and the numbers from `numbers`.
_BROWSE = """<h2 id="pairs">Systems side by side</h2>
<p><label>Content <select id="content">__CONTENTS__</select></label>
<label>Style <select id="style">__STYLES__</select></label></p><div id="chosen"></div>
<script>
const numbers = __NUMBERS__;
const byId = id => document.getElementById(id);
function show() {
  const content = byId("content").value, style = byId("style").value;
  const stem = `${content}_stylized_${style}`;
  const add = (image, caption) => {
    const figure = document.createElement("figure"), text = document.createElement("figcaption");
    text.textContent = image ? caption : `${caption}: failed`;
    if (image) { const shown = image.cloneNode(); shown.loading = "eager"; figure.append(shown); }
    figure.append(text);
    byId("chosen").append(figure);
  };
  byId("chosen").replaceChildren();
  const grids = [...document.querySelectorAll(".grid[data-system]")];
  const find = (grid, name) =>
    [...grid.querySelectorAll("img")].find(image => image.title === name);
  add(find(grids[0], content), content);
  add(find(grids[0], style), style);
  for (const grid of grids) {
    const system = grid.dataset.system;
    add(find(grid, stem), [system, ...(numbers[system][stem] || [])].join("\\n"));
  }
}
byId("content").onchange = byId("style").onchange = show;
addEventListener("DOMContentLoaded", show);
</script>"""


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
        parts.append(_browser({name: measured[name].rows for name in shown}, contents, styles))
    for i, system in enumerate(shown):
        rows, pictures = measured[system].rows, measured[system].pictures
        parts += [f'<h2 id="system-{i}">{escape(system)}</h2><h3>By style</h3>']
        parts.append(per_style_table(summaries[system], styles))
        parts += [dots for name in ("style_loss", "content_loss") if (dots := _dots(rows, name))]
        parts.append("<h3>All pictures</h3><p>Click a picture to enlarge it.</p>")
        parts.append(picture_grid(pictures, contents, styles, thumbnails, system))
        for name, lower in LOWER_IS_BETTER.items():
            if rows and name in rows[0]:
                parts.append(_extremes(rows, name, lower, pictures, contents, styles, thumbnails))
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


def picture_grid(
    pictures: Mapping[Pair, Path],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    thumbnails: Thumbnails,
    system: str = "",
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
    name = escape(system, quote=True)
    return (
        f'<div class="wide"><table class="grid" data-system="{name}">{"</tr>".join(rows)}</tr>'
        "</table></div>"
    )


def heading(name: str) -> str:
    """Says a metric in words, with an arrow to where it is better."""
    arrow = {True: " ↓", False: " ↑", None: ""}[LOWER_IS_BETTER.get(name)]
    words = name.upper() if name in ("lpips", "ssim", "cfsd") else re.sub(r"_(?!\d)", " ", name)
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


def _navigation(headings: Sequence[tuple[str, str]]) -> str:
    links = (f'<a href="#{target}">{escape(name)}</a>' for target, name in headings)
    return f"<nav>{''.join(links)}</nav>"


def _browser(
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
) -> str:
    numbers = {
        system: {
            Pair(row["content"], row["style"]).stem: [
                f"{name.replace('_', ' ')} {row[name]:.3g}"
                for name in LOWER_IS_BETTER
                if name in row
            ]
            for row in found
        }
        for system, found in rows.items()
    }
    html = _BROWSE.replace("__NUMBERS__", json.dumps(numbers).replace("<", "\\u003c"))
    for place, names in (("__CONTENTS__", contents), ("__STYLES__", styles)):
        html = html.replace(place, "".join(f"<option>{escape(name)}</option>" for name in names))
    return html


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
    parts = []
    for kind, chosen in (("Best", order[:EXTREMES]), ("Worst", order[EXTREMES:][-EXTREMES:])):
        figures = []
        for row in chosen:
            pair = Pair(row["content"], row["style"])
            three = (contents[pair.content], styles[pair.style], pictures[pair])
            images = "".join(thumbnails.image(path) for path in three)
            caption = f"{escape(pair.content)}, {escape(pair.style)}: {row[name]:.4g}"
            figures.append(f"<figure>{images}<figcaption>{caption}</figcaption></figure>")
        if figures:
            parts.append(f"<h3>{kind}: {heading(name)}</h3><div>{''.join(figures)}</div>")
    return "".join(parts)


def _dots(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    groups: dict[str, list[float]] = {}
    for row in rows:
        if name in row:
            groups.setdefault(row["style"], []).append(row[name])
    return plots.dots_by_group(groups, name.replace("_", " ")) if groups else ""


def _mean(found: Mapping[str, Any]) -> str:
    if not {"ci95", "median"} <= found.keys():  # published
        return f"{found['mean']:.4g}"
    low, high = found["ci95"]
    return (
        f"{found['mean']:.4g} <small>[{low:.4g}, {high:.4g}]<br>median "
        f"{found['median']:.4g}</small>"
    )


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"
