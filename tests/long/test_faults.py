"""What happens to long runs: kills, signals, lost processes, other machines.

`make faults` runs all of it, `STYA2K_FAULTS=short pytest -m faults` a few of each.
"""

import os
import random
import time

import numpy as np
import pytest

from stya2k_jax.weights.run_checkpoints import Checkpoints
from tests.support.training_processes import (
    Run,
    has_saved,
    hash_of,
    is_saving,
    last_row,
    losses_of,
    painter_of,
    start_together,
)
from tests.support.training_runs import rows_of

pytestmark = pytest.mark.faults

SHORT = os.environ.get("STYA2K_FAULTS") == "short"
KILLS = 4 if SHORT else 30
STOPS = 3 if SHORT else 12
in_full = pytest.mark.skipif(SHORT, reason="STYA2K_FAULTS=short leaves it out")
EVERY = 5  # steps between checkpoints
GRACE_S = 30  # after SIGTERM
SURVIVOR_S = 60


def latest(workdir) -> int | None:
    with Checkpoints(workdir, read_only=True) as checkpoints:
        return checkpoints.latest()


### Kills


def test_a_run_that_is_killed_again_and_again_is_the_unbroken_run(tmp_path):
    chance, steps = random.Random(0), 15 * KILLS
    options = dict(steps=steps, checkpoint_every=EVERY)
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    Run(unbroken, **options).ends_well()
    kills = in_a_save = 0
    while kills < KILLS:
        before = last_row(broken)
        run = Run(broken, **options)
        assert run.until(lambda: len(rows_of(broken)) > 0 and last_row(broken) > before)  # noqa: B023
        if kills % 2:
            assert run.until(lambda: is_saving(broken)), "the run ended before it was killed"
        else:
            time.sleep(chance.uniform(0, 0.5))
        saving = is_saving(broken)
        run.kill()
        kills, in_a_save = kills + 1, in_a_save + saving
        if before:
            assert run.resumed_from() >= before - EVERY - 1, run.said()
    Run(broken, **options).ends_well()
    assert in_a_save >= KILLS // 3
    assert losses_of(broken) == losses_of(unbroken)
    assert hash_of(broken) == hash_of(unbroken)


### SIGTERM


@pytest.mark.parametrize("moment", ["compile", "step", "save"])
def test_sigterm_saves_and_exits_0_in_time(tmp_path, moment):
    chance = random.Random(moment)
    for i in range(STOPS // 3):
        workdir = tmp_path / str(i)
        run = Run(workdir, steps=100_000, checkpoint_every=EVERY, cached=moment != "compile")
        if moment == "compile":
            assert run.until(lambda: "compiling the training step" in run.said())  # noqa: B023
            time.sleep(chance.uniform(0, 4))
            assert not rows_of(workdir)
        else:
            assert run.until(lambda: last_row(workdir) > EVERY)  # noqa: B023
            time.sleep(chance.uniform(0, 0.3))
        if moment == "save":
            assert run.until(lambda: is_saving(workdir))  # noqa: B023
        assert run.terminate() <= GRACE_S
        assert f"Step {latest(workdir)} of" in run.said()
        assert latest(workdir) == last_row(workdir)


### Several processes


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("alone") / "run"
    Run(workdir, steps=5).ends_well()
    return workdir


def assert_same_training(workdir, reference, steps=5):
    """Compares losses and numbers, which differ by the order in which devices' sums are added.

    Where a gradient is nearly 0, Adam makes a whole step of its rounding error: single numbers
    differ by up to 5e-4 after 5 steps of 2e-4, so their root mean square is what is bounded.
    """
    ours, theirs = losses_of(workdir), losses_of(reference)
    assert sorted(ours) == sorted(theirs) == list(range(1, steps + 1))
    for step in ours:
        np.testing.assert_allclose(ours[step][:3], theirs[step][:3], rtol=1e-6)
    ours, theirs = painter_of(workdir), painter_of(reference)
    difference = np.concatenate([np.ravel(ours[name] - theirs[name]) for name in theirs])
    assert np.sqrt(np.mean(difference**2)) < 1e-5


def test_devices_and_processes_do_not_change_the_training(alone, tmp_path):
    for processes, devices in ((1, 2), (2, 1)) if SHORT else ((1, 2), (2, 1), (1, 8)):
        workdir = tmp_path / f"{processes}x{devices}"
        for run in start_together(workdir, processes, devices=devices, steps=5):
            run.ends_well()
        assert_same_training(workdir, alone)
    # The same devices in one process or in two are the same training, bit by bit.
    assert losses_of(tmp_path / "1x2") == losses_of(tmp_path / "2x1")
    assert hash_of(tmp_path / "1x2") == hash_of(tmp_path / "2x1")


@pytest.mark.parametrize(("before", "after"), [(2, 1), pytest.param(1, 2, marks=in_full)])
def test_a_run_goes_on_with_another_number_of_processes(alone, tmp_path, before, after):
    workdir, changed = tmp_path / "run", "--allow_changes=steps"
    for count, steps in ((before, 3), (after, 5)):
        for run in start_together(workdir, count, changed, steps=steps):
            run.ends_well()
    assert_same_training(workdir, alone)


@in_full
def test_sigterm_to_one_of_two_processes_stops_both_at_one_step(tmp_path):
    workdir = tmp_path / "run"
    runs = start_together(workdir, 2, steps=100_000, checkpoint_every=1000)
    assert runs[0].until(lambda: last_row(workdir) > 2)
    assert runs[1].terminate() <= GRACE_S
    runs[0].ends_well(GRACE_S)
    assert latest(workdir) == last_row(workdir)


def test_sigterm_before_the_first_step_of_a_run_that_goes_on_is_not_lost(tmp_path):
    workdir = tmp_path / "run"
    options = dict(steps=100_000, checkpoint_every=EVERY)
    run = Run(workdir, **options)
    assert run.until(lambda: last_row(workdir) > 3 * EVERY)
    run.terminate()
    before = latest(workdir)
    runs = start_together(workdir, 2, **options)
    assert runs[0].until(lambda: "resuming from step" in runs[0].said())
    assert runs[1].terminate() <= 2 * GRACE_S  # several processes finish compiling
    runs[0].ends_well(GRACE_S)
    assert before < latest(workdir) == last_row(workdir) < before + EVERY


@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=in_full)])
def test_a_process_that_is_left_alone_ends_and_the_run_goes_on_exactly(tmp_path, victim):
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    options = dict(steps=4 * EVERY, checkpoint_every=EVERY)
    for run in start_together(unbroken, 2, **options):
        run.ends_well()
    runs = start_together(broken, 2, **options)
    # Steps go on while a checkpoint is written, so the row after it does not say that it is there.
    assert runs[0].until(lambda: last_row(broken) > EVERY and has_saved(broken))
    runs[victim].kill()
    assert runs[1 - victim].wait(SURVIVOR_S) != 0
    runs = start_together(broken, 2, **options)
    for run in runs:
        run.ends_well()
    assert runs[0].resumed_from() > 0
    assert losses_of(broken) == losses_of(unbroken)
    assert hash_of(broken) == hash_of(unbroken)


@pytest.mark.parametrize("process", [0, 1])
def test_a_process_that_finds_no_others_does_not_train_alone(tmp_path, process):
    flags = ("--coordinator=localhost:9", "--processes=2", "--join_timeout=3")
    run = Run(tmp_path / "run", *flags, f"--process={process}", steps=5)
    assert run.wait(SURVIVOR_S) == 1
    assert "error: this process waited 3 s for 2 processes at localhost:9" in run.said()
    assert not (tmp_path / "run").exists()
