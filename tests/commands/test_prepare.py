"""Packing pictures: what training reads from the records is what it reads from the folder."""

import itertools
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.data.batches import BatchOptions, batches
from stya2k_jax.data.opening import open_source
from stya2k_jax.data.packing import write_shards
from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.pictures.resizing import squash
from stya2k_jax.pictures.synthetic import draw_content
from tests.support.commands import run_command

SIZE = 48
OPTIONS = dict(size_px=SIZE, quality=95, shards=3, workers=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven pictures of 100x80 in a folder of folders."""
    root = tmp_path_factory.mktemp("pictures")
    (root / "deep").mkdir()
    for i in range(7):
        Image.fromarray(draw_content(i, 100)[:80]).save(root / f"{'deep/' * (i % 2)}{i}.png")
    return root


@pytest.fixture(scope="module")
def packed(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("packed") / "photos"
    assert write_shards([open_source(str(folder), "content")], output, **OPTIONS) == []
    return output


def opened(path: Path):
    return open_source(f"arrayrecord:{path}/*.array_record", "content")


def first(source, **options):
    options = dict(batch_size=4, load_size=SIZE, crop_size=32, seed=3) | options
    return list(itertools.islice(batches(source, source, BatchOptions(**options)), 4))


def test_the_shards_hold_all_pictures_in_order_at_the_size_of_training(folder, packed):
    names = sorted(path.name for path in packed.iterdir())
    assert names == [f"photos-{i:05d}-of-00003.array_record" for i in range(3)]
    files, records = open_source(str(folder), "content"), opened(packed)
    assert len(records) == 7
    for i in range(7):
        assert records[i].size == (SIZE, SIZE)
        difference = np.abs(np.int16(records[i]) - np.int16(squash(files[i], SIZE)))
        others = [
            np.abs(np.int16(records[i]) - np.int16(squash(files[j], SIZE))).mean()
            for j in range(7)
            if j != i
        ]
        assert difference.mean() < 4 < 10 < min(others)


def test_batches_are_those_of_the_folder_up_to_the_loss_of_jpeg(folder, packed):
    for a, b in zip(first(open_source(str(folder), "content")), first(opened(packed)), strict=True):
        for kind in ("content", "style"):
            np.testing.assert_array_equal(a[f"{kind}_id"], b[f"{kind}_id"])
            difference = np.abs(np.int16(a[kind]) - np.int16(b[kind]))
            assert 0 < difference.mean() < 4


def test_batches_are_exactly_those_of_the_files_in_the_records(packed, tmp_path):
    source = opened(packed)
    for i in range(len(source)):
        data = source.records[i]
        assert Image.open(BytesIO(data)).format == "JPEG"
        (tmp_path / f"{i}.jpg").write_bytes(data)
    plain = first(open_source(str(tmp_path), "content"))
    for options in ({}, {"workers": 2}):
        for a, b in zip(plain, first(source, **options), strict=True):
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])


def test_a_record_of_the_load_size_is_neither_resized_nor_decoded_beyond_the_crop(
    packed, monkeypatch
):
    def refuse(*_, **__):
        raise AssertionError("not needed")

    expected = first(opened(packed))
    monkeypatch.setattr(Image.Image, "resize", refuse)
    monkeypatch.setattr("stya2k_jax.data.array_records.decode_picture", refuse)
    for a, b in zip(first(opened(packed)), expected, strict=True):
        np.testing.assert_array_equal(a["content"], b["content"])


def test_records_can_be_read_at_another_size(packed, tmp_path):
    source = opened(packed)
    for i in range(len(source)):
        (tmp_path / f"{i}.jpg").write_bytes(source.records[i])
    options = dict(load_size=40, crop_size=24)
    plain = first(open_source(str(tmp_path), "content"), **options)
    for a, b in zip(plain, first(source, **options), strict=True):
        np.testing.assert_array_equal(a["style"], b["style"])


def test_worker_processes_write_the_same_and_several_inputs_follow_each_other(
    folder, packed, tmp_path
):
    source = open_source(str(folder), "content")
    write_shards([source, source], tmp_path / "twice", **OPTIONS | {"workers": 2})
    once, twice = opened(packed), opened(tmp_path / "twice")
    expected = [once.records[i] for i in range(7)] * 2
    assert [twice.records[i] for i in range(14)] == expected


def test_quality_decides_over_the_size(folder, packed, tmp_path):
    source = open_source(str(folder), "content")
    write_shards([source], tmp_path / "small", **OPTIONS | {"quality": 50})
    small, large = opened(tmp_path / "small"), opened(packed)
    assert len(small.records[0]) < 0.6 * len(large.records[0])


def test_there_are_no_more_shards_than_pictures(folder, tmp_path):
    source = open_source(str(folder), "content")
    write_shards([source], tmp_path / "many", **OPTIONS | {"shards": 20})
    assert len(list((tmp_path / "many").iterdir())) == len(opened(tmp_path / "many")) == 7


def test_a_directory_in_use_is_refused_and_left_alone(folder, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file").touch()
    with pytest.raises(UserError, match=f"{tmp_path}/here is there already; give another --output"):
        write_shards([open_source(str(folder), "content")], tmp_path / "here", **OPTIONS)
    assert [path.name for path in tmp_path.rglob("*")] == ["here", "file"]


def test_nothing_is_left_when_it_is_interrupted(folder, tmp_path, monkeypatch):
    source = open_source(str(folder), "content")

    def interrupted(self, index):
        if index == 5:
            raise KeyboardInterrupt
        return source[index]

    class Interrupted(type(source)):
        __getitem__ = interrupted

    with pytest.raises(KeyboardInterrupt):
        write_shards([Interrupted(source.root, source.files)], tmp_path / "x", **OPTIONS)
    assert not any(tmp_path.iterdir())


def test_nothing_is_left_when_no_picture_can_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"text")
    source = open_source(str(tmp_path), "content")
    with pytest.raises(PictureError, match="none of the 1 pictures can be read: .*a.png is not"):
        write_shards([source], tmp_path / "out", **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_the_command_does_the_rest_and_names_what_it_cannot_read(folder, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"text")
    command = [sys.executable, "-m", "stya2k_jax", "prepare", "--size=40", "--workers=2"]
    command += [f"--input={folder}", f"--input={tmp_path}", f"--output={tmp_path / 'out'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"error: {tmp_path}/broken.jpg is not a picture" in done.stderr
    assert "Traceback" not in done.stderr and "leaked" not in done.stderr
    assert f"arrayrecord:{tmp_path}/out" in done.stdout
    source = open_source(f"arrayrecord:{tmp_path}/out", "content")
    assert len(source) == 7 and source[6].size == (40, 40)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input={tmp}/no", "--output={tmp}/x"], "input: {tmp}/no does not exist"),
        (["--input={tmp}", "--output={tmp}/x"], "input: {tmp} holds no pictures"),
    ],
)
def test_what_is_wrong_is_one_message(tmp_path, options, message):
    options = [option.format(tmp=tmp_path) for option in options]
    done = run_command("-m", "stya2k_jax", "prepare", *options)
    assert done.returncode == 1
    assert message.format(tmp=tmp_path) in done.stderr and "Traceback" not in done.stderr
    assert not any(tmp_path.iterdir())
