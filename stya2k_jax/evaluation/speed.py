"""Time and memory that a model takes for a picture, measured in a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.systems import System
from stya2k_jax.files.json_files import read_object, write_json
from stya2k_jax.weights.loading import load

WARM_UP_RUNS = 2  # the first one compiles


def speeds_of_models(
    systems: Mapping[str, System], size_px: int, runs: int, path: Path
) -> dict[str, dict[str, Any]]:
    """Times the models that the file has no matching time of, and adds the times to it.

    Args:
      systems: by name.
      size_px: side of the pictures.
      runs: how often each model is timed; 0: not.
      path: JSON of `measure` by system, which need not exist yet.

    Returns:
      The times of all these systems, at this size.

    Raises:
      UserError: the file is damaged, or a model cannot be timed.
    """
    known = {
        name: found
        for name, found in _read_speeds(path).items()
        if found["size_px"] == size_px and runs in (0, found["runs"])
    }
    for name, system in systems.items():
        if runs and name not in known and system.is_model:
            write_json(path, known)  # fails now, not after timing, if nothing can be written
            known[name] = measure_in_own_process(system.path, size_px, runs)
            write_json(path, known)
    return {name: found for name, found in known.items() if name in systems}


def _read_speeds(path: Path) -> dict[str, dict[str, Any]]:
    known = read_object(path, "remove it") if path.is_file() else {}
    for name, found in known.items():
        try:
            sentence(name, found)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{name}: {type(error).__name__}: {error}"
            raise UserError(f"{path} is damaged ({reason}); remove it.") from error
    return known


def measure_in_own_process(checkpoint: Path, size_px: int, runs: int) -> dict[str, Any]:
    """Returns `measure` of a model in a fresh process, whose memory holds nothing else.

    Raises:
      UserError: the process failed; says why.
    """
    command = [sys.executable, "-m", "stya2k_jax.commands.time_model", f"--checkpoint={checkpoint}"]
    command += [f"--size={size_px}", f"--runs={runs}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        _, refused, reason = f"\n{done.stderr.strip()}".rpartition("\nerror: ")
        if refused:
            raise UserError(f"{checkpoint} could not be timed: {reason}")
        raise UserError(
            f"{checkpoint} could not be timed; --timing_runs=0 leaves that out. "
            f"{' '.join(command)} ended with {done.returncode} and said: "
            f"{done.stderr.strip()[-500:]}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def measure(checkpoint: Path, size_px: int, runs: int) -> dict[str, Any]:
    """Times one content with one style, both encoded, compiled and without reading or writing.

    Args:
      checkpoint: model directory or run.
      size_px: side of both pictures.
      runs: how often, after two that warm up.

    Returns:
      `seconds` (median), `quartiles`, `fastest`, `runs`, `size_px`, `batch`, `dtype`, `device`,
      `cores` (that this process may use) and `peak_bytes`: on an accelerator the device's, else
      the largest resident set of this process with all its libraries.
    """
    model = load(checkpoint)
    graph, state = nnx.split(model)
    forward = jax.jit(lambda state, *pictures: nnx.merge(graph, state)(*pictures))
    noise = np.random.default_rng(0).uniform(size=(2, 1, size_px, size_px, 3)).astype(np.float32)
    state, content, style = jax.device_put((state, *noise))
    seconds = []
    for _ in range(WARM_UP_RUNS + runs):
        start = time.perf_counter()
        forward(state, content, style).block_until_ready()
        seconds.append(time.perf_counter() - start)
    low, median, high = np.percentile(seconds[WARM_UP_RUNS:], [25, 50, 75])
    return {
        "seconds": float(median),
        "quartiles": [float(low), float(high)],
        "fastest": min(seconds[WARM_UP_RUNS:]),
        "runs": runs,
        "size_px": size_px,
        "batch": 1,
        "dtype": model.architecture.dtype,
        "device": jax.devices()[0].device_kind,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "peak_bytes": _peak_bytes(jax.devices()[0]),
    }


def sentence(name: str, found: dict[str, Any]) -> str:
    """Returns a measurement in words."""
    low, high = found["quartiles"]
    kind = "device memory" if found["device"] != "cpu" else "resident memory of its process"
    return (
        f"{name}: {found['seconds']:.4g} s a picture (median of {found['runs']} runs, quartiles "
        f"{low:.4g} to {high:.4g}, fastest {found['fastest']:.4g}) at {found['size_px']} x "
        f"{found['size_px']}, batch {found['batch']}, {found['dtype']}, content and style encoded, "
        f"no reading or writing, on {found['device']} with {found['cores']} cores, other work not "
        f"excluded; peak {kind} {found['peak_bytes'] / 2**20:.0f} MiB."
    )


def _peak_bytes(device) -> int:
    statistics = device.memory_stats()
    if statistics and "peak_bytes_in_use" in statistics:
        return statistics["peak_bytes_in_use"]
    status = Path("/proc/self/status")
    if status.is_file():  # Linux, where getrusage counts the process that started this one too
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
