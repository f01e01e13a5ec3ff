"""The released PyTorch weights as our model and back: complete or refused.

Kernels are OIHW in PyTorch and HWIO (1x1: IO) here. Nothing else changes, so converting there and
back is bit-equal.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from stya2k_jax.conversion.pytorch_files import StateDict, read_state_dict
from stya2k_jax.conversion.pytorch_layout import convolution_pairs, to_ours, to_pytorch
from stya2k_jax.errors import WeightsError
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.encoder import Encoder
from stya2k_jax.network.model import StyA2K, assemble, new_painter
from stya2k_jax.weights.parameters import named_arrays, parameter_shapes, with_arrays

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


def model_from_release(
    encoder: Encoder, architecture: Architecture, modules: Mapping[str, StateDict]
) -> StyA2K:
    """Makes a model from an encoder and the released modules `A2K`, `transform` and `decoder`.

    Raises:
      WeightsError: lists every key that does not fit, file by file.
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
            arrays |= to_ours(modules.get(module, {}), pairs, shapes, RELEASED_FILES[module][0])
        except WeightsError as error:
            messages.append(str(error))
    if messages:
        raise WeightsError("\n".join(messages))
    return assemble(architecture, encoder, with_arrays(template, arrays, "the released files"))


def release_from_model(model: StyA2K) -> dict[str, StateDict]:
    """Returns the three released modules' state dicts; the inverse of `model_from_release`.

    Raises:
      WeightsError: the released code, whose sizes are fixed, has no such model.
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
        module: {key: to_pytorch(key, arrays[name]) for key, name in pairs}
        for module, pairs in _painter_pairs().items()
    }


def git_blob_id(path: Path) -> str:
    """Returns the id under which git stores a file: sha1 of "blob", its size and its bytes."""
    content = Path(path).read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _painter_pairs() -> dict[str, list[tuple[str, str]]]:
    def a2k(prefix, tap):
        path = f"a2k.{tap}.paths."
        names = {prefix + key: path + name for key, name in _A2K_KEYS.items()}
        return [
            (f"{prefix}sim_alpha", f"{path}distributed.alpha"),
            (f"{prefix}sim_beta", f"{path}distributed.beta"),
            *convolution_pairs(names.items()),
        ]

    decoder = {key: f"decoder.{name}" for key, name in _DECODER_KEYS.items()}
    return {
        "A2K": a2k("", "relu3_1"),
        "transform": [
            *a2k("attn_adain_4_1.", "relu4_1"),
            *a2k("attn_adain_5_1.", "relu5_1"),
            *convolution_pairs([("merge_conv", "decoder.merge")]),
        ],
        "decoder": list(convolution_pairs(decoder.items())),
    }


def verify_release(directory: Path) -> None:
    """Compares the released files with the authors' by their git blob ids.

    Raises:
      WeightsError: names every file that is missing or is not the authors'.
    """
    lines = []
    for name, blob_id in released_files():
        path = directory / name
        if not path.is_file():
            lines.append(f"{path} is missing")
        elif git_blob_id(path) != blob_id:
            lines.append(f"{path} has git blob id {git_blob_id(path)}, the authors' has {blob_id}")
    if lines:
        raise WeightsError("These are not the released files:\n  " + "\n  ".join(lines))


def released_files() -> list[tuple[str, str]]:
    """Returns the name and git blob id of each released file."""
    return list(RELEASED_FILES.values())


def read_release(directory: Path) -> dict[str, StateDict]:
    """Reads the released modules' state dicts, by module.

    Raises:
      WeightsError: a file is missing or cannot be read.
    """
    missing = [name for name, _ in released_files() if not (directory / name).is_file()]
    if missing:
        raise WeightsError(f"{directory} lacks {', '.join(missing)}; it needs all three files.")
    return {
        module: read_state_dict(directory / name) for module, (name, _) in RELEASED_FILES.items()
    }
