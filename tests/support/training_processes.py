"""Starting `train.py` in processes of its own, so that tests can kill them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import stya2k_jax
from stya2k_jax.files import directory_manifest
from stya2k_jax.weights.parameters import fingerprint, named_arrays
from stya2k_jax.weights.run_checkpoints import DAMAGED_FOLDER
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.training_runs import rows_of

SMALL = dict(
    width=0.125,
    batch_size=8,
    crop_size=32,
    load_size=40,
    learning_rate=2e-4,
    schedule="constant",  # so that a run may be made longer
    images_every=100_000,
)
PATIENCE_S = 300


class Run:
    """One process of a training of `configs/smoke.py`, made smaller."""

    def __init__(self, workdir: Path, *flags: str, devices: int = 1, cached: bool = True, **fields):
        """Starts it; `fields` are those of the config."""
        self.workdir = Path(workdir)
        environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
        if not cached:
            environment |= {"JAX_ENABLE_COMPILATION_CACHE": "false"}
        self.output = self.workdir.parent / f"{self.workdir.name}-{time.monotonic_ns()}.log"
        with open(self.output, "w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, str(ROOT / "train.py")),
                    *(f"--config={ROOT}/configs/smoke.py", f"--workdir={workdir}", *flags),
                    *(f"--config.{name}={value}" for name, value in (SMALL | fields).items()),
                ],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Returns the exit code; a run that does not end in time is killed and is an error."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {timeout_s} s:\n{self.said()}") from None

    def ends_well(self, timeout_s: float = PATIENCE_S) -> "Run":
        """Waits for exit code 0."""
        assert self.wait(timeout_s) == 0, self.said()
        return self

    def kill(self) -> None:
        """Ends it at once, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> float:
        """Sends SIGTERM, expects exit code 0 and returns after how many seconds it came."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.ends_well()
        return time.monotonic() - start

    def until(self, happened: Callable[[], bool], pause_s: float = 0.002) -> bool:
        """Waits until something has happened; returns False if the run ended before."""
        end = time.monotonic() + PATIENCE_S
        while not happened():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < end, f"nothing happened:\n{self.said()}"
            time.sleep(pause_s)
        return True

    def said(self) -> str:
        """Returns what it has printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def resumed_from(self) -> int:
        """Returns the step from which it went on."""
        found = re.search(r"resuming from step (\d+)", self.said())
        return int(found[1]) if found else 0


def start_together(workdir: Path, count: int, *flags: str, **options) -> list[Run]:
    """Starts a run of so many processes on this machine."""
    if count == 1:
        return [Run(workdir, *flags, **options)]
    port = free_port()
    return [
        Run(
            workdir,
            *(f"--coordinator=localhost:{port}", f"--processes={count}", f"--process={i}"),
            *flags,
            **options,
        )
        for i in range(count)
    ]


def last_row(workdir: Path) -> int:
    """Returns the last step that was recorded."""
    return max(rows_of(workdir), default=0)


def has_saved(workdir: Path) -> bool:
    """Tells whether a checkpoint is whole: its manifest is written last."""
    manifests = (workdir / "checkpoints").glob(f"*/{directory_manifest.NAME}")
    return any(path.parent.name.isdigit() for path in manifests)


def is_saving(workdir: Path) -> bool:
    """Tells whether a checkpoint is being written: its name is not a plain number yet."""
    folder = workdir / "checkpoints"
    return any(not path.name.isdigit() for path in folder.glob("*") if path.name != DAMAGED_FOLDER)


def losses_of(workdir: Path) -> dict[int, tuple[float, ...]]:
    """Returns what decides whether two runs are one: each step's losses and gradient norm."""
    names = ("loss", "loss_global", "loss_a2k", "grad_norm")
    return {step: tuple(row[name] for name in names) for step, row in rows_of(workdir).items()}


def painter_of(workdir: Path) -> dict[str, np.ndarray]:
    """Returns the trained numbers by name."""
    return named_arrays(stya2k_jax.load(workdir).painter)


def hash_of(workdir: Path) -> str:
    """Returns a digest of the trained numbers."""
    return fingerprint(painter_of(workdir))
