"""LPIPS 0.1: perceptual distance by learned weights on AlexNet or VGG-16 (Zhang et al. 2018).

The weights are torchvision's convolutions and the linear heads of the `lpips` package, in one
safetensors file under their PyTorch names; `stya2k convert-lpips` makes it.
"""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from stya2k_jax.conversion.pytorch_files import StateDict, read_state_dict
from stya2k_jax.errors import WeightsError
from stya2k_jax.metrics import torchvision_networks as networks
from stya2k_jax.weights.parameters import differences

SOURCES = """\
  backbone: https://download.pytorch.org/models/alexnet-owt-7be5be79.pth or vgg16-397923af.pth
  heads: alex.pth or vgg.pth, in lpips/weights/v0.1 of the lpips package (pip download lpips)"""

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures in [-1, 1]
EPSILON = 1e-10

BACKBONES = {"alexnet": networks.ALEXNET, "vgg16": networks.VGG16}


class Lpips:
    """Compares pictures with one backbone.

    Attributes:
      backbone: `"alexnet"` or `"vgg16"`.
    """

    def __init__(self, state_dict: Mapping[str, np.ndarray], origin: str = "LPIPS"):
        """Takes the weights by their PyTorch names.

        Args:
          state_dict: `features.N.weight`, `features.N.bias` and `lin{0..4}.model.1.weight`.
          origin: where they come from, for the message.

        Raises:
          WeightsError: names every tensor that is missing, unexpected, misshaped or not finite.
        """
        self.backbone = backbone_of(state_dict, origin)
        problems = differences(expected_shapes(self.backbone), state_dict)
        if problems:
            raise WeightsError(
                f"{origin} is not LPIPS on {self.backbone}:\n  "
                + "\n  ".join(problems)
                + "\nMake the file with stya2k convert-lpips."
            )
        self._weights = {
            name: jnp.asarray(array, jnp.float32) for name, array in state_dict.items()
        }

    def features(self, pictures: jax.Array) -> list[jax.Array]:
        """Returns what `distance` compares: five taps `[b, ., ., c]` of unit length over channels.

        Args:
          pictures: `[b, H, W, 3]`, RGB in [0, 1], at least 32 points a side.
        """
        return _features(self.backbone, self._weights, pictures)

    def distance(self, x: list[jax.Array], y: list[jax.Array]) -> jax.Array:
        """Returns LPIPS `[b]` of two batches' `features`: learned weights on squared differences.

        Averaged over space, summed over the taps.
        """
        return _distance(self._weights, x, y)


def load_lpips(path: str | Path) -> Lpips:
    """Reads a file of `stya2k convert-lpips`.

    Raises:
      WeightsError: no such file, a damaged one, or not these networks.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"There is no LPIPS file {path}. Make it of torchvision's weights and the heads of the "
            "lpips package with: stya2k convert-lpips --backbone=alexnet.pth "
            f"--heads=alex.pth --output={path}"
        )
    return Lpips(read_state_dict(path), origin=str(path))


def backbone_of(state_dict: Mapping[str, np.ndarray], origin: str) -> str:
    """Returns the backbone's name, read off the shape of the first convolution.

    Raises:
      WeightsError: neither network's.
    """
    first = np.shape(state_dict.get("features.0.weight", ()))
    for name in BACKBONES:
        if first == expected_shapes(name)["features.0.weight"]:
            return name
    raise WeightsError(
        f"{origin}: features.0.weight has shape {first}; expected (64, 3, 11, 11) of torchvision's "
        "AlexNet or (64, 3, 3, 3) of its VGG-16."
    )


def expected_shapes(backbone: str) -> dict[str, tuple[int, ...]]:
    """Returns the PyTorch names and shapes of all tensors that LPIPS needs."""
    taps = [layer.d for layer in BACKBONES[backbone] if layer.tap]
    heads = {f"lin{i}.model.1.weight": (1, d, 1, 1) for i, d in enumerate(taps)}
    return networks.shapes(BACKBONES[backbone]) | heads


@jax.jit(static_argnums=0)
def _features(backbone: str, weights: dict[str, jax.Array], pictures: jax.Array) -> list[jax.Array]:
    shift, scale = (jnp.asarray(x)[None, None, None] for x in (SHIFT, SCALE))
    found = networks.taps(BACKBONES[backbone], weights, (2 * pictures - 1 - shift) / scale)
    return [x / (jnp.sqrt(jnp.sum(x**2, axis=3, keepdims=True)) + EPSILON) for x in found]


@jax.jit
def _distance(weights: dict[str, jax.Array], x: list[jax.Array], y: list[jax.Array]) -> jax.Array:
    total = 0.0
    for i, (f_x, f_y) in enumerate(zip(x, y, strict=True)):
        head = weights[f"lin{i}.model.1.weight"].reshape(-1)  # [c], not negative
        total += jnp.mean((f_x - f_y) ** 2 @ head, axis=(1, 2))
    return total


def join(backbone: Path, heads: Path) -> StateDict:
    """Returns all tensors that LPIPS needs, from both files, or none.

    The backbone's classifier is left out.

    Raises:
      WeightsError: a file that is not there, says where both are published; tensors that are
        missing, unexpected, misshaped or not finite.
    """
    missing = [str(path) for path in (backbone, heads) if not path.is_file()]
    if missing:
        raise WeightsError(
            f"No such file: {', '.join(missing)}. LPIPS needs two, published as\n{SOURCES}"
        )
    state_dict = {
        name: array
        for path in (backbone, heads)
        for name, array in read_state_dict(path).items()
        if not name.startswith("classifier.")
    }
    network = Lpips(state_dict, origin=f"{backbone} with {heads}")
    return {name: state_dict[name] for name in expected_shapes(network.backbone)}
