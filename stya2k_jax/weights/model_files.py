"""Writes modules to safetensors files and reads them back.

A model directory has `encoder.safetensors` and, when it holds more than an encoder,
`painter.safetensors`; a model file has both in one. Each file carries the architecture it belongs
to in its header.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.files.json_files import write_json
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.encoder import Encoder
from stya2k_jax.network.model import Painter, StyA2K, new_encoder, new_painter
from stya2k_jax.weights.parameters import named_arrays, with_arrays

ENCODER_FILE = "encoder.safetensors"
PAINTER_FILE = "painter.safetensors"
ARCHITECTURE_FILE = "architecture.json"  # of a training run, whose painter is in checkpoints


def save_encoder(directory: Path, encoder: Encoder, architecture: Architecture) -> None:
    """Writes `encoder.safetensors`, whole or not at all."""
    save_module(Path(directory) / ENCODER_FILE, encoder, architecture)


def save_model(directory: Path, model: StyA2K) -> None:
    """Writes a model directory: encoder and painter, each file whole or not at all."""
    save_encoder(directory, model.encoder, model.architecture)
    save_module(Path(directory) / PAINTER_FILE, model.painter, model.architecture)


def load_encoder(directory: Path, **changes: Any) -> tuple[Encoder, Architecture]:
    """Reads `encoder.safetensors` of a directory that conversion or training has written.

    Args:
      directory: the directory.
      **changes: fields of the architecture to override, such as `dtype`.

    Raises:
      WeightsError: no such file, a damaged one, or another network's.
    """
    path = Path(directory) / ENCODER_FILE
    if not path.is_file():
        raise WeightsError(
            f"There is no encoder in {directory} (no {ENCODER_FILE}). Make one from VGG-19 with: "
            f"python convert_vgg.py --vgg=vgg_normalised.pth --output={directory} (a run of "
            "configs/encoder_mini.py has one when it is finished)."
        )
    arrays, architecture = read_arrays(path, **changes)
    encoder = with_arrays(new_encoder(architecture), arrays, str(path))
    return encoder, architecture


def load_painter(directory: Path, **changes: Any) -> tuple[Painter, Architecture]:
    """Reads `painter.safetensors`; arguments and errors as `load_encoder`."""
    path = Path(directory) / PAINTER_FILE
    arrays, architecture = read_arrays(path, **changes)
    return with_arrays(new_painter(architecture), arrays, str(path)), architecture


def load_model_file(path: Path, **changes: Any) -> StyA2K:
    """Reads a whole model in one file, as `stya2k pack` writes it.

    Args:
      path: the file.
      **changes: fields of the architecture to override, such as `dtype`.

    Raises:
      WeightsError: a damaged file, or another network's.
    """
    arrays, architecture = read_arrays(Path(path), **changes)
    template = StyA2K(architecture, rngs=None)
    return with_arrays(template, arrays, str(path))


def save_architecture(directory: Path, architecture: Architecture) -> None:
    """Writes `architecture.json`, whole or not at all."""
    write_json(Path(directory) / ARCHITECTURE_FILE, architecture.as_dict())


def load_architecture(directory: Path, **changes: Any) -> Architecture:
    """Reads `architecture.json`; arguments and errors as `load_encoder`."""
    path = Path(directory) / ARCHITECTURE_FILE
    try:
        text = path.read_bytes()
        return _changed(_parse(text), changes)
    except (OSError, _NoArchitecture) as error:
        raise WeightsError(
            f"{path} cannot be read ({error}); the directory is not one that train.py made."
        ) from error


class _NoArchitecture(ValueError):
    """A text that describes no architecture."""


def _parse(text: str | bytes) -> Architecture:
    try:
        return Architecture(**json.loads(text))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _NoArchitecture(str(error)) from error


def _changed(architecture: Architecture, changes: dict[str, Any]) -> Architecture:
    names = architecture.as_dict().keys()
    for name in changes.keys() - names:
        raise UserError(
            f"load({name}=...): an architecture has no such field; choose among {', '.join(names)}."
        )
    return dataclasses.replace(architecture, **changes)


def save_module(
    path: Path,
    module: nnx.Module,
    architecture: Architecture,
    dtype: type[np.floating] = np.float32,
) -> None:
    """Writes a module's parameters as safetensors, rounded to `dtype`; the whole file or none."""
    metadata = {"format": "stya2k_jax", "architecture": json.dumps(architecture.as_dict())}
    arrays = {name: array.astype(dtype) for name, array in named_arrays(module).items()}
    data = save(arrays, metadata)  # `save_file` would not say that the disk is full
    write_whole(path, lambda name: Path(name).write_bytes(data))


def read_arrays(path: Path, **changes: Any) -> tuple[dict[str, np.ndarray], Architecture]:
    """Reads a file of `save_module`: named arrays and the architecture; errors as above."""
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, AttributeError, TypeError) as error:  # AttributeError: float8
        raise WeightsError(
            f"{path} cannot be read ({error}). Make it again with convert_vgg.py."
        ) from error
    try:
        architecture = _parse(metadata["architecture"])
    except (KeyError, _NoArchitecture) as error:
        raise WeightsError(
            f"{path} does not say which architecture it is for; it was not written by "
            "stya2k_jax. Convert PyTorch files with convert_vgg.py."
        ) from error
    return arrays, _changed(architecture, changes)
