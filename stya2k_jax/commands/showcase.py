"""`stya2k showcase`: the page of `make demo`."""

from pathlib import Path

import numpy as np
from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.demo.examples import contents_and_styles
from stya2k_jax.demo.showcase import loss_curve, stylize_all
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.pictures.arrays import write_png
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.reports.page import page
from stya2k_jax.reports.picture_grids import Thumbnails, picture_grid
from stya2k_jax.weights.loading import MINI, load


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
