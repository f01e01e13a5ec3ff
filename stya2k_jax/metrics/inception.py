"""Inception-v3 as ArtFID trained it on art: 2048 features of a picture for the Fréchet distance.

The weights are `art_inception.pth` of https://huggingface.co/matthias-wright/art_inception (Wright
and Ommer 2022), or the same as safetensors; they do not come with this package.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stya2k_jax.conversion.pytorch_files import StateDict, read_state_dict
from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.weights.parameters import differences

SMALLEST_PX = 75  # of which one point is left in the deepest layers
SOURCE = "https://huggingface.co/matthias-wright/art_inception (art_inception.pth)"


class Conv(NamedTuple):
    """A convolution without bias, batch normalization and ReLU, by the name in the file."""

    name: str
    d: int  # channels out
    side: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True  # with zeros, to keep the size; never where the stride is 2


class Fork(NamedTuple):
    """Convolutions of one map, whose results are joined."""

    convs: tuple[Conv, ...]


Step = Conv | Fork | str  # "mean" and "max" are poolings over 3 x 3, of stride 1 and 2


def _square(name: str, d: int, side: int, stride: int = 1) -> Conv:
    return Conv(name, d, (side, side), stride, padded=stride == 1)


def _block_a(pooled: int) -> list[list[Step]]:
    double = [_square("branch3x3dbl_1", 64, 1), _square("branch3x3dbl_2", 96, 3)]
    return [
        [_square("branch1x1", 64, 1)],
        [_square("branch5x5_1", 48, 1), _square("branch5x5_2", 64, 5)],
        [*double, _square("branch3x3dbl_3", 96, 3)],
        ["mean", _square("branch_pool", pooled, 1)],
    ]


def _block_b() -> list[list[Step]]:
    double = [_square("branch3x3dbl_1", 64, 1), _square("branch3x3dbl_2", 96, 3)]
    return [
        [_square("branch3x3", 384, 3, stride=2)],
        [*double, _square("branch3x3dbl_3", 96, 3, stride=2)],
        ["max"],
    ]


def _block_c(d: int) -> list[list[Step]]:
    return [
        [_square("branch1x1", 192, 1)],
        [
            _square("branch7x7_1", d, 1),
            Conv("branch7x7_2", d, (1, 7)),
            Conv("branch7x7_3", 192, (7, 1)),
        ],
        [
            _square("branch7x7dbl_1", d, 1),
            Conv("branch7x7dbl_2", d, (7, 1)),
            Conv("branch7x7dbl_3", d, (1, 7)),
            Conv("branch7x7dbl_4", d, (7, 1)),
            Conv("branch7x7dbl_5", 192, (1, 7)),
        ],
        ["mean", _square("branch_pool", 192, 1)],
    ]


def _block_d() -> list[list[Step]]:
    return [
        [_square("branch3x3_1", 192, 1), _square("branch3x3_2", 320, 3, stride=2)],
        [
            _square("branch7x7x3_1", 192, 1),
            Conv("branch7x7x3_2", 192, (1, 7)),
            Conv("branch7x7x3_3", 192, (7, 1)),
            _square("branch7x7x3_4", 192, 3, stride=2),
        ],
        ["max"],
    ]


def _block_e() -> list[list[Step]]:
    def fork(name: str) -> Fork:
        return Fork((Conv(f"{name}a", 384, (1, 3)), Conv(f"{name}b", 384, (3, 1))))

    return [
        [_square("branch1x1", 320, 1)],
        [_square("branch3x3_1", 384, 1), fork("branch3x3_2")],
        [
            _square("branch3x3dbl_1", 448, 1),
            _square("branch3x3dbl_2", 384, 3),
            fork("branch3x3dbl_3"),
        ],
        ["mean", _square("branch_pool", 192, 1)],
    ]


STEM: list[Step] = [
    _square("Conv2d_1a_3x3", 32, 3, stride=2),
    Conv("Conv2d_2a_3x3", 32, (3, 3), padded=False),
    _square("Conv2d_2b_3x3", 64, 3),
    "max",
    _square("Conv2d_3b_1x1", 80, 1),
    Conv("Conv2d_4a_3x3", 192, (3, 3), padded=False),
    "max",
]
BLOCKS = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": _block_b(),
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": _block_d(),
    "Mixed_7b": _block_e(),
    "Mixed_7c": _block_e(),
}


class Inception:
    """The network with its weights."""

    def __init__(self, state_dict: StateDict, origin: str = "Inception"):
        """Takes the weights by their PyTorch names; those of classifiers are not used.

        Raises:
          WeightsError: names every tensor that is missing, misshaped or not finite.
        """
        expected = expected_shapes()
        given = {name: array for name, array in state_dict.items() if name in expected}
        problems = differences(expected, given)
        if problems:
            raise WeightsError(
                f"{origin} is not the Inception-v3 of ArtFID:\n  "
                + "\n  ".join(problems)
                + f"\nThe weights are published at {SOURCE}."
            )
        self._weights = {name: _folded(given, name) for name in _convolutions()}

    def __call__(self, pictures: jax.Array) -> jax.Array:
        """Maps pictures `[b, H, W, 3]`, RGB in [0, 1] at their own size, to features `[b, 2048]`.

        Pictures are neither resized to 299 x 299 nor normalized, as in ArtFID.

        Raises:
          UserError: a side has less than `SMALLEST_PX` pixels.
        """
        if min(pictures.shape[1:3]) < SMALLEST_PX:
            raise UserError(
                f"FID needs pictures of {SMALLEST_PX} pixels a side; got {pictures.shape[1:3]}."
            )
        return _features(self._weights, pictures)


def load_inception(path: str | Path) -> Inception:
    """Reads a `.pth` or `.safetensors` file of the network.

    Raises:
      WeightsError: no such file, a damaged one, or another network's.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"There is no Inception file {path}. FID and ArtFID need the network that ArtFID "
            f"trained on art, published at {SOURCE}."
        )
    return Inception(read_state_dict(path), origin=str(path))


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Returns the PyTorch names and shapes of all tensors that the features need."""
    shapes = {}
    for name, kernel in _convolutions().items():
        shapes[f"{name}.conv.weight"] = kernel
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn.{part}"] = kernel[:1]
    return shapes


def _convolutions() -> dict[str, tuple[int, ...]]:
    """Returns the names and kernel shapes, OIHW, of all convolutions."""
    found = {}

    def note(name: str, conv: Conv, x: jax.Array) -> jax.Array:
        found[name] = (conv.d, x.shape[3], *conv.side)
        return _convolve({name: (jnp.zeros(found[name]), jnp.zeros(conv.d))}, name, conv, x)

    picture = jax.ShapeDtypeStruct((1, SMALLEST_PX, SMALLEST_PX, 3), jnp.float32)
    jax.eval_shape(partial(_forward, note), picture)
    return found


def _folded(state_dict: StateDict, name: str) -> tuple[jax.Array, jax.Array]:
    """Returns kernel OIHW and bias of a convolution with its batch normalization folded in."""
    parts = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    kernel, *rest = (np.asarray(state_dict[f"{name}.{part}"], np.float64) for part in parts)
    weight, bias, mean, variance = rest
    scale = weight / np.sqrt(variance + 1e-3)
    kernel = kernel * scale[:, None, None, None]
    return jnp.asarray(kernel, jnp.float32), jnp.asarray(bias - mean * scale, jnp.float32)


@jax.jit
def _features(weights: dict, pictures: jax.Array) -> jax.Array:
    return _forward(partial(_convolve, weights), pictures)


def _forward(convolve: Callable[[str, Conv, jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    x = _branch(convolve, "", STEM, x)
    for name, branches in BLOCKS.items():
        x = _joined([_branch(convolve, f"{name}.", steps, x) for steps in branches])
    return x.mean(axis=(1, 2))


def _branch(convolve: Callable, prefix: str, steps: Sequence[Step], x: jax.Array) -> jax.Array:
    for step in steps:
        if step == "max":
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")
        elif step == "mean":  # zeros around the map count
            x = lax.reduce_window(x, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME") / 9
        elif isinstance(step, Fork):
            x = _joined([convolve(prefix + conv.name, conv, x) for conv in step.convs])
        else:
            x = convolve(prefix + step.name, step, x)
    return x


def _joined(maps: Sequence[jax.Array]) -> jax.Array:
    return jnp.concatenate(maps, axis=3)


def _convolve(weights: dict, name: str, conv: Conv, x: jax.Array) -> jax.Array:
    kernel, bias = weights[name]
    padding = [(side // 2 if conv.padded else 0,) * 2 for side in conv.side]
    layout = ("NHWC", "OIHW", "NHWC")
    strides = (conv.stride, conv.stride)
    x = lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout)
    return jax.nn.relu(x + bias[None, None, None])
