"""Rescaling VGG-19 so that every channel is equally strong: Gatys' "normalised" VGG."""

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
      pictures: arrays `[H, W, 3]` in [0, 1]; each counts the same, whatever its size.

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

    A ReLU and a maximum pass a positive factor on, so dividing a channel's kernel and bias by its
    mean and multiplying the next kernel's input by it leaves the function as it was, but for the
    scale of the features. A channel that is silent on all pictures keeps its scale; with a `floor`,
    one whose mean is below that share of its layer's median is divided by that share of the median,
    because a small mean says little about what the channel does on other pictures.

    Returns:
      The rescaled encoder, and by convolution the factors `[c]` by which features were divided.
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
    return with_arrays(encoder, arrays, "the normalised encoder"), factors
