"""Content feature structural distance (StyleID, CVPR 2024): do the same places look alike?"""

from pathlib import Path

import jax
import jax.numpy as jnp

from stya2k_jax import torchvision_networks as networks
from stya2k_jax.convert import read_state_dict
from stya2k_jax.weights import WeightsError, differences

ROWS_AT_ONCE = 512  # of the similarity matrix, which has 16384 x 16384 entries at 512 x 512


def cfsd(content: jax.Array, stylized: jax.Array, rows: int = ROWS_AT_ONCE) -> jax.Array:
    """Compares how similar each point's features are to every other's: sum of KL(P_c || P_cs).

    With F the features as a matrix of n points x c channels, divided by c, P is the softmax over
    each row of F F^T. The divergences are summed over rows, as in StyleID's `image_metrics.py`, so
    the value grows with the number of points: compare it at one size only.

    Args:
      content: relu3_1 of the contents `[b, H, W, c]`.
      stylized: of the stylized pictures, of the same shape.
      rows: how many rows of the n x n matrices exist at a time.

    Returns:
      `[b]`.
    """
    f_c, f_cs = (x.reshape(x.shape[0], -1, x.shape[3]) / x.shape[3] for x in (content, stylized))
    n = f_c.shape[1]
    rows = min(rows, n)
    padding = ((0, -n % rows), (0, 0))

    def one(pair):
        f_c, f_cs = pair  # [n, c]

        def divergence(block):
            row_c, row_cs, real = block  # [rows, c], [rows, c], [rows]
            log_p_c = jax.nn.log_softmax(row_c @ f_c.T, axis=1)
            log_p_cs = jax.nn.log_softmax(row_cs @ f_cs.T, axis=1)
            kl = jnp.sum(jnp.exp(log_p_c) * (log_p_c - log_p_cs), axis=1)
            return jnp.sum(jnp.where(real, kl, 0))

        blocks = [jnp.pad(f, padding).reshape(-1, rows, f.shape[1]) for f in (f_c, f_cs)]
        real = (jnp.arange(len(blocks[0]) * rows) < n).reshape(-1, rows)
        return jnp.sum(jax.lax.map(divergence, (*blocks, real)))

    return jax.lax.map(one, (f_c, f_cs))


class TorchvisionRelu31:
    """relu3_1 of torchvision's VGG-19, which CFSD's published numbers look at."""

    def __init__(self, path: str | Path):
        """Reads torchvision's VGG-19, `.pth` or `.safetensors`; deeper layers are not used.

        Raises:
          WeightsError: no such file, or one that lacks what is needed.
        """
        state_dict, expected = (
            read_state_dict(Path(path)),
            networks.shapes(networks.VGG19_RELU3_1),
        )
        given = {name: array for name, array in state_dict.items() if name in expected}
        problems = differences(expected, given)
        if problems:
            raise WeightsError(f"{path} is not torchvision's VGG-19:\n  " + "\n  ".join(problems))
        self._weights = {name: jnp.asarray(array) for name, array in given.items()}

    def __call__(self, pictures: jax.Array) -> jax.Array:
        """Maps pictures `[b, H, W, 3]`, RGB in [0, 1], to relu3_1 `[b, H // 4, W // 4, 256]`."""
        return _relu3_1(self._weights, pictures)


@jax.jit
def _relu3_1(weights: dict[str, jax.Array], pictures: jax.Array) -> jax.Array:
    mean, std = (
        jnp.asarray(x)[None, None, None] for x in (networks.IMAGENET_MEAN, networks.IMAGENET_STD)
    )
    (relu3_1,) = networks.taps(networks.VGG19_RELU3_1, weights, (pictures - mean) / std)
    return relu3_1
