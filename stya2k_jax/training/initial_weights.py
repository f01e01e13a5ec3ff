"""How a painter's numbers start."""

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.network.model import Painter
from stya2k_jax.weights.parameters import named_arrays, with_arrays

INITIALIZATIONS = ("release", "matched")
LAST_LAYER = 0.05  # of the last kernel's usual size, so that first pictures lie in [0, 1]


def initialize(painter: Painter, name: str, seed: int) -> Painter:
    """Returns the painter with its first numbers.

    Args:
      painter: a fresh painter.
      name: `"release"`, as in the released code: every convolution N(0, 0.02^2), as the painter is
        made already. `"matched"`, for narrow networks, where that is too small to pass anything
        on: 3x3 convolutions N(0, 2 / fan-in) and every 1x1 convolution the identity, so that the
        modules start as a parameter-free attention on the tap's own features. The picture starts
        close to grey.
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
