"""Content feature structural distance (StyleID, CVPR 2024): do the same places look alike?"""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from stya2k_jax.conversion.pytorch_files import read_state_dict
from stya2k_jax.conversion.vgg import IMAGENET_MEAN, IMAGENET_STD
from stya2k_jax.errors import WeightsError
from stya2k_jax.metrics import torchvision_networks as networks
from stya2k_jax.weights.parameters import differences

SIDE = 1024  # of the blocks of the similarity matrices, which have 16384 rows at 512 x 512
SMALL = 4.0  # similarities that `_divergence_of_small` may be given; real ones are below 1


def cfsd(content: jax.Array, stylized: jax.Array, side: int = SIDE) -> jax.Array:
    """Compares how similar each point's features are to every other's: sum of KL(P_c || P_cs).

    With F the features as a matrix of n points x c channels, divided by c, P is the softmax over
    each row of F F^T. The divergences are summed over rows, as in StyleID's `image_metrics.py`, so
    the value grows with the number of points: compare it at one size only.

    Args:
      content: relu3_1 of the contents `[b, H, W, c]`.
      stylized: of the stylized pictures, of the same shape.
      side: of the parts of the n x n matrices that exist at a time, at most; it divides n.

    Returns:
      `[b]`.
    """
    f_c, f_cs = (x.reshape(x.shape[0], -1, x.shape[3]) / x.shape[3] for x in (content, stylized))

    def one(pair):
        largest = jnp.max(jnp.sum(jnp.stack(pair) ** 2, axis=2))  # no similarity is larger
        divergences = (partial(f, side=side) for f in (_divergence_of_small, _divergence))
        return jax.lax.cond(largest < SMALL, *divergences, *pair)

    return jax.lax.map(one, (f_c, f_cs))


def _divergence_of_small(f_c: jax.Array, f_cs: jax.Array, side: int) -> jax.Array:
    """Sums KL(P_c || P_cs) over rows where no softmax needs a shift; f `[n, c]`.

    With d = S_c - S_cs less any constant, and E the mean over a row weighted by P_c, a row's
    divergence is E[d] + log E[exp(-d)]. All sums are over symmetric matrices, so that one triangle
    is enough. The constant that makes d small saves its digits: S_c and S_cs may be near equal.
    """
    centre = jnp.sum(f_c.mean(axis=0) ** 2) - jnp.sum(f_cs.mean(axis=0) ** 2)  # mean of S_c - S_cs
    b_c, b_cs = (_blocks(x, side) for x in (f_c, f_cs))

    def add(sums, block):
        i, j = block
        s_c = b_c[i] @ b_c[j].T
        d = s_c - b_cs[i] @ b_cs[j].T - centre
        weight = jnp.exp(s_c)
        terms = jnp.stack([weight, weight * d, weight * jnp.expm1(-d)])
        sums = sums.at[i].add(terms.sum(axis=2))
        return sums.at[j].add(jnp.where(i == j, 0, terms.sum(axis=1))), None

    triangle = map(jnp.asarray, np.triu_indices(len(b_c)))
    sums, _ = jax.lax.scan(add, jnp.zeros((len(b_c), 3, b_c.shape[1])), tuple(triangle))
    total, mean, less_one = (sums[:, k] for k in range(3))
    return jnp.sum(mean / total + jnp.log1p(less_one / total))


def _divergence(f_c: jax.Array, f_cs: jax.Array, side: int) -> jax.Array:
    """The same for similarities of any size, a few rows at a time."""

    def add(total, block):
        log_p_c, log_p_cs = (
            jax.nn.log_softmax(rows @ f.T, axis=1)
            for rows, f in zip(block, (f_c, f_cs), strict=True)
        )
        kl = jnp.sum(jnp.exp(log_p_c) * (log_p_c - log_p_cs), axis=1)
        return total + jnp.sum(kl), None

    side = max(side // 4, 1)  # these are whole rows
    blocks = _blocks(f_c, side), _blocks(f_cs, side)
    return jax.lax.scan(add, jnp.zeros(()), blocks)[0]


def _blocks(x: jax.Array, side: int) -> jax.Array:
    """Cuts rows into equal blocks of at most `side`: [n, c] -> [k, n // k, c]."""
    rows = max(i for i in range(1, side + 1) if len(x) % i == 0)
    return x.reshape(-1, rows, x.shape[1])


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
    mean, std = (jnp.asarray(x)[None, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    (relu3_1,) = networks.taps(networks.VGG19_RELU3_1, weights, (pictures - mean) / std)
    return relu3_1
