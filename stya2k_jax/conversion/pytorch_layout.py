"""Convolution weights: PyTorch's names and OIHW layout to ours, and back."""

from collections.abc import Iterator, Mapping

import numpy as np

from stya2k_jax.conversion.pytorch_files import StateDict
from stya2k_jax.errors import WeightsError
from stya2k_jax.weights.parameters import differences


def convolution_pairs(names) -> Iterator[tuple[str, str]]:
    for key, name in names:
        yield f"{key}.weight", f"{name}.kernel"
        yield f"{key}.bias", f"{name}.bias"


def to_ours(
    state_dict: Mapping[str, np.ndarray],
    pairs: list[tuple[str, str]],
    shapes: Mapping[str, tuple[int, ...]],
    origin: str,
) -> StateDict:
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
    if key.endswith(".weight"):
        array = array[None, None] if array.ndim == 2 else array
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    return array.reshape(array.shape or (1,))
