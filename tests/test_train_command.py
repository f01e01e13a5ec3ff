"""`train.py`: what is wrong with a command line is one message, and nothing is written."""

import subprocess
import sys

import pytest

from tests.launch import ROOT


@pytest.mark.parametrize(
    ("config", "flags", "message"),
    [
        ("a2k_mini.py:typo", [], "error: no stage 'typo'; use configs/a2k_mini.py:surrogate or"),
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
    command = [sys.executable, "train.py", f"--config=configs/{config}", *flags]
    run = subprocess.run(
        [*command, f"--workdir={tmp_path}/run", "--config.width=0.125"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert message in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "run").exists()
