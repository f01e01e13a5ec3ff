"""Times `stylize.py` as a whole process, with an empty cache and again, against another commit.

git worktree add ../before COMMIT
python -m benchmarks.first_picture --baseline=../before
python -m benchmarks.first_picture --pictures=0             # one picture only

First one photograph (683x512) in one style. Then as many contents as styles, each of an aspect of
its own, short side 512, every content in every style; and as many contents and styles of one size
and the same area. The checkouts take turns. Prints seconds (median, least and most), those
of all cores together, the largest memory of a process, and ratios of medians to the baseline.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags
from PIL import Image

from stya2k_jax.commands import command_line

BASELINE = flags.DEFINE_string("baseline", None, "Checkout of the commit to compare with.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "How often the single picture is timed.", 1)
FOLDER_ROUNDS = flags.DEFINE_integer("folder_rounds", 1, "How often the folders are timed.", 1)
PICTURES = flags.DEFINE_integer("pictures", 12, "Contents, and styles, of a folder; 0: none.", 0)

OURS, ANOTHER = "this commit", "baseline"
EMPTY, AGAIN = "empty cache", "again"
SHORT_PX, PHOTOGRAPH = 512, (512, 683)


class Run(NamedTuple):
    """One process.

    Attributes:
      seconds: wall time, the start of Python included.
      busy: seconds of all cores together.
      megabytes: its largest resident memory.
    """

    seconds: float
    busy: float
    megabytes: float


def main(_) -> None:
    """Prints a table for each task."""
    checkouts = {OURS: Path(__file__).parents[1]}
    if BASELINE.value:
        checkouts[ANOTHER] = Path(BASELINE.value).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        single = folders(place / "single", [PHOTOGRAPH])
        compare("one picture", checkouts, single, place, ROUNDS.value)
        if PICTURES.value:
            sizes = different_aspects(PICTURES.value)
            # Of the same short side: larger squares would be made smaller before they are painted.
            long = 16 * round(np.mean([max(size) for size in sizes]) / 16)
            for name, shapes in (("different aspects", sizes), ("equal", [(SHORT_PX, long)])):
                given = folders(
                    place / name.replace(" ", "_"), shapes * (len(sizes) // len(shapes))
                )
                count = len(sizes) ** 2
                compare(f"{count} pictures, {name}", checkouts, given, place, FOLDER_ROUNDS.value)


def compare(
    task: str, checkouts: dict[str, Path], given: tuple[Path, Path], place: Path, rounds: int
) -> None:
    """Lets the checkouts take turns, each time with an empty cache and again; prints a table."""
    runs: dict[tuple[str, str], list[Run]] = {}
    for _ in range(rounds):
        for name, checkout in checkouts.items():
            with tempfile.TemporaryDirectory(dir=place) as fresh:
                for when in (EMPTY, AGAIN):
                    runs.setdefault((name, when), []).append(stylize(checkout, given, Path(fresh)))
    titles = ("median", "least", "most", "busy", "memory")
    print(f"\n{task}\n{'':28} {' '.join(f'{title:>8}' for title in titles)}  ratio")
    for (name, when), found in runs.items():
        seconds = [run.seconds for run in found]
        before = runs.get((ANOTHER, when))
        ratio = np.median(seconds) / np.median([run.seconds for run in before]) if before else 1
        columns = [np.median(seconds), min(seconds), max(seconds)]
        columns.append(np.median([run.busy for run in found]))
        memory = max(run.megabytes for run in found)
        print(
            f"{f'{name}, {when}':28} {' '.join(f'{x:7.2f}s' for x in columns)} {memory:6.0f}MB"
            f" {ratio:6.2f}",
            flush=True,
        )


def stylize(checkout: Path, given: tuple[Path, Path], place: Path) -> Run:
    """Runs one checkout's command.

    Raises:
      RuntimeError: it failed.
    """
    content, style = given
    command = [
        sys.executable, "stylize.py", f"--content={content}", f"--style={style}",
        f"--output={place / 'painted'}", f"--compile_cache={place / 'cache'}",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    with open(place / "log.txt", "w") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=checkout, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError((place / "log.txt").read_text())
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def folders(place: Path, sizes: list[tuple[int, int]]) -> tuple[Path, Path]:
    """Draws contents, and styles of the same sizes in another order; returns their folders."""
    for kind, shapes in (("content", sizes), ("style", sizes[::-1])):
        (place / kind).mkdir(parents=True)
        for i, size in enumerate(shapes):
            drawing(i, size).save(place / kind / f"{kind}_{i:02}.png")
    return place / "content", place / "style"


def drawing(seed: int, size: tuple[int, int]) -> Image.Image:
    """Draws soft patches of color."""
    patches = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size[::-1], Image.Resampling.BICUBIC)


def different_aspects(count: int) -> list[tuple[int, int]]:
    """Returns sizes of short side 512, half of them upright, with aspects of 1 to 2."""
    sides = [round(SHORT_PX * 2 ** (i / (count - 1 or 1))) for i in range(count)]
    return [(SHORT_PX, s) if i % 2 else (s, SHORT_PX) for i, s in enumerate(sides)]


if __name__ == "__main__":
    command_line.run(main)
