"""The weights of the golden tensors, drawn by name, and where the reference data lies.

Every tensor is a function of a seed and of its own PyTorch name, so that no file of 120 MB has to
travel: see `golden/README.md` of the reference data. NumPy only.
"""

import hashlib
import zlib

import numpy as np
import pytest

from tests.support.paths import reference_path

Weights = dict[str, dict[str, np.ndarray]]  # module -> PyTorch key -> array (OIHW)

MODULES = ("vgg", "A2K", "transform", "decoder")
GOLDEN_DIGEST = "1f3acfe60a6779626e10a1adffb393bfbb631b1c1be4bf822161dc547512d419"  # seed 7

VGG_CONVS = {  # index in the released Sequential: (channels in, channels out)
    "2": (3, 64),
    "5": (64, 64),
    "9": (64, 128),
    "12": (128, 128),
    "16": (128, 256),
    "19": (256, 256),
    "22": (256, 256),
    "25": (256, 256),
    "29": (256, 512),
    "32": (512, 512),
    "35": (512, 512),
    "38": (512, 512),
    "42": (512, 512),
    "45": (512, 512),  # this one and the next two are stored in the release but never used
    "48": (512, 512),
    "51": (512, 512),
}
DECODER_CONVS = {
    "decoder_layer_1.1": (512, 256),
    "decoder_layer_2.1": (512, 256),
    "decoder_layer_2.4": (256, 256),
    "decoder_layer_2.7": (256, 256),
    "decoder_layer_2.10": (256, 128),
    "decoder_layer_2.14": (128, 128),
    "decoder_layer_2.17": (128, 64),
    "decoder_layer_2.21": (64, 64),
    "decoder_layer_2.24": (64, 3),
}
A2K_CONVS = ("q", "k", "v", "q2", "k2", "v2", "fusion1", "fusion2")


def recipe_weights(seed: int = 7, width: float = 1.0) -> Weights:
    """Draws the weights behind the golden tensors; `width` multiplies the channels."""
    return _draw(_golden_tensor, seed, width)


def initial_weights(seed: int = 7, width: float = 1.0) -> Weights:
    """Draws the weights at step 0 of the training trace; the encoder is the golden one."""
    return _draw(_initial_tensor, seed, width)


def recipe_digest(weights: Weights) -> str:
    """Returns the sha256 over the float32 bytes of all tensors in the recipe's order."""
    digest = hashlib.sha256()
    for module in MODULES:
        for name in sorted(weights[module]):
            digest.update(np.ascontiguousarray(weights[module][name], np.float32).tobytes())
    return digest.hexdigest()


def recipe_shapes(width: float = 1.0) -> dict[str, dict[str, tuple[int, ...]]]:
    """Returns the PyTorch shape of every tensor, by module and key."""

    def conv(name: str, c_in: int, c_out: int, side: int) -> dict[str, tuple[int, ...]]:
        # Three channels are colours, which have no width.
        c_in, c_out = (c if c == 3 else int(round(c * width)) for c in (c_in, c_out))
        return {f"{name}.weight": (c_out, c_in, side, side), f"{name}.bias": (c_out,)}

    def a2k(prefix: str, channels: int) -> dict[str, tuple[int, ...]]:
        shapes = {f"{prefix}sim_alpha": (1,), f"{prefix}sim_beta": (1,)}
        for name in A2K_CONVS:
            shapes |= conv(prefix + name, channels, channels, 1)
        return shapes

    vgg, decoder = conv("0", 3, 3, 1), {}
    for name, (c_in, c_out) in VGG_CONVS.items():
        vgg |= conv(name, c_in, c_out, 3)
    for name, (c_in, c_out) in DECODER_CONVS.items():
        decoder |= conv(name, c_in, c_out, 3)
    transform = a2k("attn_adain_4_1.", 512) | a2k("attn_adain_5_1.", 512)
    transform |= conv("merge_conv", 512, 512, 3)
    return {"vgg": vgg, "A2K": a2k("", 256), "transform": transform, "decoder": decoder}


def load_golden(name: str) -> dict[str, np.ndarray]:
    """Loads all arrays of a golden file, such as `forward_128.npz`."""
    with np.load(reference_path("golden", name)) as arrays:
        return dict(arrays)


needs_reference = pytest.mark.skipif(
    not reference_path("golden", "README.md").is_file(),
    reason=f"no reference data at {reference_path()}; set STYA2K_REFERENCE to the folder that "
    "holds golden/ and weights/",
)


def _draw(tensor, seed: int, width: float) -> Weights:
    def one(module: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
        name = f"{module}.{key}"
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        return tensor(name, rng.standard_normal(shape, dtype=np.float32)).astype(np.float32)

    return {
        module: {key: one(module, key, shape) for key, shape in shapes.items()}
        for module, shapes in recipe_shapes(width).items()
    }


def _golden_tensor(name: str, z: np.ndarray) -> np.ndarray:
    tenth = np.float32(0.1)
    if name == "vgg.0.weight":
        return np.float32(2) * np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1) + tenth * z
    if name == "vgg.0.bias":
        return tenth * z - np.float32(1)
    if name.endswith("sim_alpha"):
        return np.float32(1) + tenth * z
    if name.endswith("sim_beta"):
        return tenth * z
    if name.endswith(".bias"):
        return np.float32(0.05) * z
    fan_in = np.prod(z.shape[1:])
    if name.startswith(("A2K.", "transform.attn_adain_")):
        return z * np.float32(0.45 / np.sqrt(fan_in))
    return z * np.float32(np.sqrt(2 / fan_in))


def _initial_tensor(name: str, z: np.ndarray) -> np.ndarray:
    if name.startswith("vgg."):
        return _golden_tensor(name, z)
    if name.endswith("sim_alpha"):
        return np.ones_like(z)
    if name.endswith(("sim_beta", ".bias")):
        return np.zeros_like(z)
    return np.float32(0.02) * z
