"""Convolution weights: PyTorch's names and OIHW layout to ours, and back."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from stya2k_jax.conversion.pytorch_files import StateDict
from stya2k_jax.errors import WeightsError
from stya2k_jax.weights.parameters import differences


def convolution_pairs(names: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yields PyTorch's and our names of kernels and biases, of pairs of convolutions' names."""
    for key, name in names:
        yield f"{key}.weight", f"{name}.kernel"
        yield f"{key}.bias", f"{name}.bias"


def to_ours(
    state_dict: Mapping[str, np.ndarray],
    pairs: list[tuple[str, str]],
    shapes: Mapping[str, tuple[int, ...]],
    origin: str,
) -> StateDict:
    """Returns arrays by our names and in our layout.

    Args:
      state_dict: PyTorch's names and arrays.
      pairs: PyTorch's name and ours of each array.
      shapes: ours, by our name.
      origin: what the message calls the state dict.

    Raises:
      WeightsError: lists every name that is missing, unexpected, misshaped or not finite.
    """
    expected = {key: _pytorch_shape(key, shapes[name]) for key, name in pairs}
    problems = differences(expected, state_dict)
    if problems:
        raise WeightsError(f"{origin} does not fit:\n  " + "\n  ".join(problems))
    return {name: _from_pytorch(key, state_dict[key], shapes[name]) for key, name in pairs}


def _pytorch_shape(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if key.endswith(".weight"):
        return (shape[1], shape[0], 1, 1) if len(shape) == 2 else (shape[3], shape[2], 3, 3)
    return shape or (1,)  # the release stores its scalars as arrays of one number


def _from_pytorch(key: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if key.endswith(".weight"):
        array = array.transpose(2, 3, 1, 0)
    return np.ascontiguousarray(array).reshape(shape)


def to_pytorch(key: str, array: np.ndarray) -> np.ndarray:
    """Returns an array of ours in PyTorch's layout; `key` is its name there."""
    if key.endswith(".weight"):
        array = array[None, None] if array.ndim == 2 else array
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    return array.reshape(array.shape or (1,))
