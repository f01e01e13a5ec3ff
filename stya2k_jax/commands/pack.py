"""Packs a model, or an average of several, into one file: `stya2k pack --checkpoint=runs/a2k`."""

from pathlib import Path

import numpy as np
from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.commands.stylize_arguments import numbers
from stya2k_jax.errors import UserError
from stya2k_jax.weights.averaging import average
from stya2k_jax.weights.loading import load
from stya2k_jax.weights.model_files import save_module
from stya2k_jax.weights.parameters import named_arrays

DTYPES = {"float16": np.float16, "float32": np.float32}


def main() -> None:
    """Writes encoder and painter as one safetensors file, which `stya2k_jax.load` opens."""
    checkpoints = flags.DEFINE_multi_string(
        "checkpoint",
        None,
        "What `stya2k stylize` takes; repeatable: models of one architecture are averaged.",
        required=True,
    )
    shares = flags.DEFINE_list("shares", None, "How much of each model; default: equal.")
    output = flags.DEFINE_string("output", None, "The .safetensors file to write.", required=True)
    dtype = flags.DEFINE_enum("dtype", "float32", list(DTYPES), "Of the numbers in the file.")

    def run(_) -> None:
        models = [load(checkpoint) for checkpoint in checkpoints.value]
        model = average(models, numbers("shares", shares.value))
        path = Path(output.value)
        largest = max(abs(x).max() for x in named_arrays(model).values())
        if largest > np.finfo(DTYPES[dtype.value]).max:
            raise UserError(f"{largest:g} does not fit into {dtype.value}; use --dtype=float32.")
        save_module(path, model, model.architecture, DTYPES[dtype.value])
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")

    command_line.run(run)
