"""Times pictures of many sizes, against as many pixels in pictures of one size.

python -m benchmarks.sizes                        # a2k-mini, 100 pictures of 100 sizes
python -m benchmarks.sizes --model=full --count=20

Two folders of photographs: short side 512 with an aspect of 1 to 2 either way, and both sides
between 256 and 1024. `Stylizer.prepare` learns their sizes first, as with `stya2k stylize`. Then
one process paints each picture, 8 bits in and out, in one style that was encoded before. Prints how
many programs XLA compiled for the contents; seconds of a first pass, with choosing and compiling;
seconds of a second pass, in which both kinds of pictures take turns; and the ratios of megapixels a
second.
"""

import time
from collections.abc import Callable

import numpy as np
from absl import flags

from benchmarks.compilations import compilations
from benchmarks.models import open_model
from stya2k_jax import Stylizer
from stya2k_jax.commands import command_line, compile_cache
from stya2k_jax.network.sizes import Size
from stya2k_jax.weights.loading import MINI

MODEL = flags.DEFINE_string("model", MINI, "full, or what stya2k_jax.load opens.")
COUNT = flags.DEFINE_integer("count", 100, "Pictures.", lower_bound=1, upper_bound=500)

STYLE_PX = 512


def main(_) -> None:
    """Prints a table for each folder."""
    compile_cache.use("")  # every program is compiled here
    model = open_model(MODEL.value)
    for name, draw in (("short side 512", short_side_512), ("sides 256 to 1024", any_sides)):
        sizes = different_sizes(draw, COUNT.value)
        pixels = sum(height * width for height, width in sizes)
        side = 16 * round((pixels / len(sizes)) ** 0.5 / 16)  # nothing is padded
        folders = {"many sizes": sizes, f"all {side}x{side}": [(side, side)] * len(sizes)}
        print(
            f"{name}: {len(sizes)} pictures, {pixels / 1e6:.1f} Mpx\n"
            f"{'':16} {'compiled':>8} {'first':>8} {'Mpx/s':>6} {'second':>8} {'Mpx/s':>6}"
        )
        speeds = compare(model, folders)
        print(
            "many sizes / one: "
            + ", ".join(f"{a / b:.2f} {when}" for when, (a, b) in speeds.items())
            + "\n"
        )


def compare(model, folders: dict[str, list[Size]]) -> dict[str, list[float]]:
    """Prints a line for each folder; returns their megapixels a second, first and second pass."""
    painters, first, compiled = {}, {}, {}
    for name, sizes in folders.items():
        stylizer = Stylizer(model)
        style = stylizer.encode_style(noise((STYLE_PX, STYLE_PX)))
        with compilations() as programs:
            start = time.perf_counter()
            stylizer.prepare(sizes)
            first[name] = time.perf_counter() - start
            painters[name] = lambda x, stylizer=stylizer, style=style: stylizer(x, style)
            first[name] += sum(seconds(painters[name], size) for size in sizes)
        compiled[name] = len(programs)
    second = dict.fromkeys(folders, 0.0)
    for i in range(COUNT.value):
        for name, sizes in folders.items():
            second[name] += seconds(painters[name], sizes[i])
    speeds: dict[str, list[float]] = {"first": [], "second": []}
    for name, sizes in folders.items():
        megapixels = sum(height * width for height, width in sizes) / 1e6
        speeds["first"].append(megapixels / first[name])
        speeds["second"].append(megapixels / second[name])
        print(
            f"{name:16} {compiled[name]:8} {first[name]:7.1f}s {speeds['first'][-1]:6.2f} "
            f"{second[name]:7.1f}s {speeds['second'][-1]:6.2f}",
            flush=True,
        )
    return speeds


def seconds(paint: Callable[[np.ndarray], np.ndarray], size: Size) -> float:
    """Times one picture of a size."""
    picture = noise(size)
    start = time.perf_counter()
    paint(picture)
    return time.perf_counter() - start


def noise(size: Size) -> np.ndarray:
    """Draws a picture, uint8 `[H, W, 3]`."""
    return np.random.default_rng(size).integers(0, 256, (*size, 3), dtype=np.uint8)


def different_sizes(draw: Callable[[np.random.Generator], Size], count: int) -> list[Size]:
    """Draws `count` different sizes."""
    rng = np.random.default_rng(0)
    sizes: dict[Size, None] = {}
    while len(sizes) < count:
        sizes[draw(rng)] = None
    return list(sizes)


def short_side_512(rng: np.random.Generator) -> Size:
    """Draws a size as `--content_size=512` gives it: upright or across, aspect 1 to 2."""
    long = round(512 * 2 ** rng.uniform())
    return (512, long) if rng.uniform() < 0.5 else (long, 512)


def any_sides(rng: np.random.Generator) -> Size:
    """Draws a size with two independent sides."""
    return tuple(rng.integers(256, 1024, 2, endpoint=True).tolist())


if __name__ == "__main__":
    command_line.run(main)
