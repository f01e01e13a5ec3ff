"""torchvision's AlexNet and VGG, the layers that metrics need: zero padding, taps after ReLU."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
from jax import lax


class Layer(NamedTuple):
    """A convolution, stored under `features.{key}`; ReLU follows."""

    key: str
    c: int  # channels in
    d: int  # channels out
    side: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0  # side of the max pooling before it, of stride 2; 0: none
    tap: bool = False  # whether its ReLU's output is returned


def vgg_layers(stages: Sequence[tuple[int, Sequence[int]]], taps: Sequence[int]) -> list[Layer]:
    """Lists the convolutions of a VGG.

    Args:
      stages: channels and keys of each stage's convolutions; a pooling lies between stages.
      taps: keys of the convolutions that are wanted.
    """
    layers, c = [], 3
    for d, keys in stages:
        for key in keys:
            pool = 2 if layers and key == keys[0] else 0
            layers.append(Layer(str(key), c, d, pool=pool, tap=key in taps))
            c = d
    return layers


ALEXNET = [
    Layer("0", 3, 64, side=11, stride=4, padding=2, tap=True),
    Layer("3", 64, 192, side=5, padding=2, pool=3, tap=True),
    Layer("6", 192, 384, pool=3, tap=True),
    Layer("8", 384, 256, tap=True),
    Layer("10", 256, 256, tap=True),
]
VGG16 = vgg_layers(
    (
        (64, (0, 2)),
        (128, (5, 7)),
        (256, (10, 12, 14)),
        (512, (17, 19, 21)),
        (512, (24, 26, 28)),
    ),
    taps=(2, 7, 14, 21, 28),
)
VGG19_RELU3_1 = vgg_layers(((64, (0, 2)), (128, (5, 7)), (256, (10,))), taps=(10,))


def shapes(layers: Sequence[Layer]) -> dict[str, tuple[int, ...]]:
    """Returns the PyTorch names and shapes of the convolutions' weights."""
    found = {}
    for layer in layers:
        found[f"features.{layer.key}.weight"] = (layer.d, layer.c, layer.side, layer.side)
        found[f"features.{layer.key}.bias"] = (layer.d,)
    return found


def taps(layers: Sequence[Layer], weights: Mapping[str, jax.Array], x: jax.Array) -> list:
    """Returns the wanted features `[b, ., ., d]` of normalized pictures `[b, H, W, 3]`.

    Args:
      layers: of the network.
      weights: by their PyTorch names, OIHW.
      x: pictures, normalized as the network wants them.
    """
    found = []
    for layer in layers:
        if layer.pool:
            window = (1, layer.pool, layer.pool, 1)
            x = lax.reduce_window(x, -float("inf"), lax.max, window, (1, 2, 2, 1), "VALID")
        kernel = weights[f"features.{layer.key}.weight"].transpose(2, 3, 1, 0)
        padding, layout = [(layer.padding, layer.padding)] * 2, ("NHWC", "HWIO", "NHWC")
        x = lax.conv_general_dilated(
            x, kernel, (layer.stride,) * 2, padding, dimension_numbers=layout
        )
        x = jax.nn.relu(x + weights[f"features.{layer.key}.bias"][None, None, None])
        if layer.tap:
            found.append(x)
    return found
