"""Collections of pictures in ArrayRecord files: our own and those of TensorFlow Datasets.

What reads them is imported when it is needed. TensorFlow is not: TFDS prepares data sets with it,
and reads them without.
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
from stya2k_jax.data.source import Source, digest
from stya2k_jax.pictures.reading import PictureError, decode_picture, squash

SUFFIX = ".array_record"
SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})(.*)")
# coco/2014:1.1.0:train[:10%] is the data set, its version and its split.
TFDS_NAME = re.compile(r"([\w/.\-]+)(?::(\d+\.[\d.*]+))?(?::(.+))?")


class _Records(Source):
    """Pictures that are records; subclasses say how a record holds the bytes of a picture file.

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
        """See `Source`; of the files that `stya2k_jax.prepare` writes only the part is decoded."""
        data = self._file(index)
        part = decode_window(data, (size_px, size_px), box)
        if part is None:
            part = squash(decode_picture(data, self.name(index)), size_px).crop(box)
        return part

    def _file(self, index: int) -> bytes:
        try:
            return self.picture(self.records[int(index)])
        except RuntimeError as error:  # all that the reader of record files raises
            raise PictureError(f"{self.name(index)} cannot be read: {error}.") from error

    def picture(self, record: bytes) -> bytes:
        """Returns the bytes of the picture file that the record holds."""
        return record


@dataclasses.dataclass(frozen=True, repr=False)
class ArrayRecords(_Records):
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
        return digest([*sizes, len(self)])


@dataclasses.dataclass(frozen=True, repr=False)
class TfdsRecords(_Records):
    """The pictures of a data set of TensorFlow Datasets."""

    full_name: str  # with the version
    split: str
    feature: str  # which holds the picture; no other is decoded
    records: Any

    def __str__(self) -> str:
        return f"tfds:{self.full_name}:{self.split}"

    def name(self, index: int) -> str:
        return f"{self}[{index}]"

    def fingerprint(self) -> str:
        """See `Source`; it changes with the version, the split and the number of pictures."""
        return digest([self.full_name, self.split, len(self)])

    def picture(self, record: bytes) -> bytes:
        from tensorflow_datasets.proto import tf_example_pb2

        example = tf_example_pb2.Example.FromString(record)
        return b"".join(example.features.feature[self.feature].bytes_list.value)


def open_array_records(pattern: str) -> ArrayRecords:
    """Opens ArrayRecord files.

    Args:
      pattern: a file, a pattern such as `/path/*.array_record`, or a directory of such files.

    Raises:
      PictureError: no such files, a file that is none, one of several shards is missing, or no
        records at all.
    """
    from array_record.python import array_record_data_source, array_record_module

    search = os.path.join(glob.escape(pattern), f"*{SUFFIX}") if os.path.isdir(pattern) else pattern
    files = sorted(file for file in glob.glob(search) if os.path.isfile(file))
    if not files:
        raise PictureError(
            f"there are no ArrayRecord files {search}; write them with "
            "`python -m stya2k_jax.prepare --input=FOLDER --output=DIRECTORY`."
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


def open_tfds(name: str) -> TfdsRecords:
    """Opens a data set of TensorFlow Datasets that is prepared already; nothing is downloaded.

    It is looked for in the directory of the environment variable `TFDS_DATA_DIR`, else where TFDS
    keeps its own.

    Args:
      name: `NAME`, `NAME/CONFIG`, either with `:VERSION`, with `:SPLIT` or with both.

    Raises:
      PictureError: it is not prepared, or not in ArrayRecord files, or has no such split, or holds
        no pictures.
    """
    match = TFDS_NAME.fullmatch(name)
    if not match:
        raise PictureError(
            f"tfds:{name} is not a data set's name; examples are tfds:coco/2014 and "
            "tfds:coco/2014:1.1.0:test."
        )
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import read_only_builder

    dataset, version, split = match.groups()
    split = split or "train"
    build = f"`tfds build {dataset} --file_format=array_record`, which needs TensorFlow once"
    try:
        # Not `tfds.builder`: it runs the code of the data set, much of which imports TensorFlow.
        builder = read_only_builder.builder_from_files(
            f"{dataset}:{version}" if version else dataset,
            data_dir=os.environ.get("TFDS_DATA_DIR"),
        )
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        where = os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
        raise PictureError(
            f"tfds:{name} is not prepared in {where}; prepare it with {build}, or set "
            "TFDS_DATA_DIR to where it is."
        ) from error
    try:
        source = builder.as_data_source(
            split=split,
            deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
            file_format="array_record",
        )
    except NotImplementedError as error:
        raise PictureError(
            f"tfds:{name} is prepared in {builder.data_dir} as {builder.info.file_format.value}, "
            f"which has no random access; move that away and prepare it with {build}."
        ) from error
    except ValueError as error:
        raise PictureError(
            f"tfds:{name} has no split {split!r}; it has {', '.join(builder.info.splits)}."
        ) from error
    feature = _picture_feature(builder.info.features, tfds.features.Image)
    if feature is None:
        features = ", ".join(sorted(builder.info.features))
        raise PictureError(f"tfds:{name} holds no pictures; its features are {features}.")
    return TfdsRecords(builder.info.full_name, split, feature, source.data_source)


@dataclasses.dataclass(frozen=True)
class _Part:
    """A whole file, in the terms of the data source, which need not open it to count."""

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


def _picture_feature(features: Any, image: type) -> str | None:
    """Returns the feature called `image`, else the picture whose name comes first."""
    pictures = sorted(name for name, feature in features.items() if isinstance(feature, image))
    return "image" if "image" in pictures else next(iter(pictures), None)
