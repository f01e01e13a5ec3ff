"""PyTorch weight files: .pth and .safetensors."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from stya2k_jax.errors import WeightsError, require
from stya2k_jax.files.atomic import write_whole

StateDict = dict[str, np.ndarray]


def read_state_dict(path: Path) -> StateDict:
    """Reads a PyTorch state dict from `.safetensors` or `.pth` (legacy or zip) as float32.

    The prefix `module.` of DataParallel is removed. `.pth` needs PyTorch and is read with
    `weights_only=True`: no code in the file is run.

    Raises:
      WeightsError: not there, not readable, or not a dict of tensors.
      UserError: a `.pth` file, and PyTorch is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist or is not a file; give the path of a .pth file.")
    arrays = _read_safetensors(path) if is_safetensors(path) else _read_pth(path)
    return {name.removeprefix("module."): array for name, array in arrays.items()}


def save_state_dict(path: Path, state_dict: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict as `.pth`, which needs PyTorch, or `.safetensors`; whole or not."""
    arrays = {name: np.ascontiguousarray(array) for name, array in state_dict.items()}
    if is_safetensors(path):
        write_whole(path, lambda name: save_file(arrays, name))
        return
    torch = require("torch", "torch", f"{path}: a .pth file")
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    write_whole(path, lambda name: torch.save(tensors, name))


def is_safetensors(path: str | PathLike) -> bool:
    """Returns whether a file's name says so, in small or capital letters."""
    return Path(path).suffix.lower() == ".safetensors"


def _read_safetensors(path: Path) -> StateDict:
    try:
        return {name: array.astype(np.float32) for name, array in load_file(path).items()}
    except (
        OSError,
        SafetensorError,
        AttributeError,
    ) as error:  # the last: NumPy lacks 8-bit floats
        raise WeightsError(
            f"{path} cannot be read as safetensors ({error}); it may be damaged: fetch it again."
        ) from error


def _read_pth(path: Path) -> StateDict:
    torch = require("torch", "torch", f"{path}: a .pth file")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(loaded, Mapping):
            raise TypeError(f"it holds a {type(loaded).__name__}, not a dict of tensors")
        for name, tensor in loaded.items():
            if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
                kind = type(tensor).__name__
                raise TypeError(f"its entry {name!r} is a {kind} rather than a named tensor")
        return {name: tensor.detach().float().numpy() for name, tensor in loaded.items()}
    except Exception as error:  # damaged bytes can make an unpickler raise anything
        raise WeightsError(
            f"{path} is not a PyTorch state dict ({_reason(error)}); give the .pth file of the "
            "weights themselves."
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, (OSError, RuntimeError, TypeError)) and str(error).strip():
        return str(error).strip().splitlines()[0]
    # PyTorch's other messages say too little ("101"), or advise to let the file run its code.
    return "it is damaged or holds more than tensors; nothing in it was run"
