"""Training checkpoints with Orbax: what is learned, the optimizer, the step and the input position.

The encoder never changes and is not in them: it lies once in the run's directory.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from stya2k_jax.weights import WeightsError, named_leaves

FOLDER = "checkpoints"


class Checkpoints:
    """The checkpoints of one run, by step. Use as a context manager: leaving waits for saves."""

    def __init__(self, workdir: Path, keep: int | None = None, read_only: bool = False):
        """Opens `workdir/checkpoints`.

        Args:
          workdir: the run's directory.
          keep: how many of the latest stay (None: all).
          read_only: leaves what a save in progress, or one cut off, has left behind.
        """
        policy = ocp.training.preservation_policies.LatestN(keep) if keep else None
        self.directory = Path(workdir).absolute() / FOLDER
        self._checkpointer = ocp.training.Checkpointer(
            self.directory,
            # When to save is the training loop's decision.
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=policy,
            cleanup_tmp_directories=not read_only,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._checkpointer.close()

    def latest(self) -> int | None:
        """Returns the step of the newest complete checkpoint, or None."""
        latest = self._checkpointer.latest
        return None if latest is None else latest.step

    def items(self, step: int) -> list[str]:
        """Returns the names of what a checkpoint holds."""
        return sorted(self._checkpointer.checkpointables_metadata(step).metadata)

    def save(self, step: int, **items: Any) -> None:
        """Starts saving pytrees of arrays under their names; returns before the disk is done.

        The arrays are copied first, so that the caller may donate them to its next step.
        """
        arrays = {name: _named(jax.tree.map(_copy, tree)) for name, tree in items.items()}
        self._checkpointer.wait()  # for the save before this one, and for its error if it failed
        self._checkpointer.save_checkpointables_async(step, arrays)

    def restore(self, step: int, **templates: Any) -> dict[str, Any]:
        """Reads pytrees back; templates give structure, shapes, dtypes and shardings.

        Only the named items are read.

        Raises:
          WeightsError: the checkpoint belongs to another network.
        """
        found = self._checkpointer.checkpointables_metadata(step).metadata
        for name, template in templates.items():
            _check(self.directory / str(step), name, _named(template), found.get(name))
        arrays = {name: _named(jax.tree.map(_placed, tree)) for name, tree in templates.items()}
        loaded = self._checkpointer.load_checkpointables(step, arrays)
        return {name: _unnamed(tree, loaded[name]) for name, tree in templates.items()}


def _copy(x: Any) -> Any:
    return x.copy() if isinstance(x, jax.Array) else np.asarray(x)


def _placed(x: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(x, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def _named(tree: Any) -> dict[str, Any]:
    return dict(named_leaves(tree))


def _unnamed(template: Any, arrays: dict[str, Any]) -> Any:
    leaves = [arrays[name] for name, _ in named_leaves(template)]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _check(path: Path, item: str, template: dict[str, Any], found: Any) -> None:
    shapes = {name: tuple(leaf.shape) for name, leaf in (found or {}).items()}
    expected = {name: tuple(leaf.shape) for name, leaf in template.items()}
    wrong = sorted(name for name in shapes | expected if shapes.get(name) != expected.get(name))
    if wrong:
        listed = "\n  ".join(
            f"{name}: {shapes.get(name, 'missing')}, expected {expected.get(name, 'nothing')}"
            for name in wrong
        )
        raise WeightsError(f"{path} ({item}) does not fit the network:\n  {listed}")
