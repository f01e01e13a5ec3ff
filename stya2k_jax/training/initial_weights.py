"""The first numbers of a painter."""

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.network.model import Painter
from stya2k_jax.weights.parameters import named_arrays, with_arrays

INITIALIZATIONS = ("release", "matched")
LAST_LAYER = 0.05  # scales the last kernel, so that first pictures lie in [0, 1]


def initialize(painter: Painter, name: str, seed: int) -> Painter:
    """Returns the painter with its first numbers.

    Args:
      painter: a fresh painter.
      name: `"release"` keeps what a fresh painter has, as in the released code: every convolution
        N(0, 0.02^2). `"matched"` is for narrow networks, where these numbers are too small to pass
        anything on: 3x3 convolutions are N(0, 2 / fan-in), and every 1x1 convolution is the
        identity. The modules then start as parameter-free attention on the tap's own features, and
        the picture starts close to grey.
      seed: of the draw.

    Raises:
      UserError: no such initialization.
    """
    if name not in INITIALIZATIONS:
        raise UserError(
            f"initialisation={name!r} does not exist; choose one of {', '.join(INITIALIZATIONS)}."
        )
    if name == "release":
        return painter
    arrays, rng = named_arrays(painter), np.random.default_rng(seed)
    for key, array in arrays.items():
        if array.ndim == 4:
            deviation = np.sqrt(2 / np.prod(array.shape[:3]))
            if key == "decoder.conv1_1.kernel":
                deviation *= LAST_LAYER
            arrays[key] = rng.normal(0, deviation, array.shape).astype(np.float32)
        elif array.ndim == 2:
            arrays[key] = np.eye(len(array), dtype=np.float32)
    arrays["decoder.conv1_1.bias"] = np.full(3, 0.5, np.float32)
    return with_arrays(painter, arrays, "the initialized painter")
