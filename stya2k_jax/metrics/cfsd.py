"""Content feature structural distance (StyleID, CVPR 2024): are the same places alike in both?"""

from pathlib import Path

import jax
import jax.numpy as jnp

from stya2k_jax.conversion.pytorch_files import read_state_dict
from stya2k_jax.conversion.vgg import IMAGENET_MEAN, IMAGENET_STD
from stya2k_jax.errors import WeightsError
from stya2k_jax.metrics import torchvision_networks as networks
from stya2k_jax.weights.parameters import differences

ROWS = 256  # of the similarity matrices at a time; they have 16384 rows at 512 x 512


def cfsd(content: jax.Array, stylized: jax.Array, rows: int = ROWS) -> jax.Array:
    """Compares how similar each point's features are to every other's: sum of KL(P_c || P_cs).

    With F the features as a matrix of n points x c channels, divided by c, P is the softmax over
    each row of F F^T. The divergences are summed over rows, as in StyleID's `image_metrics.py`, so
    the value grows with the number of points: compare it at one size only.

    Args:
      content: relu3_1 of the contents `[b, H, W, c]`.
      stylized: of the stylized pictures, of the same shape.
      rows: of the n x n matrices, how many exist at a time, at most.

    Returns:
      `[b]`.
    """
    f_c, f_cs = (x.reshape(x.shape[0], -1, x.shape[3]) / x.shape[3] for x in (content, stylized))
    return jax.lax.map(lambda pair: _divergence(*pair, rows), (f_c, f_cs))


def _divergence(f_c: jax.Array, f_cs: jax.Array, rows: int) -> jax.Array:
    """Sums KL(P_c || P_cs) over rows, for one picture; f `[n, c]`.

    With r = log(P_c / P_cs), a row's divergence is sum P_c r = sum P_c (exp(-r) - 1 + r), because
    P_c and P_cs both add up to 1. No term of the second sum is negative, so small divergences keep
    their digits.
    """

    def add(total, block):
        s_c, s_cs = (x @ f.T for x, f in zip(block, (f_c, f_cs), strict=True))
        shift_c, shift_cs = (s.max(axis=1, keepdims=True) for s in (s_c, s_cs))
        p_c, p_cs = jnp.exp(s_c - shift_c), jnp.exp(s_cs - shift_cs)
        sum_c, sum_cs = (p.sum(axis=1, keepdims=True) for p in (p_c, p_cs))
        p_c, p_cs = p_c / sum_c, p_cs / sum_cs
        r = (s_c - s_cs) - (shift_c - shift_cs) - jnp.log(sum_c / sum_cs)
        # exp(-r) - 1 + r by its series: what the next term adds is less than rounding.
        series = r**2 * (1 / 2 - r * (1 / 6 - r * (1 / 24 - r * (1 / 120 - r / 720))))
        terms = jnp.where(jnp.abs(r) < 1 / 4, p_c * series, p_cs - p_c + p_c * r)
        return total + terms.sum(), None

    return jax.lax.scan(add, jnp.zeros(()), (_blocks(f_c, rows), _blocks(f_cs, rows)))[0]


def _blocks(x: jax.Array, rows: int) -> jax.Array:
    """Cuts into equal blocks of at most `rows` rows: [n, c] -> [k, n // k, c]."""
    rows = max(i for i in range(1, rows + 1) if len(x) % i == 0)
    return x.reshape(-1, rows, x.shape[1])


class TorchvisionRelu31:
    """relu3_1 of torchvision's VGG-19, which CFSD's published numbers look at."""

    def __init__(self, path: str | Path):
        """Reads torchvision's VGG-19, `.pth` or `.safetensors`; deeper layers are not used.

        Raises:
          WeightsError: no such file, or one that lacks what is needed.
        """
        state_dict = read_state_dict(Path(path))
        expected = networks.shapes(networks.VGG19_RELU3_1)
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
    mean, std = (jnp.asarray(x)[None, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    (relu3_1,) = networks.taps(networks.VGG19_RELU3_1, weights, (pictures - mean) / std)
    return relu3_1
