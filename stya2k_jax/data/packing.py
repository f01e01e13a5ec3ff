"""Packs pictures, resized as training wants them, into ArrayRecord files."""

import bisect
import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import grain
import numpy as np
from tqdm import tqdm

from stya2k_jax.data.array_records import SUFFIX
from stya2k_jax.data.jpeg_window import write_jpeg
from stya2k_jax.data.source import Source
from stya2k_jax.data.worker_processes import read_ahead
from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.files.atomic import whole_directory
from stya2k_jax.pictures.resizing import squash

# One record a group, so that each can be read alone; JPEG does not compress further.
WRITER_OPTIONS = "group_size:1,uncompressed"


@dataclasses.dataclass(frozen=True)
class Encode:
    """Reads picture i of several collections and encodes it as a square JPEG file."""

    sources: Sequence[Source]
    size_px: int
    quality: int

    def __call__(self, index: int) -> dict:
        """Returns the bytes of the file, or the reason why there are none."""
        ends = list(itertools.accumulate(map(len, self.sources)))
        source = bisect.bisect_right(ends, index)
        inside = int(index) - (ends[source] - len(self.sources[source]))
        try:
            image = squash(self.sources[source][inside], self.size_px)
        except PictureError as error:
            return {"file": np.zeros(0, np.uint8), "error": str(error)}
        file = write_jpeg(image, self.quality)
        return {"file": np.frombuffer(file, np.uint8), "error": ""}


def write_shards(
    sources: Sequence[Source],
    output: Path,
    *,
    size_px: int,
    quality: int,
    shards: int,
    workers: int,
) -> list[str]:
    """Writes the pictures in order and leaves out those that cannot be read.

    Args:
      sources: collections, one after the other.
      output: new or empty directory for `NAME-00000-of-00008.array_record` and so on, where NAME is
        its own name. It appears when all files are written.
      size_px: side of the square to which a picture is squashed, as `data.batches` does.
      quality: of the JPEG files.
      shards: how many files; no more than there are pictures.
      workers: processes that read and encode; 0: none but this one.

    Returns:
      A message for each picture that cannot be read.

    Raises:
      UserError: the directory is in use.
      PictureError: none of the pictures can be read.
    """
    from array_record.python import array_record_module

    output = Path(output).absolute()
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} is there already; give another --output, or remove it.")
    total = sum(map(len, sources))
    shards = min(shards, total)
    dataset = grain.MapDataset.range(total).map(Encode(sources, size_px, quality))
    errors: list[str] = []
    with whole_directory(output) as directory, tqdm(total=total, unit="picture") as progress:
        encoded = read_ahead(dataset, workers)
        for shard in range(shards):
            name = f"{output.name}-{shard:05d}-of-{shards:05d}{SUFFIX}"
            writer = array_record_module.ArrayRecordWriter(str(directory / name), WRITER_OPTIONS)
            count = total * (shard + 1) // shards - total * shard // shards
            for picture in itertools.islice(encoded, count):
                if picture["error"]:
                    errors.append(picture["error"])
                else:
                    writer.write(picture["file"].tobytes())
                progress.update()
            writer.close()
        if len(errors) == total:
            raise PictureError(f"none of the {total} pictures can be read: {errors[0]}")
    return errors
