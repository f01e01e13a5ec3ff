"""Collections: opened from one string, read in any process, and told apart by their prints."""

import json
import os
import pickle
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from array_record.python import array_record_module
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from stya2k_jax.data.opening import check_enough, open_source, open_sources
from stya2k_jax.errors import PictureError, UserError


def picture_file(level: int, kind: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 6), (level, 0, 0)).save(file, kind)
    return file.getvalue()


def write_records(path: Path, records: list[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1,uncompressed")
    for record in records:
        writer.write(record)
    writer.close()


def tf_example(**features: bytes | int) -> bytes:
    example = tf_example_pb2.Example()
    for name, value in features.items():
        feature = example.features.feature[name]
        values = feature.bytes_list if isinstance(value, bytes) else feature.int64_list
        values.value.append(value)
    return example.SerializeToString()


def write_tfds(root: Path, version="1.0.0", file_format="array_record", key="image") -> None:
    """Writes the data set `tiny` as TFDS prepares it: three pictures to train, one to test."""
    directory, package = root / "tiny" / version, "tensorflow_datasets.core.features"
    splits = {"train": [[10, 20], [30]], "test": [[40]]}
    for split, shards in splits.items():
        for i, levels in enumerate(shards):
            name = f"tiny-{split}.array_record-{i:05d}-of-{len(shards):05d}"
            examples = [
                tf_example(label=1, mask=b"no picture", **{key: picture_file(level)})
                for level in levels
            ]
            write_records(directory / name, examples)
    picture = {
        "pythonClassName": f"{package}.image_feature.Image",
        "image": {
            "shape": {"dimensions": ["-1", "-1", "3"]},
            "dtype": "uint8",
            "encodingFormat": "png",
        },
    }
    label = {
        "pythonClassName": f"{package}.class_label_feature.ClassLabel",
        "classLabel": {"numClasses": "3"},
    }
    features = {"label": label, key: picture, "mask": picture} if key else {"label": label}
    (directory / "features.json").write_text(
        json.dumps(
            {
                "pythonClassName": f"{package}.features_dict.FeaturesDict",
                "featuresDict": {"features": features},
            }
        )
    )
    (directory / "dataset_info.json").write_text(
        json.dumps(
            {
                "name": "tiny",
                "version": version,
                "fileFormat": file_format,
                "splits": [
                    {
                        "name": split,
                        "shardLengths": [str(len(levels)) for levels in shards],
                        "numBytes": "100",
                        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                    }
                    for split, shards in splits.items()
                ],
            }
        )
    )


def levels(source) -> list[int]:
    return [source[i].getpixel((0, 0))[0] for i in range(len(source))]


@pytest.fixture
def tfds_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


def write_folder(root: Path) -> str:
    (root / "deep").mkdir(parents=True)
    for name, level in (("a.png", 10), ("deep/b.png", 20), ("deep/c.png", 30)):
        (root / name).write_bytes(picture_file(level))
    (root / "notes.txt").write_text("no picture")
    return str(root)


def write_shards(root: Path) -> str:
    for i, records in enumerate([[10, 20], [], [30]]):
        write_records(root / f"x-{i:05d}-of-00003.array_record", [*map(picture_file, records)])
    return f"arrayrecord:{root}/*.array_record"


@pytest.fixture(params=["folder", "arrayrecord", "tfds"])
def source(request, tfds_dir):
    """A collection of pictures of the levels 10, 20 and 30."""
    if request.param == "folder":
        return open_source(write_folder(tfds_dir / "pictures"), "content")
    if request.param == "arrayrecord":
        return open_source(write_shards(tfds_dir / "records"), "content")
    write_tfds(tfds_dir)
    return open_source("tfds:tiny", "content")


### Every collection


def test_pictures_are_read_in_order_as_rgb(source):
    assert len(source) == 3
    assert levels(source) == [10, 20, 30]
    assert {(source[i].mode, source[i].size) for i in range(3)} == {("RGB", (8, 6))}
    assert len(list(source)) == 3  # it ends
    with pytest.raises(IndexError):
        source[3]


def test_numpy_integers_are_indices(source):
    assert source[np.int64(2)].getpixel((0, 0))[0] == 30
    assert source.name(np.int64(2)) == source.name(2)


def test_pictures_have_names_of_their_own(source):
    names = [source.name(i) for i in range(3)]
    assert len(set(names)) == 3 and all(isinstance(name, str) for name in names)


def test_it_is_the_same_in_another_process(source):
    levels(source)  # open files must not be in the way
    copy = pickle.loads(pickle.dumps(source))
    assert levels(copy) == levels(source)
    assert (str(copy), copy.fingerprint()) == (str(source), source.fingerprint())


@pytest.mark.parametrize("kind", ["content", "style"])
def test_drawn_pictures_are_a_collection_of_each_kind(kind):
    source = open_source("demo:", kind)
    assert source[0].size == (256, 256) and len(source) == 64
    assert source.name(3) == "demo:3"
    assert pickle.loads(pickle.dumps(source)) == source
    other = open_source("demo:", {"content": "style", "style": "content"}[kind])
    assert source.fingerprint() != other.fingerprint()


### Fingerprints


def test_a_folder_has_another_fingerprint_when_a_file_is_added_renamed_or_changed(tmp_path):
    def fingerprint(root) -> str:
        return open_source(str(root), "content").fingerprint()

    first = fingerprint(write_folder(tmp_path / "here"))
    assert fingerprint(write_folder(tmp_path / "there")) == first  # wherever it is
    found, path = {first}, tmp_path / "here/deep/b.png"
    path.rename(path.with_name("d.png"))
    found.add(fingerprint(tmp_path / "here"))
    path.with_name("d.png").write_bytes(picture_file(20, "BMP"))
    found.add(fingerprint(tmp_path / "here"))
    path.with_name("e.png").write_bytes(picture_file(20))
    found.add(fingerprint(tmp_path / "here"))
    assert len(found) == 4
    assert all(len(x) == 64 and int(x, 16) for x in found)


def test_records_have_another_fingerprint_when_files_are_added_or_changed(tmp_path):
    def fingerprint() -> str:
        return open_source(f"arrayrecord:{tmp_path}", "content").fingerprint()

    found = []
    for name, records in (("a", [1, 2]), ("b", [1]), ("b", [1, 2])):
        write_records(tmp_path / f"{name}.array_record", [*map(picture_file, records)])
        found += [fingerprint(), fingerprint()]
    assert len(set(found)) == 3


def test_a_data_set_has_another_fingerprint_with_each_version_and_split(tfds_dir):
    write_tfds(tfds_dir, "1.0.0")
    write_tfds(tfds_dir, "1.1.0")
    names = ["tfds:tiny", "tfds:tiny:1.0.0", "tfds:tiny:test", "tfds:tiny:train[:2]"]
    assert len({open_source(name, "content").fingerprint() for name in names}) == 4


def test_a_large_folder_is_opened_and_printed_fast(tmp_path):
    for i in range(5000):
        (tmp_path / f"{i}.jpg").touch()
    start = time.perf_counter()
    source = open_source(str(tmp_path), "content")
    source.fingerprint()
    assert time.perf_counter() - start < 5  # a tenth of it here
    assert len(pickle.dumps(source)) < 100_000


### Record files


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_a_record_may_be_any_picture_file(tmp_path, kind):
    write_records(tmp_path / "one.array_record", [picture_file(80, kind)])
    (level,) = levels(open_source(f"arrayrecord:{tmp_path}/one.array_record", "content"))
    assert abs(level - 80) <= 2


def test_a_record_is_named_by_its_file_and_place(tmp_path):
    source = open_source(write_shards(tmp_path), "content")
    names = [f"x-00000-of-00003.array_record[{i}]" for i in (0, 1)]
    names += ["x-00002-of-00003.array_record[0]"]
    assert [source.name(i) for i in range(3)] == [f"{tmp_path}/{name}" for name in names]


def test_records_that_are_no_pictures_are_named(tmp_path):
    write_records(
        tmp_path / "a.array_record", [picture_file(1), b"text", picture_file(2, "JPEG")[:500]]
    )
    source = open_source(f"arrayrecord:{tmp_path}", "content")
    for i, reason in ((1, "is not a picture"), (2, "cannot be read")):
        with pytest.raises(PictureError) as error:
            source[i]
        assert f"{tmp_path}/a.array_record[{i}] {reason}" in str(error.value)


def test_damaged_record_files_are_named(tmp_path):
    path = tmp_path / "a.array_record"
    write_records(path, [os.urandom(5000) for _ in range(40)])
    data = bytearray(path.read_bytes())
    data[120_000:120_100] = bytes(100)
    path.write_bytes(data)
    source = open_source(f"arrayrecord:{path}", "content")
    broken = {i for i in range(40) if "hash mismatch" in reason_of(source, i)}
    assert len(broken) == 1
    path.write_bytes(data[:100_000])
    with pytest.raises(PictureError, match=f"config.content: {path} is not a whole ArrayRecord"):
        open_source(f"arrayrecord:{path}", "content")


def reason_of(source, index: int) -> str:
    with pytest.raises(PictureError) as error:
        source[index]
    assert source.name(index) in str(error.value)
    return str(error.value)


def test_a_missing_shard_is_named(tmp_path):
    name = write_shards(tmp_path)
    (tmp_path / "x-00001-of-00003.array_record").unlink()
    with pytest.raises(PictureError, match="/x-00001-of-00003.array_record is missing; copy all 3"):
        open_source(name, "content")


def test_no_records_are_an_error_that_says_how_to_write_them(tmp_path):
    with pytest.raises(PictureError, match=r"config.style: there are no .*`stya2k prepare"):
        open_source(f"arrayrecord:{tmp_path}/*.array_record", "style")
    write_records(tmp_path / "a.array_record", [])
    with pytest.raises(PictureError, match="hold no records"):
        open_source(f"arrayrecord:{tmp_path}/*.array_record", "style")


### TensorFlow Datasets


def test_a_version_and_a_split_can_be_chosen(tfds_dir):
    write_tfds(tfds_dir, "1.0.0")
    write_tfds(tfds_dir, "1.1.0")
    for name, full, expected in (
        ("tiny", "tiny/1.1.0:train", [10, 20, 30]),
        ("tiny:test", "tiny/1.1.0:test", [40]),
        ("tiny:1.0.0", "tiny/1.0.0:train", [10, 20, 30]),
        ("tiny:1.0.0:test", "tiny/1.0.0:test", [40]),
        ("tiny:train[1:]", "tiny/1.1.0:train[1:]", [20, 30]),
    ):
        source = open_source(f"tfds:{name}", "content")
        assert (str(source), levels(source)) == (f"tfds:{full}", expected)
        assert source.name(0) == f"tfds:{full}[0]"


def test_the_picture_may_be_called_otherwise(tfds_dir):
    write_tfds(tfds_dir, key="hires")  # before `mask`, which is no picture
    assert levels(open_source("tfds:tiny", "content")) == [10, 20, 30]


@pytest.mark.parametrize("name", ["coco/2014", "tiny", "tiny/other:1.0.0", "no_such_thing"])
def test_a_data_set_that_is_not_prepared_is_an_error_with_the_command_that_does(tfds_dir, name):
    with pytest.raises(PictureError) as error:
        open_source(f"tfds:{name}", "content")
    build = f"`tfds build {name.removesuffix(':1.0.0')} --file_format=array_record`"
    assert str(error.value).startswith(f"config.content: tfds:{name} is not prepared in {tfds_dir}")
    assert build in str(error.value) and "\n" not in str(error.value)
    assert not any(tfds_dir.iterdir())  # nothing is downloaded


def test_files_without_random_access_are_an_error_with_the_command_that_makes_others(tfds_dir):
    write_tfds(tfds_dir, file_format="tfrecord")
    with pytest.raises(PictureError) as error:
        open_source("tfds:tiny", "content")
    assert f"is prepared in {tfds_dir}/tiny/1.0.0 as tfrecord" in str(error.value)
    assert "`tfds build tiny --file_format=array_record`" in str(error.value)


def test_what_a_data_set_does_not_have_is_named(tfds_dir):
    write_tfds(tfds_dir)
    with pytest.raises(PictureError, match="tiny:validation has no split 'validation'; it has"):
        open_source("tfds:tiny:validation", "content")
    with pytest.raises(PictureError, match="tfds:: is not a data set's name"):
        open_source("tfds::", "content")
    write_tfds(tfds_dir, "2.0.0", key="")
    with pytest.raises(PictureError, match="holds no pictures; its features are label"):
        open_source("tfds:tiny", "content")


def test_tensorflow_is_not_imported(tfds_dir):
    write_tfds(tfds_dir)
    code = (
        "import sys\n"
        "from stya2k_jax.data.opening import open_source\n"
        "assert 'tensorflow_datasets' not in sys.modules, 'only when it is needed'\n"
        "print(open_source('tfds:tiny', 'content')[2].getpixel((0, 0)))\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("(30, 0, 0)\n", 0), done.stderr  # no complaint


### Folders and fields


@pytest.mark.parametrize("kind", ["content", "style"])
def test_a_folder_that_is_missing_or_empty_is_named_with_its_field(tmp_path, kind):
    with pytest.raises(PictureError, match=f"config.{kind}: {tmp_path}/no does not exist"):
        open_source(str(tmp_path / "no"), kind)
    with pytest.raises(PictureError, match=f"config.{kind}: {tmp_path} holds no pictures"):
        open_source(f"folder:{tmp_path}", kind)
    with pytest.raises(PictureError, match=f"set --config.{kind}=FOLDER, or --config.{kind}=demo:"):
        open_source("", kind)
    with pytest.raises(PictureError, match="^input: "):
        open_source(str(tmp_path), kind, "input")


def test_a_folder_is_searched_to_its_bottom_and_one_file_is_a_collection(tmp_path):
    root = write_folder(tmp_path / "pictures")
    for name in (root, f"folder:{root}", f"{root}/"):
        source = open_source(name, "content")
        assert [os.path.relpath(source.name(i), root) for i in range(3)] == [
            *("a.png", "deep/b.png", "deep/c.png")
        ]
    assert levels(open_source(f"{root}/deep/b.png", "content")) == [20]


def test_fewer_pictures_than_a_batch_are_refused_with_both_numbers(tmp_path):
    root = write_folder(tmp_path / "pictures")
    source = open_source(root, "style")
    check_enough(source, "style", 3)
    message = f"config.style: {root} holds 3 pictures, fewer than the 4 .*--config.batch_size=3"
    with pytest.raises(UserError, match=message):
        check_enough(source, "style", 4)
    names = {"content": "demo:", "style": root}
    assert [len(source) for source in open_sources(names, 3)] == [64, 3]
    with pytest.raises(UserError, match=message):
        open_sources(names, 4)
