"""Training input: two collections of pictures become unpaired batches of crops (Sec. 4.1).

Sample i is a function of the seed and of i alone: neither the number of worker processes nor where
a run was resumed changes it.
"""

import dataclasses
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grain
import numpy as np
from absl import flags
from PIL import Image

from stya2k_jax.drawing import draw_content, draw_style
from stya2k_jax.errors import UserError
from stya2k_jax.images import PictureError, find_pictures, read_picture

Batch = dict[str, np.ndarray]

DRAWN = "demo:"
FOLDER = "folder:"
DRAWN_PICTURES = 64


@dataclasses.dataclass(frozen=True)
class Folder(Sequence):
    """The pictures below a folder, read when asked for: `[H, W, 3]` as PIL images."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        return read_picture(self.paths[index])


@dataclasses.dataclass(frozen=True)
class Drawn(Sequence):
    """Pictures that the project draws."""

    draw: Callable[[int, int], np.ndarray]

    def __len__(self) -> int:
        return DRAWN_PICTURES

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.draw(index, 256))


@dataclasses.dataclass(frozen=True)
class LoadAndCrop:
    """Resizes to a square, crops a random square of it and mirrors it half of the time.

    The aspect is not kept, as in the release; resizing is bicubic.
    """

    load_size: int
    crop_size: int

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        """Returns uint8 `[crop, crop, 3]`."""
        image = image.resize((self.load_size, self.load_size), Image.Resampling.BICUBIC)
        top, left = rng.integers(0, self.load_size - self.crop_size + 1, 2)
        crop = np.asarray(image)[top : top + self.crop_size, left : left + self.crop_size]
        return np.ascontiguousarray(crop[:, ::-1] if rng.integers(2) else crop)


def open_source(name: str, kind: str) -> Sequence:
    """Opens a collection of pictures.

    Args:
      name: a folder, `folder:/path`, or `demo:` for pictures that the project draws.
      kind: `"content"` or `"style"`; says what to draw and whom to name in an error.

    Raises:
      PictureError: no such folder, or no pictures in it.
    """
    if name == DRAWN:
        return Drawn({"content": draw_content, "style": draw_style}[kind])
    if not name:
        raise PictureError(
            f"No {kind} pictures are given; set --config.{kind}=FOLDER, or "
            f"--config.{kind}={DRAWN} for pictures that the project draws."
        )
    try:
        return Folder(tuple(find_pictures(name.removeprefix(FOLDER))))
    except PictureError as error:
        raise PictureError(f"config.{kind}: {error}") from error


def batches(
    content: Sequence,
    style: Sequence,
    *,
    batch_size: int,
    load_size: int,
    crop_size: int,
    seed: int,
    start: int = 0,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yields batches without end, from batch number `start` on.

    Both collections are shuffled anew each epoch, each by itself, so that pairs keep changing.

    Args:
      content: pictures to keep the structure of.
      style: pictures to take the style of.
      batch_size: pairs in a batch.
      load_size: side in pixels to which a picture is squashed.
      crop_size: side in pixels of the crop.
      seed: of the order, the crops and the mirroring.
      start: how many batches have been used already.
      workers: processes that decode pictures; 0 decodes in this one.

    Yields:
      `{"content": ..., "style": ...}`, uint8 `[batch, crop, crop, 3]`.

    Raises:
      UserError: as `check_options`.
      PictureError: names the picture that cannot be read.
    """
    check_options(load_size=load_size, crop_size=crop_size, seed=seed, workers=workers)
    crop = LoadAndCrop(load_size, crop_size)
    streams = [
        grain.MapDataset.source(source).seed(2 * seed + i).shuffle().repeat().random_map(crop)
        for i, source in enumerate((content, style))
    ]
    pairs = grain.experimental.ZipMapDataset(streams).map(_name_pair)
    # Elements are whole batches: read few ahead, Grain's default of 500 would fill the memory.
    ahead = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    dataset = pairs.batch(batch_size)[start:].to_iter_dataset(ahead)
    if not workers:
        return iter(dataset)
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain reads its own when it starts processes
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
    return _from_workers(dataset.mp_prefetch(options, _prepare_worker))


def check_options(*, load_size: int, crop_size: int, seed: int, workers: int) -> None:
    """Checks what `batches` takes, before anything is opened.

    Raises:
      UserError: crops larger than the pictures they are cut from, or a number that is too small.
    """
    for name, value, least in (
        ("load_size", load_size, 1),
        ("crop_size", crop_size, 1),
        ("seed", seed, 0),
        ("workers", workers, 0),
    ):
        if value < least:
            raise UserError(f"{name}={value} is too small; use at least {least}.")
    if crop_size > load_size:
        raise UserError(
            f"crop_size={crop_size} is larger than load_size={load_size}; a crop is cut from a "
            "picture of load_size."
        )


def _from_workers(dataset: grain.IterDataset) -> Iterator[Batch]:
    iterator = iter(dataset)
    try:
        yield from map(_out_of_shared_memory, iterator)
    finally:
        iterator.close()


def _out_of_shared_memory(batch: Batch) -> Batch:
    # What is still in it when this process ends would be reported as a leak.
    return {name: np.array(pictures) for name, pictures in batch.items()}


def _prepare_worker(index: int, count: int) -> None:
    """Leaves it to the main process when a worker ends."""
    # Ctrl-C and schedulers signal all processes; the main one saves first and needs no corpses.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Grain's workers would go on for ever if the main process were killed.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _name_pair(pair: tuple[np.ndarray, np.ndarray]) -> Batch:
    return {"content": pair[0], "style": pair[1]}
