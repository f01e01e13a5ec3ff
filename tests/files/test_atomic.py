"""Files are whole or not there, whatever happens while they are written."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from stya2k_jax.files.atomic import whole_directory, write_whole


def fail_after(text: str, error: BaseException):
    """Returns a writer that gets this far and fails."""

    def write(name: str) -> None:
        Path(name).write_text(text)
        raise error

    return write


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("bug"), KeyboardInterrupt()])
def test_a_failure_leaves_neither_the_file_nor_a_part_of_it(tmp_path, error):
    with pytest.raises(type(error)):
        write_whole(tmp_path / "a.txt", fail_after("half", error))
    assert os.listdir(tmp_path) == []


def test_a_failure_keeps_the_file_that_was_there(tmp_path):
    write_whole(tmp_path / "a.txt", lambda name: Path(name).write_text("old"))
    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "a.txt", fail_after("half", OSError("disk full")))
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_file_is_replaced_and_its_directory_made(tmp_path):
    path = tmp_path / "new" / "deeper" / "a.txt"
    for text in ("old", "new"):
        write_whole(path, lambda name, text=text: Path(name).write_text(text))
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.txt"]


def test_while_it_is_written_the_file_has_its_suffix_and_another_name(tmp_path):
    names = []

    def write(name: str) -> None:
        names.append(name)
        assert not (tmp_path / "a.png").exists()
        Path(name).write_text("x")

    write_whole(tmp_path / "a.png", write)
    (name,) = names
    assert Path(name).parent == tmp_path and Path(name).suffix == ".png"
    assert Path(name).name.startswith(".")  # hidden, so that nobody takes it for a picture


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_others_may_read_the_file_as_the_umask_says(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "a.txt", lambda name: Path(name).write_text("x"))
        assert os.umask(mask) == mask  # it is left as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode


def test_a_directory_is_not_replaced(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError):
        write_whole(tmp_path / "a.txt", lambda name: Path(name).write_text("x"))
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_in_place_of_the_directory_is_an_error_that_names_it(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(OSError) as error:
        write_whole(tmp_path / "taken" / "a.txt", lambda name: Path(name).write_text("x"))
    assert error.value.filename == str(tmp_path / "taken")


def test_others_may_enter_a_directory_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        with whole_directory(tmp_path / "a") as directory:
            (directory / "b.txt").touch()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o750


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_files_of_other_threads_keep_the_umask_all_the_while(tmp_path, mask, mode):
    modes, done = set(), threading.Event()

    def create() -> None:
        while not done.is_set():
            path = tmp_path / "others"
            path.touch()
            modes.add(stat.S_IMODE(path.stat().st_mode))
            path.unlink()

    before = os.umask(mask)
    thread = threading.Thread(target=create)
    try:
        thread.start()
        for i in range(300):
            write_whole(tmp_path / "a.txt", lambda name: Path(name).write_text("x"))
            with whole_directory(tmp_path / f"{i}"):
                pass
    finally:
        done.set()
        thread.join()
        os.umask(before)
    assert modes == {mode}


@pytest.mark.parametrize("name", ["a" * 251 + ".png", "a." + "b" * 253, "a" * 255, "\u00e9" * 127])
def test_any_name_that_the_file_system_takes_can_be_written(tmp_path, name):
    write_whole(tmp_path / name, lambda name: Path(name).write_text("x"))
    with whole_directory(tmp_path / "folder" / name) as directory:
        (directory / "b.txt").touch()
    assert sorted(os.listdir(tmp_path)) == sorted([name, "folder"])
    assert (tmp_path / "folder" / name / "b.txt").is_file()


def test_a_full_disk_names_the_file_and_its_folder(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left on device") as error:
        write_whole(tmp_path / "a.txt", fail_after("half", full))
    assert error.value.filename == str(tmp_path / "a.txt")
    with pytest.raises(OSError, match="No space left on device") as error:
        with whole_directory(tmp_path / "b") as directory:
            raise OSError(errno.ENOSPC, "No space left on device", str(directory / "c.txt"))
    assert error.value.filename == str(tmp_path / "b" / "c.txt")
    assert os.listdir(tmp_path) == []
