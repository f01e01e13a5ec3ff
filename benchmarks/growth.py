"""Measures how seconds and memory grow with the size of a picture.

python -m benchmarks.growth                       # a2k-mini and full width, 512² to 4096²
python -m benchmarks.growth --models=a2k-mini --sizes=512,1024 --rounds=1

Each size runs in a process of its own. A `Stylizer` paints an 8-bit square in a style of 512² that
was encoded before. Prints seconds of the first call, which compiles; the median of the later calls;
that median for a megapixel, and its ratio to the first size; and the peak resident memory of the
process after the first call and after all calls. Libraries, model, compiler and both pictures are
part of that memory.
"""

import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from absl import flags

from benchmarks.models import FULL, open_model
from stya2k_jax import Stylizer
from stya2k_jax.commands import command_line
from stya2k_jax.weights.loading import MINI

MODELS = flags.DEFINE_list("models", [MINI, FULL], "full, or what stya2k_jax.load opens.")
SIZES = flags.DEFINE_list("sizes", ["512", "1024", "2048", "4096"], "Sides in pixels.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "How often each is timed.", lower_bound=1)

STYLE_PX = 512


def main(_) -> None:
    """Prints a table."""
    print(
        f"{'model':10} {'side':>5} {'first':>8} {'median':>8} {'s/Mpx':>7} {'growth':>7} "
        f"{'peak of first':>14} {'peak':>9}"
    )
    for model in MODELS.value:
        smallest = None
        for side in map(int, SIZES.value):
            # Spawned, not forked: it must not hold the memory of another measurement.
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                seconds, peaks = process.submit(measure, model, side, ROUNDS.value).result()
            median = np.median(seconds[1:])
            by_megapixel = median / (side**2 / 1e6)
            smallest = smallest or by_megapixel
            print(
                f"{model:10} {side:5} {seconds[0]:7.2f}s {median:7.2f}s {by_megapixel:7.3f} "
                f"{by_megapixel / smallest:6.2f}x {peaks[0] / 1e9:11.2f} GB "
                f"{peaks[-1] / 1e9:6.2f} GB",
                flush=True,
            )


def measure(model: str, side: int, rounds: int) -> tuple[list[float], list[int]]:
    """Returns the seconds of each call, the first included, and the peak bytes after each."""
    stylizer = Stylizer(open_model(model))
    rng = np.random.default_rng(0)
    content, style = (rng.integers(0, 256, (px, px, 3), dtype=np.uint8) for px in (side, STYLE_PX))
    kept = stylizer.encode_style(style)
    seconds, peaks = [], []
    for _ in range(1 + rounds):
        start = time.perf_counter()
        stylizer(content, kept)
        seconds.append(time.perf_counter() - start)
        peaks.append(peak_bytes())
    return seconds, peaks


def peak_bytes() -> int:
    """Returns the largest resident set that this process has had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    command_line.run(main)
