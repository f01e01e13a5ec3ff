"""Trains a model by a recipe, or goes on with a run; in a checkout also `python train.py`."""

import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import jax
from absl import flags
from absl import logging as absl_logging
from ml_collections import config_flags
from tqdm.contrib.logging import logging_redirect_tqdm

from stya2k_jax.commands import command_line
from stya2k_jax.commands.config_files import NAMES, with_config_file
from stya2k_jax.errors import UserError


def main() -> None:
    """Trains what the config names; see `training.train_painter` and `training.train_encoder`."""
    config = config_flags.DEFINE_config_file(
        "config",
        None,
        f"A file, or one of {', '.join(NAMES)}; any field is set by --config.FIELD=VALUE.",
        lock_config=True,
    )
    workdir = flags.DEFINE_string(
        "workdir", None, "Directory of the run; a run that it holds already is resumed."
    )
    allowed = flags.DEFINE_list(
        "allow_changes",
        [],
        "Config fields that a resumed run may change.",
    )
    coordinator = flags.DEFINE_string(
        "coordinator", None, "HOST:PORT of process 0 of a run of several (or STYA2K_COORDINATOR)."
    )
    processes = flags.DEFINE_integer(
        "processes", None, "Number of processes that train together (or STYA2K_PROCESSES)."
    )
    process = flags.DEFINE_integer(
        "process", None, "Number of this process, from 0 (or STYA2K_PROCESS)."
    )
    detect = flags.DEFINE_bool(
        "distributed", False, "Find the other processes itself: SLURM, Open MPI, TPU pods."
    )
    join_timeout = flags.DEFINE_integer(
        "join_timeout", 300, "Seconds to wait for the other processes.", lower_bound=1
    )
    cache = flags.DEFINE_string(
        "compile_cache",
        None,
        "Directory that keeps compiled programs for the next start; '' for none. By default "
        "JAX_COMPILATION_CACHE_DIR, or a directory of the user's cache.",
    )
    flags.mark_flags_as_required(["config", "workdir"])
    try:
        sys.argv = with_config_file(sys.argv)
    except UserError as error:
        sys.exit(command_line.complain(str(error), command_line.WRONG_USAGE))

    def run(_) -> None:
        # Heavy: only once the flags are known to be right.
        from stya2k_jax import stopping
        from stya2k_jax.commands import compile_cache
        from stya2k_jax.training import devices as distributed
        from stya2k_jax.training.train_encoder import distil
        from stya2k_jax.training.train_painter import train

        task = _chosen(config.value.task, painter=train, encoder=distil)
        place = distributed.place_of(
            coordinator.value, processes.value, process.value, detect.value
        )
        compile_cache.use(cache.value)
        distributed.join(place, join_timeout.value)
        first = jax.process_index() == 0
        logging.getLogger("stya2k_jax").setLevel(logging.INFO if first else logging.WARNING)
        logging.getLogger().removeHandler(absl_logging.get_absl_handler())  # tqdm's prints
        try:
            with logging_redirect_tqdm():
                step = task(config.value, Path(workdir.value), allowed.value)
        except Exception as error:
            if jax.process_count() == 1 and not stopping.compiling():
                raise
            distributed.leave_at_once(_said(error))
        if first:
            print(f"Step {step} of {config.value.steps} is saved in {workdir.value}", flush=True)
        if stopping.compiling():
            os._exit(0)

    command_line.run(run)


def _said(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, jax.errors.JaxRuntimeError):
        return (
            f"{str(error).splitlines()[0]}\nIf another process of this run is gone, start them all "
            "again: they go on from the newest checkpoint."
        )
    return "".join(traceback.format_exception(error))


def _chosen(task: str, **tasks: Callable) -> Callable:
    if task not in tasks:
        raise UserError(f"config.task={task!r} does not exist; choose one of {', '.join(tasks)}.")
    return tasks[task]
