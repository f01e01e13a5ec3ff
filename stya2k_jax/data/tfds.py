"""Pictures of TensorFlow Datasets, without TensorFlow."""

import dataclasses
import os
import re
from typing import Any

from stya2k_jax.data.array_records import Records
from stya2k_jax.errors import PictureError
from stya2k_jax.files.digests import digest_of_parts

# coco/2014:1.1.0:train[:10%] is the data set, its version and its split.
TFDS_NAME = re.compile(r"([\w/.\-]+)(?::(\d+\.[\d.*]+))?(?::(.+))?")


@dataclasses.dataclass(frozen=True, repr=False)
class TfdsRecords(Records):
    """The pictures of a data set of TensorFlow Datasets."""

    full_name: str  # with the version
    split: str
    feature: str  # the one that holds the picture; no other is decoded
    records: Any

    def __str__(self) -> str:
        return f"tfds:{self.full_name}:{self.split}"

    def name(self, index: int) -> str:
        return f"{self}[{index}]"

    def fingerprint(self) -> str:
        """See `Source`; it changes with the version, the split and the number of pictures."""
        return digest_of_parts([self.full_name, self.split, len(self)])

    def picture(self, record: bytes) -> bytes:
        from tensorflow_datasets.proto import tf_example_pb2

        example = tf_example_pb2.Example.FromString(record)
        return b"".join(example.features.feature[self.feature].bytes_list.value)


def open_tfds(name: str) -> TfdsRecords:
    """Opens a prepared data set of TensorFlow Datasets; nothing is downloaded.

    The data set is searched in the directory that the environment variable `TFDS_DATA_DIR` names,
    otherwise in TFDS's own.

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


def _picture_feature(features: Any, image: type) -> str | None:
    """Returns the feature called `image`, otherwise the first picture by name, or None."""
    pictures = sorted(name for name, feature in features.items() if isinstance(feature, image))
    return "image" if "image" in pictures else next(iter(pictures), None)
