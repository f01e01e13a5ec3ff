"""A first look in one page: `stya2k showcase --output=demo`, which `make demo` runs.

Stylizes photographs in styles that the project draws, with the model that comes with it, and puts
everything into one HTML file, what a training run did too.
"""

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from stya2k_jax.demo.examples import contents_and_styles
from stya2k_jax.demo.training_story import story_of
from stya2k_jax.demo.words import duration
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.pictures.arrays import write_png
from stya2k_jax.pictures.names import Pair
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.reports.page import write_page
from stya2k_jax.reports.picture_grids import Thumbnails, picture_grid

HERO = Pair("chelsea", "stained_glass")  # shown large, where scikit-image has brought the first
SHOWN_PX = 512  # longest side of a picture in the page
COMMANDS = {  # what to try next
    "Paint a photograph of yours, or a folder of them, in the style of a painting:": (
        *("stya2k", "stylize", "--content=photo.jpg", "--style=painting.jpg"),
        "--output=stylized",
    ),
    "The same in the browser, with mixtures of paintings, strength and colors:": ("stya2k", "demo"),
    "Train the model further on your pictures:": (
        *("stya2k", "train", "--config=fine_tune", "--workdir=runs/mine"),
        *("--config.content=PHOTOS", "--config.style=PAINTINGS"),
    ),
}


def write_showcase(
    stylizer: Stylizer, model: str, directory: Path, size_px: int, run: Path | None = None
) -> Path:
    """Stylizes the examples and writes `demo.html` and all pictures into a directory.

    Args:
      stylizer: paints.
      model: what the page calls it.
      directory: for the page, `content`, `style` and `stylized`.
      size_px: side of the pictures.
      run: a training run that the page tells of.

    Returns:
      The page.

    Raises:
      UserError: the run has no steps, or damaged ones, or Matplotlib is not installed.
    """
    training = None if run is None else story_of(run)
    contents, styles = contents_and_styles(size_px)
    sources: dict[str, dict[str, Path]] = {}
    for kind, images in (("content", contents), ("style", styles)):
        sources[kind] = {name: directory / kind / f"{name}.png" for name in images}
        for name, image in images.items():
            write_png(sources[kind][name], np.asarray(image))
    pictures, seconds = stylize_all(stylizer, contents, styles, directory / "stylized")
    path = directory / "demo.html"
    thumbnails = Thumbnails(lambda file: np.asarray(read_picture(file)), SHOWN_PX)
    hero = HERO if HERO in pictures else next(iter(pictures))
    write_page(
        path,
        "showcase.html",
        title="Photographs, painted in any style",
        lead=f"{model} painted these pictures on this machine, by StyA2K in JAX.",
        hero={
            "content": in_words(hero.content),
            "style": in_words(hero.style),
            "before": thumbnails.source(sources["content"][hero.content]),
            "after": thumbnails.source(pictures[hero]),
        },
        heading=f"{len(contents)} picture{'s' * (len(contents) > 1)} in {len(styles)} styles",
        times=told_times(seconds, size_px),
        grid=picture_grid(
            pictures,
            sources["content"],
            sources["style"],
            thumbnails,
            named=True,
        ),
        training=training,
        commands=[(what, shlex.join(words)) for what, words in COMMANDS.items()],
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


def in_words(name: str) -> str:
    """Returns a picture's name as people write it."""
    return name.replace("_", " ")


def told_times(seconds: Sequence[float], size_px: int) -> str:
    """Says how long the pictures took: the first, which includes compilation, and the others."""
    first = f"The first picture took {duration(seconds[0])}, because JAX compiles the model for it"
    if len(seconds) == 1:
        return f"{first}."
    rest = duration(float(np.median(seconds[1:])))
    return f"{first}; each further one of {size_px} × {size_px} pixels took {rest}."
