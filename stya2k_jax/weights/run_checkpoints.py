"""Training checkpoints with Orbax: the trained network, the optimizer and the step.

A checkpoint is a directory `checkpoints/STEP`. Orbax writes it, and a manifest is added last. What
was cut off or damaged is not used. The encoder never changes: it lies once in the run's directory,
and in no checkpoint.
"""

import itertools
import logging
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.files import directory_manifest as manifest
from stya2k_jax.weights.parameters import named_leaves

FOLDER = "checkpoints"
DAMAGED_FOLDER = "damaged"  # inside, because `checkpoints` may be a link to another disk
_TEMPORARY = ".orbax-checkpoint-tmp"  # Orbax's suffix of a directory that is being written
_NONE, _FAILED = -1, -2  # instead of a step

logger = logging.getLogger(__name__)


class CheckpointError(UserError):
    """A checkpoint cannot be written; says which, where, why, and which one is whole."""


class Checkpoints:
    """The checkpoints of one run, by step. It is a context manager: leaving it waits for saves.

    Several processes of a run share the file system, and call the same methods in the same order.
    The first process handles the manifests and tells the others.

    After a failed save, `save`, `check` and `wait` raise its `CheckpointError`. So does leaving the
    context, unless another exception is being raised.
    """

    def __init__(
        self,
        workdir: Path,
        keep: int | None = None,
        keep_every: int | None = None,
        read_only: bool = False,
        unread: Sequence[str] = (),
    ):
        """Refers to `workdir/checkpoints`; nothing is read or made yet.

        Args:
          workdir: the run's directory.
          keep: how many of the latest stay (None: all).
          keep_every: multiples of this step stay as well (None: no others).
          read_only: moves and deletes nothing.
          unread: items that will not be restored, whose bytes need not be compared.
        """
        self.directory = Path(workdir).absolute() / FOLDER
        self._keep, self._keep_every = keep, keep_every
        self._read_only, self._unread = read_only, unread
        self._opened = False
        self._latest: int | None = None
        self._saving: tuple[int, Future] | None = None
        self._error: CheckpointError | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.wait()
            elif self._saving:  # let it finish, but do not replace the exception
                step, future = self._saving
                if error := future.exception():
                    logger.error("%s", self._failure(step, error))
        finally:
            self._thread.shutdown()

    def latest(self) -> int | None:
        """Returns the step of the newest whole checkpoint, or None.

        The first call compares files with manifests, from the newest step down. A warning names
        damaged steps; unless `read_only`, they are moved to `workdir/checkpoints/damaged`. A save
        counts after `wait`.

        Raises:
          CheckpointError: the directory cannot be made, or a damaged step cannot be moved.
        """
        if not self._opened:
            step = self._agree(self._open)
            self._latest, self._opened = None if step == _NONE else step, True
        return self._latest

    def save(self, step: int, **items: Any) -> None:
        """Starts saving pytrees of arrays under their names; writing goes on in the background.

        It waits for the save before this one. The arrays are copied, so the caller may donate them
        to its next step. A step that is whole already is not written again.

        Raises:
          CheckpointError: this save cannot start, or the one before it has failed.
        """
        if self._read_only:
            raise ValueError(f"{self.directory} was opened with read_only=True; leave that out.")
        latest = self.latest()
        self.wait()
        # Steps newer than the latest were moved away, so most need no check.
        if latest is not None and step <= max(latest, self._latest or latest):
            if self._agree(lambda: self._clear(step)) == step:
                return
        arrays = {name: _named(jax.tree.map(_copy, tree)) for name, tree in items.items()}
        context = ocp.Context()
        # In the background it takes minutes to notice that a directory cannot be made.
        context.asynchronous.create_directories_asynchronously = False
        try:
            with context:
                response = ocp.save_checkpointables_async(self._path(step), arrays)
        except Exception as error:
            self._error = self._failure(step, error)
            raise self._error from error
        self._saving = step, self._thread.submit(self._finish, step, response)

    def check(self) -> None:
        """Raises the error of a failed save; does not wait for one in progress.

        Raises:
          CheckpointError: see above.
        """
        if self._saving and self._saving[1].done():
            step, future = self._saving
            if error := future.exception():
                self._saving, self._error = None, self._failure(step, error)
        if self._error:
            raise self._error

    def wait(self) -> None:
        """Waits until everything is on the disk, the manifest too.

        Raises:
          CheckpointError: the save has failed.
        """
        if self._saving:
            step, future = self._saving
            error = future.exception()
            failed = error is not None
            if jax.process_count() > 1:
                failed = bool(multihost_utils.process_allgather(np.int32(failed)).any())
                if failed and error is None:
                    error = RuntimeError("another process could not write its part; see its error")
            self._saving = None
            if error is not None:
                self._error = self._failure(step, error)
            else:
                self._latest = step if self._latest is None else max(step, self._latest)
        if self._error:
            raise self._error

    def restore(self, step: int, **templates: Any) -> dict[str, Any]:
        """Reads pytrees back; templates give structure, shapes, dtypes and shardings.

        Only the named items are read.

        Raises:
          WeightsError: the checkpoint belongs to another network.
        """
        path = self._path(step)
        found = ocp.checkpointables_metadata(path).metadata
        for name, template in templates.items():
            _check(path, name, _named(template), found.get(name))
        arrays = {name: _named(jax.tree.map(_placed, tree)) for name, tree in templates.items()}
        loaded = ocp.load_checkpointables(path, arrays)
        return {name: _unnamed(tree, loaded[name]) for name, tree in templates.items()}

    def _path(self, step: int) -> Path:
        return self.directory / str(step)

    def _steps(self) -> list[int]:
        """Returns the steps that have a directory, whole or not, the oldest first."""
        if self._read_only and not self.directory.is_dir():
            return []
        names = [path.name for path in self.directory.iterdir() if path.is_dir()]
        return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)

    def _open(self) -> int:
        """Cleans up the directory; returns the newest whole step."""
        if not self._read_only:
            self.directory.mkdir(parents=True, exist_ok=True)
            for path in self.directory.glob(f"*{_TEMPORARY}*"):
                shutil.rmtree(path)
        for step in reversed(self._steps()):
            if self._clear(step) == step:
                return step
        return _NONE

    def _clear(self, step: int) -> int:
        """Returns the step if it is whole; otherwise warns and moves it away."""
        path = self._path(step)
        if not path.is_dir():
            return _NONE
        wrong = manifest.problems(path, self._unread)
        if not wrong:
            return step
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        what = f"{path} is not a whole checkpoint and is not used: {', '.join(wrong[:3])}{more}"
        if self._read_only:
            logger.warning("%s.", what)
        else:
            folder = self.directory / DAMAGED_FOLDER
            folder.mkdir(exist_ok=True)
            names = itertools.chain([f"{step}"], (f"{step}.{i}" for i in itertools.count(1)))
            aside = next(x for x in map(folder.joinpath, names) if not x.exists())
            path.rename(aside)
            logger.warning("%s. It now lies in %s; delete it when you like.", what, aside)
        return _NONE

    def _finish(self, step: int, response: ocp.AsyncResponse) -> None:
        """Ends a save, in its own thread."""
        response.result()
        if jax.process_index() == 0:
            manifest.write(self._path(step))
            self._prune()

    def _prune(self) -> None:
        """Deletes steps that are not kept.

        Orbax would do so before the new step has its manifest. With `keep=1`, a run that is killed
        in between would have no checkpoint.
        """
        for step in self._steps()[: -self._keep] if self._keep else []:
            if self._keep_every and step % self._keep_every == 0:
                continue
            try:
                # The manifest first: a deletion that is cut off must not leave a whole checkpoint.
                (self._path(step) / manifest.NAME).unlink(missing_ok=True)
                shutil.rmtree(self._path(step))
            except OSError as error:
                logger.warning("%s could not be deleted: %s", self._path(step), error)

    def _agree(self, decide: Callable[[], int]) -> int:
        """Lets the first process decide on a step, and tells all processes."""
        answer, failure = _FAILED, None
        if jax.process_index() == 0:
            try:
                answer = decide()
            except OSError as error:
                failure = error
        if jax.process_count() > 1:
            answer = int(multihost_utils.broadcast_one_to_all(np.int32(answer)))
        if answer == _FAILED:
            reason = failure or "the first process could not; see its error"
            raise CheckpointError(
                f"The checkpoints in {self.directory} cannot be opened: {reason}. Put this right "
                "and start again."
            ) from failure
        return answer

    def _failure(self, step: int, error: BaseException) -> CheckpointError:
        if self._latest is None:
            before, after = "There is no checkpoint before it", "begins anew"
        else:
            before = f"The checkpoint of step {self._latest} there is whole"
            after = "goes on from it"
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        failure = CheckpointError(
            f"The checkpoint of step {step} could not be written to {self.directory}: {reason}. "
            f"{before}. Make sure that there is room and that the directory can be written, then "
            f"start the same run again: it {after}."
        )
        failure.__cause__ = error
        return failure


def _copy(x: Any) -> Any:
    return x.copy() if isinstance(x, jax.Array) else np.asarray(x)


def _placed(x: Any) -> jax.ShapeDtypeStruct:
    device = jax.local_devices()[0]
    sharding = getattr(x, "sharding", None) or jax.sharding.SingleDeviceSharding(device)
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
