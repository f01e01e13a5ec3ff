"""`train.py`: what is wrong with a command line is one message, and nothing is written."""

import subprocess
import sys

import pytest

from tests.support.commands import run_command
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("config", "flags", "message"),
    [
        (
            "a2k_mini.py:typo",
            [],
            "error: no stage 'typo'; use configs/a2k_mini.py:painter, :fin",
        ),
        ("smoke.py", ["--config.stepz=2"], "error: no such config field: 'stepz'. Did you mean"),
        ("smoke.py", ["--processes=two"], "error: flag --processes=two: invalid literal"),
        ("smoke.py", ["--processes=2"], "error: --coordinator is missing"),
        ("smoke.py", ["--config.task=nothing"], "error: config.task='nothing' does not exist"),
        ("smoke.py", ["--config.steps=0"], "error: config.steps=0 is too small"),
        ("smoke.py", ["--allow_changes=stepz"], "--allow_changes=stepz: there is no such config"),
        ("smoke.py", ["--stepz=3"], "error: Unknown command line flag 'stepz'"),
        ("smoke.py", ["steps=3"], "error: unknown argument 'steps=3'"),
        (
            "smoke.py",
            ["--config.content=/nowhere"],
            "error: config.content: /nowhere does not exist",
        ),
    ],
)
def test_a_wrong_command_line_is_one_message(tmp_path, config, flags, message):
    run = run_command(
        *("train.py", f"--config=configs/{config}", *flags),
        *(f"--workdir={tmp_path}/run", "--config.width=0.125"),
    )
    assert run.returncode in (1, 2)
    assert message in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "run").exists()


def test_a_process_that_imports_everything_itself_says_the_same(tmp_path):
    command = ["train.py", "--config=configs/smoke.py", "--config.content=/nowhere"]
    command.append(f"--workdir={tmp_path}/run")
    alone = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    forked = run_command(*command)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        *(alone.returncode, alone.stdout, alone.stderr),
    )
