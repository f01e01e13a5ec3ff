"""A manifest notices every difference between what was written and what is there."""

import json
import os

import pytest

from stya2k_jax.files import directory_manifest as manifest


@pytest.fixture
def directory(tmp_path):
    directory = tmp_path / "7"
    (directory / "painter" / "d").mkdir(parents=True)
    (directory / "painter" / "d" / "numbers").write_bytes(bytes(range(256)))
    (directory / "painter" / "empty").touch()
    (directory / "_METADATA").write_text('{"a": 1}')
    manifest.write(directory)
    return directory


def test_a_directory_is_whole_after_its_manifest_was_written(directory):
    assert manifest.problems(directory) == []
    files = json.loads((directory / manifest.NAME).read_text())["files"]
    assert sorted(files) == ["_METADATA", "painter/d/numbers", "painter/empty"]
    assert files["painter/d/numbers"] == {
        "size": 256,
        "sha256": "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880",
    }


def test_the_manifest_is_the_only_file_that_is_added(directory):
    assert sorted(os.listdir(directory)) == ["_METADATA", manifest.NAME, "painter"]


def test_a_flipped_bit_in_any_byte_is_noticed_and_its_file_named(directory):
    paths = [path for path in directory.rglob("*") if path.is_file()]
    assert len(paths) == 4
    for path in paths:
        name, whole = path.relative_to(directory).as_posix(), path.read_bytes()
        for i in range(len(whole)):
            damaged = bytearray(whole)
            damaged[i] ^= 1 << i % 8
            path.write_bytes(damaged)
            assert manifest.problems(directory) == [f"{name} has changed"], i
        path.write_bytes(whole)
    assert manifest.problems(directory) == []


def test_missing_extra_and_cut_off_files_are_named(directory):
    (directory / "_METADATA").unlink()
    (directory / "painter" / "new").touch()
    (directory / "painter" / "d" / "numbers").write_bytes(bytes(100))
    assert manifest.problems(directory) == [
        "_METADATA is missing",
        "painter/new is extra",
        "painter/d/numbers has changed (100 bytes, 256 were written)",
    ]


def test_a_directory_without_a_manifest_was_cut_off(directory):
    (directory / manifest.NAME).unlink()
    (problem,) = manifest.problems(directory)
    assert problem.startswith("manifest.json is missing, so the save was cut off")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '"files"', '{"files": {}}'])
def test_what_is_no_manifest_is_a_manifest_that_has_changed(directory, text):
    (directory / manifest.NAME).write_text(text)
    assert manifest.problems(directory) == ["manifest.json has changed"]


def test_a_manifest_that_cannot_be_written_leaves_nothing_behind(directory, monkeypatch):
    (directory / manifest.NAME).unlink()

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        manifest.write(directory)
    assert sorted(os.listdir(directory)) == ["_METADATA", "painter"]
