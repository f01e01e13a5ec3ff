"""A first look in one page: `python -m stya2k_jax.showcase --output=demo`, which `make demo` runs.

Stylizes photographs in styles that the project draws, with the model that comes with it, and puts
everything into one HTML file, the losses of a training run too.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image
from tqdm import tqdm

from stya2k_jax.commands import command_line
from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.report import page
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.pictures.names import Pair
from stya2k_jax.pictures.reading import crop_square, read_picture, write_png
from stya2k_jax.pictures.synthetic import STYLES, draw_content, draw_style
from stya2k_jax.reports import plots
from stya2k_jax.reports.picture_grids import Thumbnails, picture_grid
from stya2k_jax.training.log import METRICS_FILE
from stya2k_jax.weights.loading import MINI, load

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")  # of scikit-image: public domain, CC0
DRAWN_CONTENTS = (1,)  # a still life
DRAWN_STYLES = 6  # one of each kind, and the first kind in other colours


def photographs() -> dict[str, Image.Image]:
    """Returns scikit-image's free photographs, or nothing where it is not installed."""
    try:
        from skimage import data
    except ImportError:
        return {}
    return {name: Image.fromarray(getattr(data, name)()) for name in PHOTOGRAPHS}


def contents_and_styles(size_px: int) -> tuple[dict[str, Image.Image], dict[str, Image.Image]]:
    """Returns squares by name: photographs and a drawn picture, and drawn styles."""
    contents = {name: crop_square(image, size_px) for name, image in photographs().items()}
    for i in DRAWN_CONTENTS:
        contents[f"drawn_{i}"] = Image.fromarray(draw_content(i, size_px))
    styles = {}
    for i in range(DRAWN_STYLES):
        kind, again = STYLES[i % len(STYLES)], i // len(STYLES)
        name = f"{kind}_{again + 1}" if again else kind
        styles[name] = Image.fromarray(draw_style(i, size_px))
    return contents, styles


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


def main() -> None:
    """Writes pictures and `demo.html`."""
    output = flags.DEFINE_string("output", None, "Directory for the page.", required=True)
    run = flags.DEFINE_string("run", None, "A run of train.py, whose losses are shown.")
    checkpoint = flags.DEFINE_string("checkpoint", MINI, "The model that paints.")
    size_px = flags.DEFINE_integer("size", 384, "Side of the pictures in pixels.", lower_bound=16)

    def write(_) -> None:
        directory = Path(output.value)
        contents, styles = contents_and_styles(size_px.value)
        sources = {}
        for kind, images in (("content", contents), ("style", styles)):
            sources[kind] = {name: directory / kind / f"{name}.png" for name in images}
            for name, image in images.items():
                write_png(sources[kind][name], np.asarray(image))
        stylizer = Stylizer(load(checkpoint.value))
        pictures, seconds = stylize_all(stylizer, contents, styles, directory / "stylized")
        parts = [
            f"<p>{len(contents)} contents in {len(styles)} styles by {checkpoint.value}, "
            f"{size_px.value}×{size_px.value} pixels: {np.median(seconds):.2f} s a picture, "
            f"styles encoded before (the first, with compilation: {seconds[0]:.1f} s).</p>",
            picture_grid(
                pictures,
                sources["content"],
                sources["style"],
                Thumbnails(lambda path: np.asarray(read_picture(path))),
            ),
        ]
        if run.value:
            parts += ["<h2>Training</h2>", loss_curve(Path(run.value))]
        path = directory / "demo.html"
        html = page("StyA2K in JAX", parts)
        write_whole(path, lambda name: Path(name).write_text(html, encoding="utf-8"))
        print(f"Open {path}; the pictures are in {directory / 'stylized'}")

    command_line.run(write)


if __name__ == "__main__":
    main()
