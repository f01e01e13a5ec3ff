"""Training input: two collections of pictures become unpaired batches of crops (Sec. 4.1).

Sample i is a function of the seed and of i alone: neither the number of worker processes, nor who
reads which rows of a batch, nor where a run was resumed changes it.
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
        if self.load_size:
            corner = [int(x) for x in rng.integers(0, self.load_size - self.crop_size + 1, 2)]
        else:
            corner = rng.random(2)
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

    def _crop(self, index: int, corner: Sequence[float]) -> Image.Image:
        """Cuts the crop at a corner: in pixels, or in shares where `load_size` is 0."""
        if self.load_size:
            left, top = corner[1], corner[0]
            box = left, top, left + self.crop_size, top + self.crop_size
            return self.source.crop(index, self.load_size, box)
        image = self.source[index]
        side = max(min(image.size), self.crop_size)
        top, left = (int(x * (side - self.crop_size + 1)) for x in corner)
        return squash(image, side).crop((left, top, left + self.crop_size, top + self.crop_size))


def recolored(image: Image.Image, rng: np.random.Generator, amount: float) -> Image.Image:
    """Changes a picture's palette at random, so that a few styles show many.

    Red, green and blue change places in a share `amount` of the pictures. Saturation is multiplied
    by a factor between e^(-amount / 2) and e^amount, contrast by one between e^(-amount / 4) and
    e^(amount / 2).
    """
    if rng.random() < amount:
        bands = image.split()
        image = Image.merge("RGB", [bands[i] for i in rng.permutation(3)])
    for enhance, reach in ((ImageEnhance.Color, amount), (ImageEnhance.Contrast, amount / 2)):
        image = enhance(image).enhance(float(np.exp(rng.uniform(-reach / 2, reach))))
    return image


def batches(
    content: Source,
    style: Source,
    *,
    batch_size: int,
    load_size: int,
    crop_size: int,
    seed: int,
    start: int = 0,
    workers: int = 0,
    rows: Sequence[int] | None = None,
    recolor: float = 0.0,
) -> Iterator[Batch]:
    """Yields batches without end, from batch number `start` on.

    Both collections are shuffled anew each epoch, each by itself, so that pairs keep changing. The
    next picture takes the place of one that cannot be read; `unreadable` has the details.

    Args:
      content: pictures to keep the structure of.
      style: pictures to take the style of.
      batch_size: pairs in a batch.
      load_size: side in pixels to which a picture is squashed; 0 for its own short side.
      crop_size: side in pixels of the crop.
      seed: of the order, the crops and the mirroring.
      start: how many batches have been used already.
      workers: processes that decode pictures; 0 decodes in this one.
      rows: which rows of each batch to read, where several hosts share a batch; all by default.
        Row r of batch i is sample `i * batch_size + r` of the run, whoever reads it.
      recolor: how far the styles' palettes are changed, as `recolored` takes it.

    Yields:
      `{"content": ..., "style": ...}`, uint8 `[rows, crop, crop, 3]`, and int64 `[rows]` by
      `"content_id"` and `"style_id"`, which pictures of the collections they show.

    Raises:
      UserError: as `check_options`; or a worker process was killed.
      PictureError: more than one percent of a collection cannot be read.
      ValueError: rows that a batch does not have.
    """
    check_options(
        load_size=load_size, crop_size=crop_size, seed=seed, workers=workers, recolor=recolor
    )
    rows = range(batch_size) if rows is None else rows
    if not rows or not set(rows) <= set(range(batch_size)):
        raise ValueError(f"batches: rows={list(rows)}; a batch has rows 0 to {batch_size - 1}.")
    sources = {"content": content, "style": style}
    amounts = {"content": 0.0, "style": recolor}
    streams = [
        grain.MapDataset.range(len(source))
        .seed(2 * seed + i)
        .shuffle()
        .repeat()
        .random_map(ReadAndCrop(source, kind, load_size, crop_size, amounts[kind]))
        for i, (kind, source) in enumerate(sources.items())
    ]
    pairs = grain.experimental.ZipMapDataset(streams).map(_merge)
    whole = len(pairs) // batch_size * batch_size  # "without end" is a very large number
    by_row = [pairs[row:whole:batch_size] for row in rows]
    dataset = grain.experimental.ZipMapDataset(by_row).map(_stack)[start:]
    counters = {kind: Unreadable(source, kind) for kind, source in sources.items()}
    return _checked(read_ahead(dataset, workers), counters)


def check_options(
    *, load_size: int, crop_size: int, seed: int, workers: int, recolor: float = 0.0
) -> None:
    """Checks what `batches` takes, before anything is opened.

    Raises:
      UserError: crops larger than the pictures they are cut from, or a number that is too small or
        too large.
    """
    if not 0 <= recolor <= 1:
        raise UserError(f"recolor={recolor} must lie between 0, no change, and 1.")
    for name, value, least in (
        ("load_size", load_size, 0),
        ("crop_size", crop_size, 1),
        ("seed", seed, 0),
        ("workers", workers, 0),
    ):
        if value < least:
            raise UserError(f"{name}={value} is too small; use at least {least}.")
    if 0 < load_size < crop_size:
        raise UserError(
            f"crop_size={crop_size} is larger than load_size={load_size}; a crop is cut from a "
            "picture of load_size."
        )


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
