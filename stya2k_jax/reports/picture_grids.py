"""The pictures of a report: small, in grids, pair by pair, the best and the worst."""

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stya2k_jax.errors import PictureError
from stya2k_jax.pictures.names import Pair
from stya2k_jax.reports.metric_tables import LOWER_IS_BETTER, heading

THUMBNAIL_PX = 256
EXTREMES = 3  # best and worst pairs shown for a metric

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
  // By place: a content and a style may have one name. Row and column 0 hold styles and contents.
  const row = byId("content").selectedIndex + 1, column = byId("style").selectedIndex + 1;
  const find = (grid, i, j) => grid.rows[i].cells[j].querySelector("img");
  add(find(grids[0], row, 0), content);
  add(find(grids[0], 0, column), style);
  for (const grid of grids) {
    const system = grid.dataset.system;
    const caption = [system, ...(numbers[system][stem] || [])].join("\\n");
    add(find(grid, row, column), caption);
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


def pair_browser(
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
) -> str:
    """Shows one chosen pair of all systems, with its numbers; takes the pictures from the grids.

    Args:
      rows: of each system whose `picture_grid` is on the page.
      contents: files by name, in the order of the grids.
      styles: the same.
    """
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
        options = (f'<option value="{escape(name)}">{escape(name)}</option>' for name in names)
        html = html.replace(place, "".join(options))
    return html


def extremes(
    rows: Sequence[Mapping[str, Any]],
    name: str,
    lower: bool,
    pictures: Mapping[Pair, Path],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    thumbnails: Thumbnails,
) -> str:
    """Shows the best and the worst pairs by a metric, each with its content and style."""
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
