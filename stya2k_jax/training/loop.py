"""The training loop in a directory: steps, checkpoints, curves and pictures, with exact resume."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
from flax import nnx
from jax.sharding import Mesh
from tqdm import tqdm

from stya2k_jax.data import batches as data
from stya2k_jax.data.opening import open_sources
from stya2k_jax.data.source import Source
from stya2k_jax.stopping import StopRequest, unless_stopped
from stya2k_jax.training import devices
from stya2k_jax.training import step as training
from stya2k_jax.training.log import Records
from stya2k_jax.training.recipe import Recipe, recipe_of
from stya2k_jax.training.run_directory import open_workdir, settings_of
from stya2k_jax.weights.run_checkpoints import Checkpoints

logger = logging.getLogger(__name__)


class Task(NamedTuple):
    """What a loop trains.

    Attributes:
      name: of the trained network, under which checkpoints keep it.
      network: the trained network, with its first numbers.
      loss_fn: `loss_fn(params, frozen, batch) -> (loss, metrics)`.
      frozen: numbers that `loss_fn` needs and that are never trained.
      save_pictures: `save_pictures(step, params, frozen, batch)` writes pictures of this process's
        rows of the batch.
    """

    name: str
    network: nnx.Module
    loss_fn: Callable
    frozen: dict[str, nnx.State]
    save_pictures: Callable[[int, nnx.State, dict, data.Batch], None]


class Run(NamedTuple):
    """What every run has, whatever it trains.

    Attributes:
      recipe: its config in parts.
      workdir: its directory.
      mesh: the devices of all its processes.
      sources: its contents and styles.
    """

    recipe: Recipe
    workdir: Path
    mesh: Mesh
    sources: list[Source]


def new_run(config: ml_collections.ConfigDict, workdir: Path) -> Run:
    """Reads the config and opens the pictures; nothing is written.

    Raises:
      UserError: a field that makes no sense, or no such pictures.
    """
    recipe = recipe_of(config)
    size = recipe.input.batch_size
    mesh = devices.make_mesh(size, recipe.optimizer.accumulate)
    return Run(recipe, Path(workdir).absolute(), mesh, open_sources(recipe.collections, size))


@contextmanager
def begun(
    run: Run, networks: dict[str, nnx.State], allow_changes: Sequence[str]
) -> Iterator[Checkpoints]:
    """Opens the run's directory, for this run alone until it is left; yields its checkpoints.

    Args:
      run: of `new_run`.
      networks: those that the run starts from, by the config field that names them.
      allow_changes: config fields in which a run that goes on may differ from before.

    Raises:
      UserError: as `open_workdir`.
    """
    settings = settings_of(run.recipe.config, run.sources, networks)
    with open_workdir(run.workdir, settings, allow_changes):
        records = run.recipe.records
        yield Checkpoints(
            run.workdir, keep=records.keep_checkpoints, keep_every=records.keep_every or None
        )


def fit(run: Run, checkpoints: Checkpoints, task: Task) -> tuple[int, nnx.State]:
    """Trains until `config.steps`, or until SIGTERM or Ctrl-C, from the newest checkpoint if any.

    Args:
      run: of `new_run`; its directory receives `metrics.jsonl`, TensorBoard files and `images/`.
      checkpoints: of `begun`.
      task: what is trained.

    Returns:
      The step that was reached and saved, and the trained parameters.

    Raises:
      NotFiniteError: the loss or the gradient is NaN or infinite.
      CheckpointError: a checkpoint cannot be written; the one before is whole.
    """
    recipe, workdir, mesh, sources = run
    how, steps = recipe.optimizer, recipe.optimizer.steps
    schedule = training.learning_rate_schedule(
        how.schedule, how.learning_rate, how.steps, how.epochs, how.warmup
    )
    optimizer = training.make_optimizer(schedule, how.clip_norm or None)
    train_step = training.make_train_step(task.loss_fn, optimizer, mesh, how.accumulate, schedule)
    state = training.new_state(task.network, optimizer, mesh)
    frozen = devices.on_every_device(task.frozen, mesh)
    logger.info(
        "%d x %s in %d process(es); %s parameters trained, %s frozen; %d contents, %d styles; %s",
        *(jax.device_count(), jax.devices()[0].device_kind, jax.process_count()),
        *(f"{_size(state.params):,}", f"{_size(frozen):,}"),
        *map(len, sources),
        workdir,
    )
    with (
        StopRequest() as stop,  # left last, so that no signal cuts off the last save
        checkpoints,
        Records(workdir, recipe.input.batch_size) as records,
    ):
        done = checkpoints.latest()
        if done is not None:
            state = _restore(checkpoints, done, task.name, state)
            logger.info("resuming from step %d in %s", done, checkpoints.directory)
        done = done or 0
        if done >= steps:
            return done, state.params
        rows = devices.local_rows(recipe.input.batch_size, mesh)
        batches = data.batches(*sources, recipe.input, start=done, rows=rows)
        batch = next(batches)
        arguments = state, frozen, devices.shard_batch(_pictures(batch), mesh)
        logger.info("compiling the training step")
        run_step = unless_stopped(lambda: train_step.lower(*arguments).compile(), stop)
        step = done
        if run_step is None:  # stopped before the first step
            checkpoints.save(step, **_items(task, state))
        for step in _progress_bar(done, steps) if run_step else ():
            pictures = devices.shard_batch(_pictures(batch), mesh)
            state, metrics = run_step(state, frozen, pictures)
            # The device already has its next step when the last one's numbers are fetched.
            records.flush()
            records.put(step, metrics)
            checkpoints.check()
            last = stop.now() or step == steps
            if last or step % recipe.records.checkpoint_every == 0:
                records.flush()  # raises if the step is not finite
                checkpoints.save(step, **_items(task, state))
            if not stop.signal and (last or step % recipe.records.images_every == 0):
                task.save_pictures(step, state.params, frozen, batch)
            if last:
                break
            batch = next(batches)
        if stop.signal:
            logger.info("stopped by %s", stop.signal)
    return step, state.params


def _restore(
    checkpoints: Checkpoints, step: int, name: str, state: training.TrainState
) -> training.TrainState:
    items = checkpoints.restore(step, **{name: state.params, "training": _progress(state)})
    progress = items["training"]
    return training.TrainState(progress["step"], items[name], progress["opt_state"])


def _items(task: Task, state: training.TrainState) -> dict[str, Any]:
    return {task.name: state.params, "training": _progress(state)}


def _progress(state: training.TrainState) -> dict[str, Any]:
    # The input position is the step: batch i is a function of the seed and of i.
    return {"step": state.step, "opt_state": state.opt_state}


def _progress_bar(done: int, steps: int) -> Iterable[int]:
    hidden = jax.process_index() != 0
    numbers = range(done + 1, steps + 1)
    return tqdm(numbers, "training", steps, initial=done, unit="step", disable=hidden)


def _pictures(batch: data.Batch) -> data.Batch:
    return {kind: batch[kind] for kind in ("content", "style")}


def _size(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
