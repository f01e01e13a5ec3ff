"""Training input: two collections of pictures become unpaired batches of crops (Sec. 4.1).

Sample i depends on the seed and on i alone. The number of worker processes, the hosts that share a
batch and the step at which a run was resumed do not change it.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import grain
import numpy as np
from PIL import Image, ImageEnhance

from stya2k_jax.data.source import Source
from stya2k_jax.data.unreadable import Unreadable, read_or_next
from stya2k_jax.data.worker_processes import read_ahead
from stya2k_jax.errors import UserError
from stya2k_jax.pictures.resizing import squash

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ReadAndCrop:
    """Reads a picture, or the next that can be read, and crops it.

    It is resized to a square of `load_size`, of which a random square is cut out and mirrored half
    of the time. With a `load_size` of 0 the square has the picture's short side, but is not smaller
    than the crop. The aspect is not kept, as in the release; resizing is bicubic. `recolor` is as
    `recolored` takes it.
    """

    source: Source
    kind: str
    load_size: int
    crop_size: int
    recolor: float = 0.0

    def __call__(self, index: int, rng: np.random.Generator) -> Batch:
        """Returns uint8 `[crop, crop, 3]`, the picture's index, and the index asked for."""
        places = self.load_size - self.crop_size + 1
        corner = rng.integers(0, places, 2) if self.load_size else rng.random(2)
        mirrored = rng.integers(2)
        image, used = read_or_next(
            self.source, int(index), self.kind, lambda i: self._crop(i, corner)
        )
        if mirrored:  # by Pillow, which is four times as fast as NumPy
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.recolor:
            image = recolored(image, rng, self.recolor)
        return {
            self.kind: np.asarray(image),
            f"{self.kind}_id": np.int64(used),
            _wanted(self.kind): np.int64(index),
        }

    def _crop(self, index: int, corner: np.ndarray) -> Image.Image:
        """Cuts the crop at a corner: in pixels, or in shares where `load_size` is 0."""
        if self.load_size:
            top, left = map(int, corner)
            box = left, top, left + self.crop_size, top + self.crop_size
            return self.source.crop(index, self.load_size, box)
        image = self.source[index]
        side = max(min(image.size), self.crop_size)
        top, left = (int(x * (side - self.crop_size + 1)) for x in corner)
        return squash(image, side).crop((left, top, left + self.crop_size, top + self.crop_size))


def recolored(image: Image.Image, rng: np.random.Generator, amount: float) -> Image.Image:
    """Changes a picture's palette at random, so that few styles show many palettes.

    A share `amount` of the pictures gets red, green and blue in another order. Saturation is
    multiplied by a factor between e^(-amount / 2) and e^amount, contrast by one between
    e^(-amount / 4) and e^(amount / 2).
    """
    if rng.random() < amount:
        bands = image.split()
        image = Image.merge("RGB", [bands[i] for i in rng.permutation(3)])
    for enhance, reach in ((ImageEnhance.Color, amount), (ImageEnhance.Contrast, amount / 2)):
        image = enhance(image).enhance(float(np.exp(rng.uniform(-reach / 2, reach))))
    return image


@dataclasses.dataclass(frozen=True)
class BatchOptions:
    """How pictures become batches.

    Attributes:
      batch_size: pairs in a batch.
      load_size: side in pixels to which a picture is squashed; 0 for its own short side.
      crop_size: side in pixels of the crop.
      seed: of the order, the crops and the mirroring.
      workers: processes that decode pictures; 0 decodes in this one.
      recolor: how far the styles' palettes are changed, as `recolored` takes it.

    Raises:
      UserError: crops larger than the pictures they are cut from, or a number that is too small or
        too large.
    """

    batch_size: int
    load_size: int
    crop_size: int
    seed: int
    workers: int = 0
    recolor: float = 0.0

    def __post_init__(self):
        if not 0 <= self.recolor <= 1:
            raise UserError(f"recolor={self.recolor} must lie between 0, no change, and 1.")
        for name, least in dict(load_size=0, crop_size=1, seed=0, workers=0).items():
            if getattr(self, name) < least:
                raise UserError(f"{name}={getattr(self, name)} is too small; use at least {least}.")
        if 0 < self.load_size < self.crop_size:
            raise UserError(
                f"crop_size={self.crop_size} is larger than load_size={self.load_size}; a crop is "
                "cut from a picture of load_size."
            )


def batches(
    content: Source,
    style: Source,
    options: BatchOptions,
    start: int = 0,
    rows: Sequence[int] | None = None,
) -> Iterator[Batch]:
    """Yields batches without end, from batch number `start` on.

    Each collection is shuffled anew in each of its epochs, so that pairs keep changing. The next
    picture replaces one that cannot be read; see `unreadable`.

    Args:
      content: pictures to keep the structure of.
      style: pictures to take the style of.
      options: sizes, seed and so on.
      start: how many batches have been used already.
      rows: which rows of each batch to read, if several hosts share a batch; all by default. Row r
        of batch i is sample `i * batch_size + r` of the run, whichever host reads it.

    Yields:
      `{"content": ..., "style": ...}`, uint8 `[rows, crop, crop, 3]`, and int64 `[rows]` by
      `"content_id"` and `"style_id"`, which pictures of the collections they show.

    Raises:
      UserError: a worker process was killed.
      PictureError: more than one percent of a collection cannot be read.
      ValueError: rows that a batch does not have.
    """
    size = options.batch_size
    rows = range(size) if rows is None else rows
    if not rows or not set(rows) <= set(range(size)):
        raise ValueError(f"batches: rows={list(rows)}; a batch has rows 0 to {size - 1}.")
    sources = {"content": content, "style": style}
    amounts = {"content": 0.0, "style": options.recolor}
    streams = [
        grain.MapDataset.range(len(source))
        .seed(2 * options.seed + i)
        .shuffle()
        .repeat()
        .random_map(ReadAndCrop(source, kind, options.load_size, options.crop_size, amounts[kind]))
        for i, (kind, source) in enumerate(sources.items())
    ]
    pairs = grain.experimental.ZipMapDataset(streams).map(_merge)
    whole = len(pairs) // size * size  # "without end" is a very large number
    by_row = [pairs[row:whole:size] for row in rows]
    dataset = grain.experimental.ZipMapDataset(by_row).map(_stack)[start:]
    counters = {kind: Unreadable(source, kind) for kind, source in sources.items()}
    return _checked(read_ahead(dataset, options.workers), counters)


def _checked(found: Iterable[Batch], counters: dict[str, Unreadable]) -> Iterator[Batch]:
    for batch in found:
        for kind, counter in counters.items():
            counter.note(batch.pop(_wanted(kind)), batch[f"{kind}_id"])
        yield batch


def _wanted(kind: str) -> str:
    return f"{kind}_wanted"


def _merge(parts: Iterable[Batch]) -> Batch:
    return {name: value for part in parts for name, value in part.items()}


def _stack(samples: Sequence[Batch]) -> Batch:
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
