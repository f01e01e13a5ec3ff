"""PyTorch weights to our modules and back: complete or refused.

Kernels are OIHW in PyTorch and HWIO (1x1: IO) here; nothing else changes, so the way there and
back is bit-equal.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from stya2k_jax.files.atomic import write_whole
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.encoder import CONVOLUTIONS, Encoder
from stya2k_jax.network.model import StyA2K
from stya2k_jax.weights.model_files import (
    WeightsError,
    assemble,
    differences,
    named_arrays,
    new_encoder,
    new_painter,
    parameter_shapes,
    with_arrays,
)

# Keys of the convolutions up to conv5_1, in order; those beyond are never used.
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

RELEASED_FILES = {  # module: name of its file, git blob id of the authors' file
    "A2K": ("latest_net_A2K.pth", "186476825d2490e1989ce69a5c8b42203ddbbff0"),
    "transform": ("latest_net_transform.pth", "128f013d28f6fec30b97fbd1d271452546dbd607"),
    "decoder": ("latest_net_decoder.pth", "6e30e08c74bd294c8cbd5e3dd486638328646259"),
}
_A2K_KEYS = {
    "q": "distributed.query",
    "k": "distributed.key",
    "v": "distributed.value",
    "fusion1": "distributed.fuse",
    "q2": "progressive.query",
    "k2": "progressive.key",
    "v2": "progressive.value",
    "fusion2": "progressive.fuse",
}
_DECODER_KEYS = {
    "decoder_layer_1.1": "conv4_1",
    "decoder_layer_2.1": "conv3_4",
    "decoder_layer_2.4": "conv3_3",
    "decoder_layer_2.7": "conv3_2",
    "decoder_layer_2.10": "conv3_1",
    "decoder_layer_2.14": "conv2_2",
    "decoder_layer_2.17": "conv2_1",
    "decoder_layer_2.21": "conv1_2",
    "decoder_layer_2.24": "conv1_1",
}

StateDict = dict[str, np.ndarray]


def read_state_dict(path: Path) -> StateDict:
    """Reads a PyTorch state dict from `.safetensors` or `.pth` (legacy or zip) as float32.

    A `module.` prefix, left by DataParallel, is taken off. `.pth` needs PyTorch and is read with
    `weights_only=True`: nothing in the file is run.

    Raises:
      WeightsError: not there, not readable, or not a dict of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist or is not a file; give the path of a .pth file.")
    arrays = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pth(path)
    return {name.removeprefix("module."): array for name, array in arrays.items()}


def encoder_from_vgg(
    state_dict: Mapping[str, np.ndarray], vgg_format: str = "normalised", origin: str = "VGG"
) -> tuple[Encoder, Architecture]:
    """Makes an encoder of a VGG-19 state dict; its width is read off the first convolution.

    Args:
      state_dict: PyTorch keys and arrays; layers beyond conv5_1 may be there or not.
      vgg_format: `"normalised"`, the published `vgg_normalised.pth` whose first layer is a 1x1
        convolution, or `"torchvision"`, whose ImageNet mean and scale become that layer.
      origin: where it comes from, for the message.

    Raises:
      WeightsError: names every key that is missing, unexpected, misshaped or not finite.
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
    pairs = list(_convolution_pairs(names))
    arrays = _to_ours(state_dict, pairs, parameter_shapes(template), origin)
    return with_arrays(template, arrays, origin), architecture


def is_beyond_conv5_1(name: str, vgg_format: str) -> bool:
    """Tells whether a key of a VGG-19 state dict belongs to a layer that is never used."""
    return name.rpartition(".")[0] in VGG_KEYS_BEYOND[vgg_format]


def model_from_release(
    encoder: Encoder, architecture: Architecture, modules: Mapping[str, StateDict]
) -> StyA2K:
    """Makes a model of an encoder and the three released modules, `A2K`, `transform`, `decoder`.

    Raises:
      WeightsError: names, file by file, every key that does not fit.
    """
    template = new_painter(architecture)
    shapes, arrays, messages = parameter_shapes(template), {}, []
    if any(name not in shapes for pairs in _painter_pairs().values() for _, name in pairs):
        raise WeightsError(
            f"The released weights are the full model's; variant={architecture.variant!r} has "
            "other parameters."
        )
    for module, pairs in _painter_pairs().items():
        try:
            arrays |= _to_ours(modules.get(module, {}), pairs, shapes, RELEASED_FILES[module][0])
        except WeightsError as error:
            messages.append(str(error))
    if messages:
        raise WeightsError("\n".join(messages))
    return assemble(architecture, encoder, with_arrays(template, arrays, "the released files"))


def release_from_model(model: StyA2K) -> dict[str, StateDict]:
    """Returns the three released modules' state dicts: the way back of `model_from_release`.

    Raises:
      WeightsError: the released code, whose sizes are fixed, would paint something else.
    """
    ours, released = model.architecture.as_dict(), Architecture().as_dict()
    ours["block_sizes"][0] = released["block_sizes"][0]  # used by the loss only
    others = [
        f"{field}={ours[field]!r} instead of {released[field]!r}"
        for field in ("variant", "heads", "block_sizes", "pooling")
        if ours[field] != released[field]
    ]
    if others:
        raise WeightsError(
            f"The released code has no such model ({'; '.join(others)}); only a full model with "
            "the released heads, block sizes and pooling can be exported."
        )
    arrays = named_arrays(model.painter)
    return {
        module: {key: _to_pytorch(key, arrays[name]) for key, name in pairs}
        for module, pairs in _painter_pairs().items()
    }


def git_blob_id(path: Path) -> str:
    """Returns the id under which git stores a file: sha1 of "blob", its size and its bytes."""
    content = Path(path).read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def save_state_dict(path: Path, state_dict: Mapping[str, np.ndarray]) -> None:
    """Writes a PyTorch state dict as `.pth` (needs PyTorch) or `.safetensors`, whole or not."""
    arrays = {name: np.ascontiguousarray(array) for name, array in state_dict.items()}
    if Path(path).suffix == ".safetensors":
        write_whole(path, lambda name: save_file(arrays, name))
        return
    torch = _import_torch(path)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    write_whole(path, lambda name: torch.save(tensors, name))


def _read_safetensors(path: Path) -> StateDict:
    try:
        return {name: array.astype(np.float32) for name, array in load_file(path).items()}
    except (OSError, SafetensorError, AttributeError) as error:  # NumPy lacks the 8-bit floats
        raise WeightsError(
            f"{path} cannot be read as safetensors ({error}); it may be damaged: fetch it again."
        ) from error


def _read_pth(path: Path) -> StateDict:
    torch = _import_torch(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(loaded, Mapping):
            raise TypeError(f"it holds a {type(loaded).__name__}, not a dict of tensors")
        for name, tensor in loaded.items():
            if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
                kind = type(tensor).__name__
                raise TypeError(f"its entry {name!r} is a {kind} rather than a named tensor")
        return {name: tensor.detach().float().numpy() for name, tensor in loaded.items()}
    except Exception as error:  # damaged bytes can make an unpickler raise anything
        raise WeightsError(
            f"{path} is not a PyTorch state dict ({_reason(error)}); give the .pth file of the "
            "weights themselves."
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, (OSError, RuntimeError, TypeError)) and str(error).strip():
        return str(error).strip().splitlines()[0]
    # Of the rest PyTorch says too little ("101"), or that one may let the file run its code.
    return "it is damaged or holds more than tensors; nothing in it was run"


def _import_torch(path: Path):
    try:
        import torch
    except ImportError as error:
        raise WeightsError(
            f"{path}: .pth files need PyTorch; install it with: pip install 'stya2k-jax[torch]'"
        ) from error
    return torch


def _painter_pairs() -> dict[str, list[tuple[str, str]]]:
    def a2k(prefix, tap):
        path = f"a2k.{tap}.paths."
        names = {prefix + key: path + name for key, name in _A2K_KEYS.items()}
        return [
            (f"{prefix}sim_alpha", f"{path}distributed.alpha"),
            (f"{prefix}sim_beta", f"{path}distributed.beta"),
            *_convolution_pairs(names.items()),
        ]

    decoder = {key: f"decoder.{name}" for key, name in _DECODER_KEYS.items()}
    return {
        "A2K": a2k("", "relu3_1"),
        "transform": [
            *a2k("attn_adain_4_1.", "relu4_1"),
            *a2k("attn_adain_5_1.", "relu5_1"),
            *_convolution_pairs([("merge_conv", "decoder.merge")]),
        ],
        "decoder": list(_convolution_pairs(decoder.items())),
    }


def _convolution_pairs(names) -> Iterator[tuple[str, str]]:
    for key, name in names:
        yield f"{key}.weight", f"{name}.kernel"
        yield f"{key}.bias", f"{name}.bias"


def _to_ours(
    state_dict: Mapping[str, np.ndarray],
    pairs: list[tuple[str, str]],
    shapes: Mapping[str, tuple[int, ...]],
    origin: str,
) -> StateDict:
    expected = {key: _pytorch_shape(key, shapes[name]) for key, name in pairs}
    problems = differences(expected, state_dict)
    if problems:
        raise WeightsError(f"{origin} does not fit:\n  " + "\n  ".join(problems))
    return {name: _from_pytorch(key, state_dict[key], shapes[name]) for key, name in pairs}


def _pytorch_shape(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if key.endswith(".weight"):
        return (shape[1], shape[0], 1, 1) if len(shape) == 2 else (shape[3], shape[2], 3, 3)
    return shape or (1,)  # the release stores its scalars as arrays of one number


def _from_pytorch(key: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if key.endswith(".weight"):
        array = array.transpose(2, 3, 1, 0)
    return np.ascontiguousarray(array).reshape(shape)


def _to_pytorch(key: str, array: np.ndarray) -> np.ndarray:
    if key.endswith(".weight"):
        array = array[None, None] if array.ndim == 2 else array
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    return array.reshape(array.shape or (1,))
