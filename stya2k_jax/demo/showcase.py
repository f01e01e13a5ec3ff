"""A first look in one page: `stya2k showcase --output=demo`, which `make demo` runs.

Stylizes photographs in styles that the project draws, with the model that comes with it, and puts
everything into one HTML file, the losses of a training run too.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image
from tqdm import tqdm

from stya2k_jax.demo.examples import contents_and_styles
from stya2k_jax.errors import UserError
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.pictures.arrays import write_png
from stya2k_jax.pictures.names import Pair
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.reports import plots
from stya2k_jax.reports.page import write_page
from stya2k_jax.reports.picture_grids import Thumbnails, picture_grid
from stya2k_jax.training.log import METRICS_FILE


def write_showcase(
    stylizer: Stylizer, model: str, directory: Path, size_px: int, run: Path | None = None
) -> Path:
    """Stylizes the examples and writes `demo.html` and all pictures into a directory.

    Args:
      stylizer: paints.
      model: what the page calls it.
      directory: for the page, `content`, `style` and `stylized`.
      size_px: side of the pictures.
      run: a training run whose losses are shown.

    Returns:
      The page.

    Raises:
      UserError: the run has no steps, or damaged ones, or Matplotlib is not installed.
    """
    losses = "" if run is None else loss_curve(run)
    contents, styles = contents_and_styles(size_px)
    sources: dict[str, dict[str, Path]] = {}
    for kind, images in (("content", contents), ("style", styles)):
        sources[kind] = {name: directory / kind / f"{name}.png" for name in images}
        for name, image in images.items():
            write_png(sources[kind][name], np.asarray(image))
    pictures, seconds = stylize_all(stylizer, contents, styles, directory / "stylized")
    path = directory / "demo.html"
    thumbnails = Thumbnails(lambda file: np.asarray(read_picture(file)))
    write_page(
        path,
        "showcase.html",
        title="StyA2K in JAX",
        summary=f"{len(contents)} contents in {len(styles)} styles by {model}, "
        f"{size_px}×{size_px} pixels: {np.median(seconds):.2f} s a picture, styles encoded before "
        f"(the first, with compilation: {seconds[0]:.1f} s).",
        grid=picture_grid(pictures, sources["content"], sources["style"], thumbnails),
        losses=losses,
    )
    return path


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


def loss_curve(run: Path) -> Markup:
    """Draws the weighted losses of a training run over its steps, as SVG.

    Raises:
      UserError: the run has no steps yet, or its `metrics.jsonl` is damaged.
    """
    path = run / METRICS_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = {
            row["step"]: row for row in map(json.loads, lines)
        }  # of a step the last line counts
        names = [name for name in rows[max(rows)] if name.startswith("loss")] if rows else []
        series = {
            name: [(float(step), float(row[name])) for step, row in rows.items()] for name in names
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is no log of a training run ({type(error).__name__}: {error})."
        ) from error
    if not rows:
        raise UserError(f"{run} has no steps yet; train longer.")
    return plots.scatter(series, "step", "weighted loss")
