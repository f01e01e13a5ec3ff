"""A first look in one page: `stya2k showcase --output=demo`, which `make demo` runs.

Stylizes photographs in styles that the project draws, with the model that comes with it, and puts
everything into one HTML file, the losses of a training run too.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from stya2k_jax.errors import UserError
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.pictures.arrays import write_png
from stya2k_jax.pictures.names import Pair
from stya2k_jax.reports import plots
from stya2k_jax.training.log import METRICS_FILE


def stylize_all(
    stylizer: Stylizer,
    contents: Mapping[str, Image.Image],
    styles: Mapping[str, Image.Image],
    output: Path,
) -> tuple[dict[Pair, Path], list[float]]:
    """Writes every pair's picture to `output`; returns the files and the seconds of each."""
    files, seconds = {}, []
    names = [Pair(content, style) for content in contents for style in styles]
    pairs = stylizer.pairs(list(contents.values()), list(styles.values()))
    for pair in tqdm(names, "stylizing", unit="picture"):
        start = time.perf_counter()
        *_, picture = next(pairs)
        seconds.append(time.perf_counter() - start)
        files[pair] = output / f"{pair.stem}.png"
        write_png(files[pair], picture)
    return files, seconds


def loss_curve(run: Path) -> str:
    """Draws the weighted losses of a training run over its steps, as SVG."""
    lines = (run / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    if not lines:
        raise UserError(f"{run} has no steps yet; train longer.")
    rows = {row["step"]: row for row in map(json.loads, lines)}  # the last line of a step counts
    names = [name for name in rows[max(rows)] if name.startswith("loss")]
    series = {name: [(step, row[name]) for step, row in rows.items()] for name in names}
    return plots.scatter(series, "step", "weighted loss")
