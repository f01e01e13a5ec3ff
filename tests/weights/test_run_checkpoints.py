"""Checkpoints are whole or not used, and a save that fails says so."""

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from stya2k_jax.errors import WeightsError
from stya2k_jax.files import directory_manifest as manifest
from stya2k_jax.weights.run_checkpoints import DAMAGED_FOLDER, FOLDER, CheckpointError, Checkpoints
from tests.support.checkpoints import check_items, items_of, wait_for_end
from tests.support.paths import ROOT
from tests.support.ports import free_port


def save(workdir: Path, *steps: int, **options) -> None:
    with Checkpoints(workdir, **options) as checkpoints:
        for step in steps:
            checkpoints.save(step, **items_of(step))


def steps_in(workdir: Path) -> list[int]:
    return sorted(int(name) for name in os.listdir(workdir / FOLDER) if name != DAMAGED_FOLDER)


def newest(workdir: Path) -> int | None:
    with Checkpoints(workdir, read_only=True) as checkpoints:
        return checkpoints.latest()


def files_of(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory):
    """A run's directory with the checkpoints 1 and 2; not to be changed."""
    workdir = tmp_path_factory.mktemp("saved")
    save(workdir, 1, 2)
    return workdir


@pytest.fixture
def workdir(saved_run, tmp_path):
    """A copy of it."""
    return shutil.copytree(saved_run, tmp_path / "run")


@pytest.fixture
def warnings(caplog):
    """Returns what was warned of since the last call."""
    caplog.set_level(logging.WARNING, "stya2k_jax")

    def since() -> str:
        text = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("stya2k_jax"))
        caplog.clear()
        return text

    return since


def run_script(script: str, *arguments, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        text=True,
        stdout=subprocess.PIPE,
        **options,
    )


def answer_of(process: subprocess.Popen) -> dict:
    """Returns the last line that a script prints, which is JSON."""
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


def test_what_was_saved_is_restored(saved_run):
    with Checkpoints(saved_run, read_only=True) as checkpoints:
        assert checkpoints.latest() == 2
        check_items(checkpoints, 1)
        check_items(checkpoints, 2)


def test_what_is_saved_may_be_donated_to_the_next_step(tmp_path):
    step = jax.jit(lambda items: jax.tree.map(lambda x: x + 1, items), donate_argnums=0)
    with Checkpoints(tmp_path) as checkpoints:
        items = items_of(1)
        checkpoints.save(1, **items)
        step(items)
        checkpoints.wait()
        check_items(checkpoints, 1)


def test_a_checkpoint_of_another_network_is_refused(saved_run):
    with Checkpoints(saved_run, read_only=True) as checkpoints:
        with pytest.raises(WeightsError, match=r"layer.kernel: \(100, 10\), expected \(3, 10\)"):
            checkpoints.restore(2, painter=items_of(2, size=3)["painter"])


def test_a_directory_without_checkpoints_has_none_and_stays_as_it_is(tmp_path):
    assert newest(tmp_path) is None
    assert os.listdir(tmp_path) == []
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        with pytest.raises(ValueError, match="opened with read_only=True"):
            checkpoints.save(1, **items_of(1))


def test_without_any_one_file_the_checkpoint_before_is_used_and_the_file_named(workdir, warnings):
    directory = workdir / FOLDER / "2"
    files = files_of(directory)
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        path.unlink()
        assert newest(workdir) == 1, path
        assert f"{directory} is not a whole checkpoint and is not used: " in (text := warnings())
        assert f"{path.relative_to(directory).as_posix()} is missing" in text
        path.write_bytes(content)
    assert newest(workdir) == 2
    assert not warnings()


def test_a_flipped_bit_anywhere_is_detected_and_the_checkpoint_before_is_used(workdir, warnings):
    directory, random = workdir / FOLDER / "2", np.random.default_rng(0)
    files = [path for path in files_of(directory) if path.stat().st_size]
    assert directory / manifest.NAME in files
    for i in range(100):
        path = files[i % len(files)]  # each of them several times
        content = bytearray(path.read_bytes())
        offset, bit = random.integers(len(content)), random.integers(8)
        content[offset] ^= 1 << bit
        path.write_bytes(content)
        assert newest(workdir) == 1, (path, offset, bit)
        assert f"{path.relative_to(directory).as_posix()} has changed" in warnings()
        content[offset] ^= 1 << bit
        path.write_bytes(content)
    assert newest(workdir) == 2


def test_the_newest_whole_one_is_found_below_several_damaged(workdir, warnings):
    for step in (5, 9, 10):
        shutil.copytree(workdir / FOLDER / "2", workdir / FOLDER / str(step))
        (workdir / FOLDER / str(step) / manifest.NAME).unlink()
    assert newest(workdir) == 2
    assert warnings().count("manifest.json is missing, so the save was cut off") == 3
    for step in (1, 2):
        (workdir / FOLDER / str(step) / "extra").touch()
    assert newest(workdir) is None


def test_looking_only_moves_nothing(workdir):
    (workdir / FOLDER / "2" / manifest.NAME).unlink()
    unfinished = workdir / FOLDER / "3.orbax-checkpoint-tmp"
    unfinished.mkdir()
    before = sorted(workdir.rglob("*"))
    assert newest(workdir) == 1
    assert sorted(workdir.rglob("*")) == before


def test_a_damaged_step_is_saved_again_and_the_damaged_one_lies_aside(workdir, warnings):
    (workdir / FOLDER / "3.orbax-checkpoint-tmp").mkdir()
    for aside in ("2", "2.1", "2.2"):
        (workdir / FOLDER / "2" / "_CHECKPOINT_METADATA").write_text(aside)
        with Checkpoints(workdir) as checkpoints:
            assert checkpoints.latest() == 1
            moved = workdir / FOLDER / DAMAGED_FOLDER / aside
            assert f"It now lies in {moved}; delete it when you like." in warnings()
            assert (moved / "_CHECKPOINT_METADATA").read_text() == aside
            checkpoints.save(2, **items_of(2))
            checkpoints.wait()
            assert checkpoints.latest() == 2
            check_items(checkpoints, 2)
    assert steps_in(workdir) == [1, 2]


@pytest.mark.parametrize("disk", ["/dev/shm", None])
def test_a_damaged_step_stays_on_the_disk_that_the_folder_is_a_link_to(
    workdir, warnings, monkeypatch, disk
):
    with tempfile.TemporaryDirectory(dir=disk if disk and os.path.isdir(disk) else None) as other:
        target, rename = Path(other) / "of a run", os.rename
        shutil.move(workdir / FOLDER, target)
        (workdir / FOLDER).symlink_to(target)

        def within_a_disk(source, aside):
            if not Path(aside).resolve().is_relative_to(other):
                raise OSError(errno.EXDEV, "Invalid cross-device link", source)
            rename(source, aside)

        monkeypatch.setattr(os, "rename", within_a_disk)
        (target / "2" / "_CHECKPOINT_METADATA").write_text("damaged")
        with Checkpoints(workdir) as checkpoints:
            assert checkpoints.latest() == 1
            checkpoints.save(2, **items_of(2))
            checkpoints.wait()
            check_items(checkpoints, 2)
        assert (target / DAMAGED_FOLDER / "2").is_dir()
        assert "It now lies in" in warnings()


def test_bytes_of_items_that_are_not_read_are_not_compared(workdir, monkeypatch):
    looked_at, hash_of = [], manifest._description
    monkeypatch.setattr(
        manifest, "_description", lambda path: looked_at.append(path) or hash_of(path)
    )
    folder = workdir / FOLDER / "2"
    with Checkpoints(workdir, read_only=True, unread=["training"]) as checkpoints:
        assert checkpoints.latest() == 2
    folders = {path.relative_to(folder).parts[0] for path in looked_at}
    assert "painter" in folders and "training" not in folders
    (largest,) = sorted(files_of(folder / "training"), key=lambda path: path.stat().st_size)[-1:]
    largest.write_bytes(largest.read_bytes()[:-1])  # names and sizes are compared
    with Checkpoints(workdir, read_only=True, unread=["training"]) as checkpoints:
        assert checkpoints.latest() == 1


def test_an_older_damaged_step_is_saved_again_too(workdir, warnings):
    (workdir / FOLDER / "1" / "_CHECKPOINT_METADATA").write_text("damaged")
    with Checkpoints(workdir) as checkpoints:
        checkpoints.save(1, **items_of(1))
        checkpoints.wait()
        assert checkpoints.latest() == 2
        check_items(checkpoints, 1)
    assert "_CHECKPOINT_METADATA has changed" in warnings()


def test_a_step_that_is_whole_is_not_saved_again(workdir):
    def times():
        return {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}

    before = times()
    save(workdir, 2, 1)
    assert times() == before


def test_files_are_compared_once_for_an_open_object(workdir, monkeypatch):
    looked_at, compare = [], manifest.problems
    monkeypatch.setattr(manifest, "problems", lambda path: looked_at.append(path) or compare(path))
    with Checkpoints(workdir) as checkpoints:
        for step in (3, 4):
            assert checkpoints.latest() == step - 1
            checkpoints.save(step, **items_of(step))
            checkpoints.wait()
    assert [path.name for path in looked_at] == ["2"]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (dict(keep=2), [6, 7]),
        (dict(keep=1), [7]),
        (dict(keep=2, keep_every=3), [3, 6, 7]),
        (dict(keep_every=3), [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_the_latest_stay_and_every_nth(tmp_path, options, kept):
    save(tmp_path, *range(1, 8), **options)
    assert steps_in(tmp_path) == kept


def test_the_one_before_is_kept_until_the_new_one_has_its_manifest(workdir, monkeypatch):
    write, newest_then = manifest.write, []

    def look_and_write(directory: Path) -> None:
        newest_then.append(newest(workdir))
        write(directory)

    monkeypatch.setattr(manifest, "write", look_and_write)
    save(workdir, 3, 4, keep=1)
    assert newest_then == [2, 3]
    assert steps_in(workdir) == [4]


@pytest.fixture
def full_disk(monkeypatch):
    """Lets no manifest be written."""

    def refuse(directory: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(directory / manifest.NAME))

    monkeypatch.setattr(manifest, "write", refuse)


def test_a_failed_save_is_raised_by_whatever_comes_next(workdir, full_disk, warnings):
    words = (
        rf"step 3 could not be written to {workdir / FOLDER}: \[Errno 28\] No space left on device"
        r".*The checkpoint of step 2 there is whole.*goes on from it"
    )
    checkpoints = Checkpoints(workdir)
    with pytest.raises(CheckpointError, match=words):
        with checkpoints:
            checkpoints.save(3, **items_of(3))
            for call in (
                lambda: wait_for_end(checkpoints),
                checkpoints.check,
                checkpoints.wait,
                lambda: checkpoints.save(4, **items_of(4)),
            ):
                with pytest.raises(CheckpointError, match=words) as error:
                    call()
                assert isinstance(error.value.__cause__, OSError)
    assert newest(workdir) == 2
    assert steps_in(workdir) == [1, 2, 3]  # committed by Orbax, and no checkpoint


def test_leaving_raises_the_error_of_the_last_save(tmp_path, full_disk):
    with pytest.raises(CheckpointError, match="There is no checkpoint before it.*begins anew"):
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.save(1, **items_of(1))


def test_a_failed_save_does_not_replace_an_error_on_its_way(workdir, full_disk, caplog):
    with pytest.raises(KeyError, match="another"):
        with Checkpoints(workdir) as checkpoints:
            checkpoints.save(3, **items_of(3))
            raise KeyError("another")
    assert "step 3 could not be written" in caplog.text


def test_an_error_lets_the_save_in_progress_end(workdir):
    with pytest.raises(KeyError, match="another"):
        with Checkpoints(workdir) as checkpoints:
            checkpoints.save(3, **items_of(3))
            raise KeyError("another")
    assert newest(workdir) == 3


def test_a_file_in_place_of_the_directory_is_an_error_that_names_it(tmp_path):
    (tmp_path / FOLDER).touch()
    with pytest.raises(CheckpointError, match=f"File exists: '{tmp_path / FOLDER}'"):
        save(tmp_path, 1)


FAILING_SAVE = """
import json, os, resource, sys
from pathlib import Path
from stya2k_jax.weights.run_checkpoints import CheckpointError, Checkpoints
from tests.support.checkpoints import items_of, wait_for_end

workdir, how = Path(sys.argv[1]), sys.argv[2]
try:
    with Checkpoints(workdir) as checkpoints:
        checkpoints.save(1, **items_of(1))
        checkpoints.wait()
        if how == "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        else:
            os.chmod(workdir / "checkpoints", 0o555)
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
        checkpoints.save(2, **items_of(2, size=10_000))
        wait_for_end(checkpoints)
except CheckpointError as error:
    print(json.dumps({"message": str(error)}))
"""


@pytest.mark.parametrize(
    ("how", "reason"), [("limit", "File too large"), ("permission", "Permission denied: ")]
)
def test_a_disk_that_takes_no_more_ends_with_a_message_and_the_checkpoint_before(how, reason):
    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to other users
        workdir = Path(name)
        workdir.chmod(0o755)
        message = answer_of(run_script(FAILING_SAVE, workdir, how))["message"]
        (workdir / FOLDER).chmod(0o755)
        assert f"step 2 could not be written to {workdir / FOLDER}: " in message
        assert reason in message
        assert "The checkpoint of step 1 there is whole." in message
        with Checkpoints(workdir) as checkpoints:
            assert checkpoints.latest() == 1
            check_items(checkpoints, 1)
            checkpoints.save(2, **items_of(2))
        assert steps_in(workdir) == [1, 2]  # and no unfinished directory


SAVES = """
import sys
from stya2k_jax.weights.run_checkpoints import Checkpoints
from tests.support.checkpoints import check_items, items_of

with Checkpoints(sys.argv[1], keep=1) as checkpoints:
    done = checkpoints.latest() or 0
    for step in range(done + 1, done + 1000):
        checkpoints.save(step, **items_of(step, size=int(sys.argv[2])))
"""


def test_a_process_killed_while_it_saves_leaves_a_whole_checkpoint(tmp_path):
    size, before = 500_000, 0  # 20 MB
    for moment in (0.0, 0.05, 0.1, 0.2):  # seconds after a directory is seen
        process = run_script(SAVES, tmp_path, size)
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                assert process.poll() is None
                names = [p.name for p in (tmp_path / FOLDER).glob("*.orbax-checkpoint-tmp")]
                if any(int(name.split(".")[0]) >= before + 2 for name in names):
                    break
                time.sleep(0.002)
            time.sleep(moment)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        with Checkpoints(tmp_path) as checkpoints:
            assert (step := checkpoints.latest()) > before
            check_items(checkpoints, step, size)
        assert not list((tmp_path / FOLDER).glob("*.orbax-checkpoint-tmp"))
        before = step


TWO_PROCESSES = """
import json, sys
import jax

jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(sys.argv[2], num_processes=2, process_id=int(sys.argv[3]))
from pathlib import Path
import numpy as np
from stya2k_jax.weights.run_checkpoints import Checkpoints
from tests.support.checkpoints import items_of

mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
everywhere = jax.sharding.NamedSharding(mesh, jax.P())
with Checkpoints(Path(sys.argv[1]), keep=2) as checkpoints:
    latest = checkpoints.latest()
    found = checkpoints.restore(latest, **jax.device_put(items_of(latest), everywhere))
    jax.tree.map(np.testing.assert_array_equal, found, items_of(latest))
    assert found["painter"]["layer"]["kernel"].sharding == everywhere
    for step in (2, 3, 4):
        checkpoints.check()
        checkpoints.save(step, **jax.device_put(items_of(step), everywhere))
    checkpoints.wait()
    print(json.dumps({"found": latest, "saved": checkpoints.latest()}))
"""


def test_checkpoints_go_from_one_process_to_two_and_back(workdir):
    (workdir / FOLDER / "2" / manifest.NAME).unlink()
    address = f"localhost:{free_port()}"
    processes = [run_script(TWO_PROCESSES, workdir, address, i) for i in (0, 1)]
    for process in processes:
        assert answer_of(process) == {"found": 1, "saved": 4}
    assert steps_in(workdir) == [3, 4]
    assert os.listdir(workdir / FOLDER / DAMAGED_FOLDER) == ["2"]
    with Checkpoints(workdir) as checkpoints:
        assert checkpoints.latest() == 4
        check_items(checkpoints, 4)
