"""Times training input, from a folder of JPEG files and from ArrayRecord files of the same.

python -m benchmarks.input                      # drawn pictures of COCO's size
python -m benchmarks.input --pictures=FOLDER

Prints images per second of the input alone: squashed to 512, cropped to 256, batches of 8 pairs.
`stya2k prepare` would write the same record files. Systems take turns.
"""

import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from stya2k_jax.commands import command_line
from stya2k_jax.data.batches import BatchOptions, batches
from stya2k_jax.data.opening import ARRAY_RECORDS, open_source
from stya2k_jax.data.packing import write_shards
from stya2k_jax.data.source import Source
from stya2k_jax.pictures.synthetic import draw_content

PICTURES = flags.DEFINE_string("pictures", "", "Folder of JPEG files; drawn ones by default.")
BATCHES = flags.DEFINE_integer("batches", 20, "Batches in a timing.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "How often each system is timed.")

BATCH_SIZE, LOAD_SIZE, CROP_SIZE = 8, 512, 256
NOISE = 14  # makes files of 130 kB; COCO's have 160 kB on average
DRAWN = 512  # Grain is slow to shuffle a handful


def main(_) -> None:
    """Prints a line for each number of workers, and the ratios."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = PICTURES.value or write_pictures(Path(scratch) / "pictures")
        records = Path(scratch) / "records"
        files = open_source(str(folder), "content")
        errors = write_shards([files], records, size_px=LOAD_SIZE, quality=95, shards=8, workers=2)
        for error in errors:
            print(f"left out: {error}")
        sources = {"folder": files, "records": open_source(f"{ARRAY_RECORDS}{records}", "content")}
        for workers in (0, 2):
            speeds: dict[str, list[float]] = {name: [] for name in sources}
            for _ in range(ROUNDS.value):
                for name, source in sources.items():
                    speeds[name].append(images_per_second(source, workers))
            folder, packed = (np.median(speeds[name]) for name in sources)
            print(
                f"{workers} workers: folder {folder:.0f}, ArrayRecord {packed:.0f} images/s, "
                f"{packed / folder:.2f} times as fast",
                flush=True,
            )


def images_per_second(source: Source, workers: int) -> float:
    """Times batches of one stream, after as many that start it and empty its buffers."""
    options = BatchOptions(BATCH_SIZE, LOAD_SIZE, CROP_SIZE, seed=0, workers=workers)
    stream = batches(source, source, options)
    for _ in itertools.islice(stream, BATCHES.value):
        pass
    start = time.perf_counter()
    for _ in itertools.islice(stream, BATCHES.value):
        pass
    seconds = time.perf_counter() - start
    stream.close()
    return 2 * BATCH_SIZE * BATCHES.value / seconds


def write_pictures(folder: Path) -> Path:
    """Writes JPEG files of 640x480 pixels, with as many bytes as photographs have."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    drawn = [draw_content(i, 640)[:480] for i in range(8)]
    for i in range(DRAWN):
        picture = drawn[i % len(drawn)] + rng.normal(0, NOISE, (480, 640, 3))
        image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
        image.save(folder / f"{i:04d}.jpg", quality=90)
    return folder


if __name__ == "__main__":
    command_line.run(main)
