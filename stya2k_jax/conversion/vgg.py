"""VGG-19 in Gatys' normalized form or torchvision's, as our encoder."""

from collections.abc import Mapping

import numpy as np

from stya2k_jax.conversion.pytorch_layout import convolution_pairs, to_ours
from stya2k_jax.errors import WeightsError
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.encoder import CONVOLUTIONS, Encoder
from stya2k_jax.network.model import new_encoder
from stya2k_jax.weights.parameters import parameter_shapes, with_arrays

# Keys of the convolutions up to conv5_1, in order; deeper ones are never used.
VGG_KEYS = {
    "normalised": ("0", *map(str, (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42))),
    "torchvision": tuple(f"features.{i}" for i in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)),
}
VGG_KEYS_BEYOND = {
    "normalised": ("45", "48", "51"),
    "torchvision": ("features.30", "features.32", "features.34")
    + ("classifier.0", "classifier.3", "classifier.6"),
}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def encoder_from_vgg(
    state_dict: Mapping[str, np.ndarray], vgg_format: str = "normalised", origin: str = "VGG"
) -> tuple[Encoder, Architecture]:
    """Makes an encoder from a VGG-19 state dict; the first convolution gives its width.

    Args:
      state_dict: PyTorch keys and arrays; layers beyond conv5_1 are optional.
      vgg_format: `"normalised"`, the published `vgg_normalised.pth` whose first layer is a 1x1
        convolution, or `"torchvision"`, whose ImageNet mean and scale become that layer.
      origin: what messages call the state dict.

    Raises:
      WeightsError: lists every key that is missing, unexpected, misshaped or not finite.
    """
    keys = VGG_KEYS[vgg_format]
    state_dict = {
        name: array for name, array in state_dict.items() if not is_beyond_conv5_1(name, vgg_format)
    }
    if vgg_format == "torchvision":
        scale = 1 / np.asarray(IMAGENET_STD, np.float32)
        color = {
            "color.weight": np.diag(scale)[:, :, None, None],
            "color.bias": -np.asarray(IMAGENET_MEAN, np.float32) * scale,
        }
        state_dict, keys = color | state_dict, ("color", *keys)
    first = state_dict.get(f"{keys[1]}.weight")
    width = 1.0 if first is None or first.ndim != 4 else first.shape[0] / 64
    try:
        architecture = Architecture(width=width)
    except ValueError as error:
        raise WeightsError(f"{origin} is not a VGG-19 of any width: {error}") from error
    names = zip(keys, ("color", *(f"convs.{name}" for name in CONVOLUTIONS)), strict=True)
    template = new_encoder(architecture)
    pairs = list(convolution_pairs(names))
    arrays = to_ours(state_dict, pairs, parameter_shapes(template), origin)
    return with_arrays(template, arrays, origin), architecture


def is_beyond_conv5_1(name: str, vgg_format: str) -> bool:
    """Returns whether a key of a VGG-19 state dict belongs to a layer that is never used."""
    return name.rpartition(".")[0] in VGG_KEYS_BEYOND[vgg_format]
