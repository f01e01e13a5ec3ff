"""A narrow encoder fitted to a wide one, layer by layer in closed form: distillation starts here.

Each layer keeps its most telling channels, by column-pivoted QR of their features. The narrow
layer's kernel is a least-squares map: from the narrow features below to the wide layer's values of
these channels before ReLU. Errors add up from layer to layer, and gradients then mend them. From
random numbers the deep taps would need many times as many steps.
"""

from collections.abc import Callable, Iterator

import jax
import numpy as np
import scipy.linalg

from stya2k_jax.network.architecture import TAPS, Architecture
from stya2k_jax.network.convolution import conv3x3, pad_reflect
from stya2k_jax.network.encoder import CONVOLUTIONS, STAGES, Encoder
from stya2k_jax.network.model import new_encoder
from stya2k_jax.weights.parameters import named_arrays, with_arrays

POINTS = 24_000  # fit a layer, of all pictures together
RIDGE = 1e-3  # times the mean square of the inputs; keeps weights of silent channels small

Arrays = dict[str, np.ndarray]


def narrow_encoder(
    teacher: Encoder, architecture: Architecture, pictures: np.ndarray, seed: int = 0
) -> tuple[Encoder, Arrays]:
    """Fits an encoder of `architecture` to a wider one.

    Args:
      teacher: the wider encoder.
      architecture: of the narrow one.
      pictures: `[n, H, W, 3]` in [0, 1], of one even size.
      seed: of the choice of points.

    Returns:
      The encoder, and the numbers of its heads, which estimate the teacher's taps:
      `"relu1_1.kernel"` `[c, teacher's c]`, `"relu1_1.bias"` and so on.
    """
    rng = np.random.default_rng(seed)
    wide, narrow, heads = named_arrays(teacher), {}, {}
    narrow["color.kernel"], narrow["color.bias"] = wide["color.kernel"], wide["color.bias"]
    sizes = {k: v.shape[-1] for k, v in named_arrays(new_encoder(architecture, seed=0)).items()}
    x = [np.asarray(teacher.color(picture[None])) for picture in pictures]
    y = x  # x: features of the wide network, y: of the narrow one
    for name, pooled in _layers():
        kernel, bias = f"convs.{name}.kernel", f"convs.{name}.bias"
        if pooled:
            x, y = ([np.asarray(teacher.pool(a)) for a in maps] for maps in (x, y))
        before = _convolved(x, wide[kernel], wide[bias])
        places = _places(rng, before)
        inputs, targets = _at(places, map(_patches, y)), _at(places, before)
        kept = _most_telling(np.maximum(targets, 0), sizes[kernel])
        matrix, offset = _as_lively(inputs, targets[:, kept])
        narrow[kernel] = matrix.reshape(3, 3, -1, len(kept))
        narrow[bias] = offset
        x = [np.maximum(a, 0) for a in before]
        y = [np.maximum(a, 0) for a in _convolved(y, narrow[kernel], narrow[bias])]
        if name.endswith("_1"):
            tap = TAPS[int(name[4]) - 1]
            head = _least_squares(_at(places, y), _at(places, x))
            heads[f"{tap}.kernel"], heads[f"{tap}.bias"] = head
    return with_arrays(new_encoder(architecture), narrow, "the narrow encoder"), heads


def _layers() -> Iterator[tuple[str, bool]]:
    """Yields each convolution and whether a pooling comes before it."""
    firsts = [stage[0] for stage in STAGES[1:]]
    for name in CONVOLUTIONS:
        yield name, name in firsts


_conv3x3: Callable = jax.jit(conv3x3)


def _convolved(maps: list[np.ndarray], kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(_conv3x3(a, kernel, bias)) for a in maps]


def _patches(x: np.ndarray) -> np.ndarray:
    """Lists the 3x3 surroundings of every point: [1, H, W, c] -> [1, H, W, 9 c]."""
    padded, (height, width) = np.asarray(pad_reflect(x)), x.shape[1:3]
    around = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.concatenate(around, axis=-1)


def _places(rng: np.random.Generator, maps: list[np.ndarray]) -> list[np.ndarray]:
    points = maps[0].shape[1] * maps[0].shape[2]
    each = min(points, -(-POINTS // len(maps)))
    return [rng.choice(points, each, replace=False) for _ in maps]


def _at(places: list[np.ndarray], maps) -> np.ndarray:
    """Returns features at the places: [points, c]."""
    chosen = [a.reshape(-1, a.shape[-1])[p] for p, a in zip(places, maps, strict=True)]
    return np.concatenate(chosen)


def _most_telling(features: np.ndarray, count: int) -> np.ndarray:
    """Returns the channels of `[points, c]` that span the others best, in order."""
    centred = features - features.mean(axis=0)
    triangle = np.linalg.qr(centred / (centred.std(axis=0) + 1e-6), mode="r")
    return np.sort(scipy.linalg.qr(triangle, mode="r", pivoting=True)[1][:count])


def _as_lively(inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the least-squares map, stretched about the mean to the targets' deviation.

    Estimates vary less than what they estimate, and a channel that is seldom above 0 would never
    be: after ReLU it would be dead.
    """
    matrix, offset = _least_squares(inputs, targets)
    estimates, aim = inputs @ matrix + offset, targets.mean(axis=0)
    stretch = targets.std(axis=0) / np.maximum(estimates.std(axis=0), 1e-6)
    return matrix * stretch, aim + (offset - aim) * stretch


def _least_squares(inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the affine map `[i, o]`, `[o]` from `[points, i]` that is nearest to the targets."""
    middle, aim = inputs.mean(axis=0), targets.mean(axis=0)
    x, y = (inputs - middle).astype(np.float64), (targets - aim).astype(np.float64)
    square = x.T @ x
    square[np.diag_indices_from(square)] += RIDGE * np.trace(square) / len(square)
    matrix = scipy.linalg.solve(square, x.T @ y, assume_a="pos")
    return matrix.astype(np.float32), (aim - middle @ matrix).astype(np.float32)
