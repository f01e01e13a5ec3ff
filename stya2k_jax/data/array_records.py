"""Collections of pictures in ArrayRecord files: our own and those of TensorFlow Datasets.

The reader is imported when it is needed. TensorFlow is never imported: TFDS prepares data sets
with it, and reads them without.
"""

import bisect
import dataclasses
import glob
import os
import re
from collections.abc import Sequence
from typing import Any

from PIL import Image

from stya2k_jax.data.jpeg_window import Box, decode_window
from stya2k_jax.data.source import Source
from stya2k_jax.errors import PictureError
from stya2k_jax.files.digests import digest_of_parts
from stya2k_jax.pictures.reading import decode_picture
from stya2k_jax.pictures.resizing import squash

SUFFIX = ".array_record"
SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})(.*)")


class Records(Source):
    """Pictures that are records. Subclasses know where a record holds the picture file.

    Attributes:
      records: an `array_record` data source, which opens files when it reads from them.
    """

    records: Any

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Image.Image:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return decode_picture(self._file(index), self.name(index))

    def crop(self, index: int, size_px: int, box: Box) -> Image.Image:
        """See `Source`. Of files that `stya2k prepare` wrote, only the part is decoded."""
        data = self._file(index)
        part = decode_window(data, (size_px, size_px), box)
        if part is None:
            part = squash(decode_picture(data, self.name(index)), size_px).crop(box)
        return part

    def _file(self, index: int) -> bytes:
        try:
            return self.picture(self.records[int(index)])
        except RuntimeError as error:  # the only error of the reader of record files
            raise PictureError(f"{self.name(index)} cannot be read: {error}.") from error

    def picture(self, record: bytes) -> bytes:
        """Returns the bytes of the picture file that the record holds."""
        return record


@dataclasses.dataclass(frozen=True, repr=False)
class ArrayRecords(Records):
    """ArrayRecord files whose records are picture files."""

    pattern: str
    files: tuple[str, ...]
    starts: tuple[int, ...]  # of each file, the index of its first picture
    records: Any

    def __str__(self) -> str:
        return self.pattern

    def name(self, index: int) -> str:
        file = bisect.bisect_right(self.starts, index) - 1
        return f"{self.files[file]}[{index - self.starts[file]}]"

    def fingerprint(self) -> str:
        """See `Source`; it changes with the files' names, sizes and number of records."""
        sizes = [(os.path.basename(file), os.path.getsize(file)) for file in self.files]
        return digest_of_parts([*sizes, len(self)])


def open_array_records(pattern: str) -> ArrayRecords:
    """Opens ArrayRecord files.

    Args:
      pattern: a file, a pattern such as `/path/*.array_record`, or a directory of such files.

    Raises:
      PictureError: no such files, a damaged file, a missing shard, or no records.
    """
    from array_record.python import array_record_data_source, array_record_module

    search = os.path.join(glob.escape(pattern), f"*{SUFFIX}") if os.path.isdir(pattern) else pattern
    files = sorted(file for file in glob.glob(search) if os.path.isfile(file))
    if not files:
        raise PictureError(
            f"there are no ArrayRecord files {search}; write them with "
            "`stya2k prepare --input=FOLDER --output=DIRECTORY`."
        )
    _check_complete(files)
    starts, count, parts = [], 0, []
    for file in files:
        try:
            reader = array_record_module.ArrayRecordReader(file)
            records = reader.num_records()
            reader.close()
        except RuntimeError as error:
            raise PictureError(f"{file} is not a whole ArrayRecord file: {error}.") from error
        starts.append(count)
        parts.append(_Part(file, records))
        count += records
    if not count:
        raise PictureError(f"the ArrayRecord files {search} hold no records.")
    source = array_record_data_source.ArrayRecordDataSource(parts)
    return ArrayRecords(pattern, tuple(files), tuple(starts), source)


@dataclasses.dataclass(frozen=True)
class _Part:
    """A whole file as the data source wants it: with its count, so that it stays closed."""

    filename: str
    take: int
    skip: int = 0

    @property
    def examples_in_shard(self) -> int:
        return self.take


def _check_complete(files: Sequence[str]) -> None:
    found = [match.groups() for match in map(SHARD.fullmatch, files) if match]
    for start, _, count, end in found:
        for i in range(int(count)):
            if (start, f"{i:05d}", count, end) not in found:
                missing = f"{start}-{i:05d}-of-{count}{end}"
                raise PictureError(f"{missing} is missing; copy all {int(count)} files, or none.")
