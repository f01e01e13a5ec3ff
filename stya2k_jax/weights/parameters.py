"""A module's parameters as named arrays: their names, shapes, differences and fingerprints."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from flax import nnx

from stya2k_jax.errors import WeightsError
from stya2k_jax.files.digests import digest_of_bytes
from stya2k_jax.network.model import StyA2K

Module = TypeVar("Module", bound=nnx.Module)


def fingerprint_of_model(model: StyA2K) -> str:
    """Returns the SHA-256 of a model's architecture and numbers, in hex digits."""
    text = json.dumps(model.architecture.as_dict(), sort_keys=True)
    return digest_of_bytes((text + fingerprint(nnx.state(model, nnx.Param))).encode())


def fingerprint(tree: Any) -> str:
    """Returns the SHA-256 of a tree's arrays and their names, in hex digits."""
    digest = hashlib.sha256()
    for name, leaf in named_leaves(tree):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()


def named_arrays(module: nnx.Module) -> dict[str, np.ndarray]:
    """Returns a module's parameters as `{"a2k.relu3_1.…query.kernel": array}`."""
    return {name: np.asarray(leaf) for name, leaf in named_leaves(nnx.state(module, nnx.Param))}


def parameter_shapes(module: nnx.Module) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of `named_arrays`, also of a module that has shapes only."""
    return {name: leaf.shape for name, leaf in named_leaves(nnx.state(module, nnx.Param))}


def with_arrays(module: Module, arrays: Mapping[str, np.ndarray], origin: str) -> Module:
    """Returns the module holding these parameters, all of them or none.

    Args:
      module: a module; its parameters may be shapes only.
      arrays: as `named_arrays` gives them.
      origin: where they come from, for the message.

    Raises:
      WeightsError: names every parameter that is missing, extra, of another shape or not finite.
    """
    graph, state = nnx.split(module)
    problems = differences(parameter_shapes(module), arrays)
    if problems:
        raise WeightsError(
            f"{origin} does not fit the network:\n  "
            + "\n  ".join(problems)
            + "\nCheck that it was made for this architecture."
        )
    leaves = [np.asarray(arrays[name], np.float32) for name, _ in named_leaves(state)]
    leaves = jax.device_put(leaves)  # `asarray` would compile a program for each shape
    return nnx.merge(graph, jax.tree.unflatten(jax.tree.structure(state), leaves))


def differences(
    expected: Mapping[str, tuple[int, ...]], arrays: Mapping[str, np.ndarray]
) -> list[str]:
    """Lists, a line each, how named arrays differ from the expected names and shapes."""
    lines = [f"missing: {name} {shape}" for name, shape in expected.items() if name not in arrays]
    lines += [f"unexpected: {name}" for name in arrays if name not in expected]
    for name, shape in expected.items():
        if name in arrays and tuple(arrays[name].shape) != tuple(shape):
            lines.append(f"shape of {name}: {tuple(arrays[name].shape)}, expected {tuple(shape)}")
        elif name in arrays and not np.isfinite(arrays[name]).all():
            lines.append(f"not finite: {name} holds NaN or infinity")
    return lines


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """Returns a pytree's leaves with their names, such as `"color.kernel"`."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    # The path into a Variable ends in "value", which is left out.
    return [
        (jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value"), leaf)
        for path, leaf in leaves
    ]
