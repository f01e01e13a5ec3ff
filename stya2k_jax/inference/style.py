"""Encoded styles: the keys that attention needs, in memory or in a file."""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from stya2k_jax.errors import UserError
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.weights.parameters import named_leaves

FORMAT = "stya2k_jax style"
POLICIES = ("trained", "balanced")


@dataclasses.dataclass(frozen=True, repr=False)
class Style:
    """One style, or several that are blended; `Stylizer.encode_style` makes it.

    Attributes:
      keys: for each picture, what the A2K modules need of it, by tap.
      weights: how much of each, adding up to 1.
      pictures: what was encoded, uint8 `[b, H, W, 3]` each.
      model: fingerprint of the model whose keys these are.
      architecture: of that model.
      block_policy: how the side of the blocks was chosen.
    """

    keys: tuple[dict[str, Any], ...]
    weights: tuple[float, ...]
    pictures: tuple[np.ndarray, ...]
    model: str
    architecture: Architecture
    block_policy: str = "trained"

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{weight:.3g} of {'x'.join(map(str, picture.shape))}"
            for weight, picture in list(zip(self.weights, self.pictures, strict=True))[:4]
        )
        more = f", … {len(self)} pictures" if len(self) > 4 else ""
        return f"Style({shown}{more}; {self.block_policy} blocks; model {self.model[:12]})"

    def __len__(self) -> int:
        """Returns how many pictures are blended."""
        return len(self.keys)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the style as one safetensors file, whole or not at all."""
        arrays = {
            f"{i}.{name}": np.asarray(leaf)
            for i, keys in enumerate(self.keys)
            for name, leaf in named_leaves(keys)
        }
        arrays |= {f"{i}.picture": picture for i, picture in enumerate(self.pictures)}
        metadata = {
            "format": FORMAT,
            "model": self.model,
            "architecture": json.dumps(self.architecture.as_dict()),
            "weights": json.dumps(self.weights),
            "block_policy": self.block_policy,
        }
        write_whole(path, lambda name: save_file(arrays, name, metadata))


def blend(styles: Sequence[Style], weights: Sequence[float] | None = None) -> Style:
    """Makes one style of several of one model.

    Args:
      styles: of which some may be blends themselves.
      weights: how much of each; they are scaled to add up to 1. None: equal.

    Raises:
      UserError: weights do not fit, or blocks were chosen by different policies.
    """
    shares = normalized_weights(weights, len(styles))
    policies = {style.block_policy for style in styles}
    if len(policies) > 1:
        raise UserError(
            f"A blend needs styles of one block policy, not of {' and '.join(sorted(policies))}; "
            "encode them alike."
        )
    pairs = list(zip(shares, styles, strict=True))
    return dataclasses.replace(
        styles[0],
        keys=tuple(keys for style in styles for keys in style.keys),
        weights=tuple(share * weight for share, style in pairs for weight in style.weights),
        pictures=tuple(picture for style in styles for picture in style.pictures),
    )


def is_style_file(path: str | Path) -> bool:
    """Returns whether a path has the suffix of a saved style."""
    return Path(path).suffix.lower() == ".safetensors"


def load_style(
    path: str | os.PathLike[str],
    model: str,
    architecture: Architecture,
    key_shapes: Callable[[tuple[int, ...], bool, bool], dict],
) -> Style:
    """Reads a file of `Style.save`.

    Args:
      path: the file.
      model: fingerprint of the model that is going to paint.
      architecture: of that model.
      key_shapes: `Programs.key_shapes`; the file's arrays must have these names and shapes.

    Raises:
      UserError: no such file, a damaged one, or one of another model.
    """
    path = Path(path)
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; give a picture or a saved style.") from error
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}); encode the style again.") from error
    if metadata.get("format") != FORMAT:
        raise UserError(f"{path} is not a saved style; Style.save and --save_styles write them.")
    if metadata.get("model") != model:
        raise UserError(
            f"{path} is a style of another model ({metadata.get('model', '')[:12]}, with "
            f"{metadata.get('architecture')}); this one is {model[:12]}. Open that model, or "
            "encode the style again with this one."
        )
    try:
        policy, weights = metadata["block_policy"], json.loads(metadata["weights"])
        if policy not in POLICIES or "architecture" not in metadata:
            raise ValueError(f"block policy {policy!r}")
        given = normalized_weights(weights, len(weights))
        pictures = tuple(_picture(arrays.pop(f"{i}.picture")) for i in range(len(given)))
        keys = tuple(
            _keys(
                {name: arrays.pop(name) for name in list(arrays) if name.startswith(f"{i}.")},
                f"{i}.",
                partial(key_shapes, picture.shape, policy == "balanced"),
            )
            for i, picture in enumerate(pictures)
        )
        if arrays:
            raise ValueError(f"arrays {', '.join(arrays)}")
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); encode the style again.") from error
    # Keep the stored weights; normalizing twice can change the last bit.
    return Style(keys, tuple(map(float, weights)), pictures, model, architecture, policy)


def normalized_weights(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """Returns weights that add up to 1; equal ones where none are given.

    Raises:
      UserError: not one weight for each style, negative ones, or none above 0.
    """
    if weights is None:
        return (1 / count,) * count
    try:
        weights = [float(weight) for weight in weights]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"Style weights {weights!r} must be numbers, one for each style."
        ) from error
    if len(weights) != count:
        raise UserError(f"{len(weights)} weights for {count} styles; give one for each.")
    if not all(np.isfinite(w) and w >= 0 for w in weights) or not sum(weights) > 0:
        raise UserError(f"Style weights {weights} must be at least 0, and one above.")
    largest = max(weights)  # a sum of large weights is infinite
    weights = [weight / largest for weight in weights]
    return tuple(weight / sum(weights) for weight in weights)


def _picture(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or not array.size:
        raise ValueError(f"a picture of {array.dtype} {array.shape}")
    return array


def _keys(arrays: dict[str, np.ndarray], prefix: str, key_shapes: Callable[[bool], dict]) -> dict:
    """Returns the keys whose arrays have names `{prefix}{tap}.{path}.{array}`."""
    structure = key_shapes(any(name.endswith(".are_real") for name in arrays))
    expected = {prefix + name: leaf for name, leaf in named_leaves(structure)}
    if set(expected) != set(arrays):
        raise ValueError(f"arrays {', '.join(sorted(arrays))}")
    for name, leaf in expected.items():
        _check_array(name, arrays[name], leaf)
    leaves = [jax.numpy.asarray(arrays[name]) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(structure), leaves)


def _check_array(name: str, array: np.ndarray, leaf: jax.ShapeDtypeStruct) -> None:
    shape, expected = list(array.shape), list(leaf.shape)
    if ".all_to_all." in name and len(shape) == len(expected):  # keys of all points, padded or not
        points = 0 if len(shape) == 1 else 1
        expected[points] = max(shape[points], 1)
    if shape != expected or array.dtype != leaf.dtype:
        raise ValueError(f"{name} is {array.dtype} {shape}, expected {leaf.dtype} {expected}")
    if array.dtype.kind not in "biu" and not np.isfinite(array.astype(np.float32)).all():
        raise ValueError(f"{name} holds NaN or infinity")
