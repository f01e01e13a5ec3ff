"""Rescales VGG-19 so that all channels are equally strong: Gatys' "normalised" VGG."""

from collections.abc import Iterable

import jax
import numpy as np
from flax import nnx

from stya2k_jax.network.encoder import CONVOLUTIONS, Encoder
from stya2k_jax.weights.parameters import named_arrays, with_arrays


def mean_activations(encoder: Encoder, pictures: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Returns each channel's mean after ReLU, averaged over the pictures.

    Args:
      encoder: the network.
      pictures: arrays `[H, W, 3]` in [0, 1]; all count the same, whatever their size.

    Returns:
      Arrays `[c]` in float64 by the name of the convolution.

    Raises:
      ValueError: there are no pictures.
    """
    graph, state = nnx.split(encoder)

    @jax.jit
    def means_of(state, picture):
        activations = nnx.merge(graph, state).activations(picture[None])
        return {name: x.mean(axis=(0, 1, 2)) for name, x in activations}

    total, count = dict.fromkeys(CONVOLUTIONS, 0.0), 0
    for picture in pictures:
        for name, mean in means_of(state, picture).items():
            total[name] = total[name] + np.asarray(mean, np.float64)
        count += 1
    if not count:
        raise ValueError("mean_activations: no pictures; give at least one photograph.")
    return {name: sums / count for name, sums in total.items()}


def normalize_encoder(
    encoder: Encoder, pictures: Iterable[np.ndarray], floor: float = 0.0
) -> tuple[Encoder, dict[str, np.ndarray]]:
    """Rescales every channel to a mean activation of 1 over the pictures.

    A channel's kernel and bias are divided by its mean, and the next kernel's input is multiplied
    by it. ReLU and maximum pass a positive factor on, so only the scale of the features changes. A
    channel that is silent on all pictures keeps its scale.

    Args:
      encoder: the network.
      pictures: as `mean_activations` takes them.
      floor: a share of each layer's median mean. A smaller mean is replaced by it, because it says
        little about the channel on other pictures.

    Returns:
      The rescaled encoder, and the factors `[c]` that divided the features, by convolution.
    """
    means = mean_activations(encoder, pictures)
    factors = {
        name: np.where(mean > 0, np.maximum(mean, floor * np.median(mean)), 1.0)
        for name, mean in means.items()
    }
    arrays, before = named_arrays(encoder), np.ones(3)
    for name in CONVOLUTIONS:
        kernel, bias = f"convs.{name}.kernel", f"convs.{name}.bias"
        arrays[kernel] = arrays[kernel] * before[:, None] / factors[name]
        arrays[bias] = arrays[bias] / factors[name]
        before = factors[name]
    return with_arrays(encoder, arrays, "the normalized encoder"), factors
