"""The command `train.py`, also `stya2k-train`."""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags
from absl import logging as absl_logging
from ml_collections import config_flags
from tqdm.contrib.logging import logging_redirect_tqdm

from stya2k_jax import command_line
from stya2k_jax.errors import UserError


def main() -> None:
    """Trains as the config says; see `stya2k_jax.run.train` and `stya2k_jax.distilling.distil`."""
    config = config_flags.DEFINE_config_file(
        "config", None, "configs/….py; any field is set by --config.FIELD=VALUE.", lock_config=True
    )
    workdir = flags.DEFINE_string(
        "workdir", None, "Directory of the run; a run that is in it already goes on."
    )
    flags.mark_flags_as_required(["config", "workdir"])
    _let_configs_import_their_neighbours(sys.argv)

    def run(_) -> None:
        # Heavy: only once the flags are known to be right.
        from stya2k_jax.distilling import distil
        from stya2k_jax.run import train

        logging.getLogger("stya2k_jax").setLevel(logging.INFO)
        logging.getLogger().removeHandler(absl_logging.get_absl_handler())  # tqdm's prints
        with logging_redirect_tqdm():
            step = _chosen(config.value.task, painter=train, encoder=distil)(
                config.value, Path(workdir.value)
            )
        print(f"Step {step} of {config.value.steps} is saved in {workdir.value}")

    command_line.run(run)


def _chosen(task: str, **tasks: Callable) -> Callable:
    if task not in tasks:
        raise UserError(f"config.task={task!r} does not exist; choose one of {', '.join(tasks)}.")
    return tasks[task]


def _let_configs_import_their_neighbours(argv: Sequence[str]) -> None:
    """Makes `from configs import a2k` work in a config, wherever the command is started."""
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name.lstrip("-") == "config":
            config = Path(value if equals else following).absolute()
            sys.path.append(str(config.parent.parent))


if __name__ == "__main__":
    main()
