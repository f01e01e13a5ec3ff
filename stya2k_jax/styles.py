"""A style that is encoded once: what attention needs of it, in memory or in one file."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from stya2k_jax.architecture import Architecture
from stya2k_jax.errors import UserError
from stya2k_jax.files import write_whole
from stya2k_jax.weights import named_leaves

FORMAT = "stya2k_jax style"
POLICIES = ("trained", "balanced")


@dataclasses.dataclass(frozen=True)
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

    keys: tuple[dict, ...]
    weights: tuple[float, ...]
    pictures: tuple[np.ndarray, ...]
    model: str
    architecture: Architecture
    block_policy: str = "trained"

    def __len__(self) -> int:
        """Returns how many pictures are blended."""
        return len(self.keys)

    def save(self, path: str | Path) -> None:
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


def is_style_file(path: str | Path) -> bool:
    """Tells whether a path is named as a saved style."""
    return Path(path).suffix.lower() == ".safetensors"


def load_style(
    path: str | Path,
    model: str,
    architecture: Architecture,
    structures: Callable[[tuple[int, ...], bool], Sequence[dict]],
) -> Style:
    """Reads a file of `Style.save`.

    Args:
      path: the file.
      model: fingerprint of the model that is going to paint.
      architecture: of that model.
      structures: gives what keys may look like, for the shape of a picture and whether blocks are
        balanced; the file's arrays are put into the one that has their names.

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
        raise UserError(f"{path} is not a saved style; Style.save and --save_style write them.")
    if metadata["model"] != model:
        raise UserError(
            f"{path} is a style of another model ({metadata['model'][:12]}, with "
            f"{metadata['architecture']}); this one is {model[:12]}. Open that model, or encode "
            "the style again with this one."
        )
    try:
        weights = tuple(json.loads(metadata["weights"]))
        pictures = tuple(arrays[f"{i}.picture"] for i in range(len(weights)))
        balanced = metadata["block_policy"] == "balanced"
        keys = tuple(
            _filled(structures(picture.shape, balanced), arrays, f"{i}.")
            for i, picture in enumerate(pictures)
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); encode the style again.") from error
    return Style(keys, weights, pictures, model, architecture, metadata["block_policy"])


def normalised_weights(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """Returns weights that add up to 1; equal ones where none are given.

    Raises:
      UserError: not one weight for each style, negative ones, or none above 0.
    """
    if weights is None:
        return (1 / count,) * count
    weights = [float(weight) for weight in weights]
    if len(weights) != count:
        raise UserError(f"{len(weights)} weights for {count} styles; give one for each.")
    if not all(np.isfinite(w) and w >= 0 for w in weights) or not sum(weights) > 0:
        raise UserError(f"Style weights {weights} must be at least 0, and one above.")
    return tuple(weight / sum(weights) for weight in weights)


def _filled(structures: Sequence[dict], arrays: dict[str, np.ndarray], prefix: str) -> dict:
    names = {n for n in arrays if n.startswith(prefix) and n != f"{prefix}picture"}
    for structure in structures:
        expected = [prefix + name for name, _ in named_leaves(structure)]
        if set(expected) == names:
            leaves = [jax.numpy.asarray(arrays[name]) for name in expected]
            return jax.tree.unflatten(jax.tree.structure(structure), leaves)
    raise KeyError(f"arrays {', '.join(sorted(names))}")
