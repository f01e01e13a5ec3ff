"""Packs a model into one file: `stya2k pack --checkpoint=runs/a2k --output=FILE`."""

from pathlib import Path

import numpy as np
from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.errors import UserError
from stya2k_jax.weights.loading import load
from stya2k_jax.weights.model_files import save_module
from stya2k_jax.weights.parameters import named_arrays

DTYPES = {"float16": np.float16, "float32": np.float32}


def main() -> None:
    """Writes encoder and painter as one safetensors file, which `stya2k_jax.load` opens."""
    checkpoint = flags.DEFINE_string(
        "checkpoint", None, "Model directory of convert_vgg.py, or run of train.py.", required=True
    )
    output = flags.DEFINE_string("output", None, "The .safetensors file to write.", required=True)
    dtype = flags.DEFINE_enum("dtype", "float32", list(DTYPES), "Of the numbers in the file.")

    def run(_) -> None:
        model = load(checkpoint.value)
        path = Path(output.value)
        largest = max(abs(x).max() for x in named_arrays(model).values())
        if largest > np.finfo(DTYPES[dtype.value]).max:
            raise UserError(f"{largest:g} does not fit into {dtype.value}; use --dtype=float32.")
        save_module(path, model, model.architecture, DTYPES[dtype.value])
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")

    command_line.run(run)
