"""The training loop in a directory: steps, checkpoints, curves and pictures, with exact resume."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx
from tqdm import tqdm

from stya2k_jax.data import batches as data
from stya2k_jax.data.source import Source
from stya2k_jax.errors import UserError
from stya2k_jax.stopping import StopRequest, unless_stopped
from stya2k_jax.training import devices
from stya2k_jax.training import step as training
from stya2k_jax.training.log import Records
from stya2k_jax.weights.run_checkpoints import Checkpoints

logger = logging.getLogger(__name__)


class Task(NamedTuple):
    """What a loop trains.

    Attributes:
      name: of the trained network, under which checkpoints keep it.
      network: the trained network, fresh.
      loss_fn: `loss_fn(params, frozen, batch) -> (loss, metrics)`.
      frozen: the numbers that `loss_fn` takes and that are never trained.
      save_pictures: `save_pictures(step, params, frozen, batch)` writes what there is to see, of
        this process's rows of the batch.
    """

    name: str
    network: nnx.Module
    loss_fn: Callable
    frozen: dict[str, nnx.State]
    save_pictures: Callable[[int, nnx.State, dict, data.Batch], None]


def check_config(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of every training, before anything is opened or made.

    Raises:
      UserError: a number that makes no sense, or no such schedule.
    """
    for field in (
        "steps",
        "epochs",
        "checkpoint_every",
        "keep_checkpoints",
        "images_every",
        "accumulate",
    ):
        if config[field] < 1:
            raise UserError(f"config.{field}={config[field]} is too small; use at least 1.")
    if config.keep_every < 0:
        raise UserError(f"config.keep_every={config.keep_every} is below 0; use 0 to keep no more.")
    if config.warmup < 0:
        raise UserError(f"config.warmup={config.warmup} is below 0; use 0 for the full rate.")
    if not config.learning_rate > 0:
        raise UserError(f"config.learning_rate={config.learning_rate} must be above 0.")
    if config.clip_norm < 0:
        raise UserError(f"config.clip_norm={config.clip_norm} is below 0; use 0 for no clipping.")
    schedule_of(config)
    data.check_options(
        load_size=config.load_size,
        crop_size=config.crop_size,
        seed=config.seed,
        workers=config.workers,
        recolor=config.recolor,
    )


def fit(
    config: ml_collections.ConfigDict,
    workdir: Path,
    task: Task,
    sources: list[Source],
) -> tuple[int, nnx.State]:
    """Trains until `config.steps`, or until SIGTERM or Ctrl-C, from the newest checkpoint if any.

    Args:
      config: as `configs/a2k.py` gives it.
      workdir: a directory of `open_workdir`; receives `checkpoints/`, `metrics.jsonl`, TensorBoard
        files and `images/`.
      task: what is trained.
      sources: contents and styles, as `sources.open_source` gives them.

    Returns:
      The step that was reached and saved, and the trained parameters.

    Raises:
      NotFiniteError: the loss or the gradient is NaN or infinite.
      CheckpointError: a checkpoint cannot be written; the one before is whole.
    """
    mesh = devices.make_mesh(config.batch_size, config.accumulate)
    schedule = schedule_of(config)
    optimizer = training.make_optimizer(schedule, config.clip_norm or None)
    train_step = training.make_train_step(task.loss_fn, optimizer, mesh, config.accumulate)
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
        Checkpoints(
            workdir, keep=config.keep_checkpoints, keep_every=config.keep_every or None
        ) as checkpoints,
        Records(workdir, schedule, config.batch_size) as records,
    ):
        done = checkpoints.latest()
        if done is not None:
            state = _restore(checkpoints, done, task.name, state)
            logger.info("resuming from step %d in %s", done, checkpoints.directory)
        done = done or 0
        if done >= config.steps:
            return done, state.params
        rows = devices.local_rows(config.batch_size, mesh)
        batches = data.batches(
            *sources,
            batch_size=config.batch_size,
            load_size=config.load_size,
            crop_size=config.crop_size,
            seed=config.seed,
            start=done,
            workers=config.workers,
            rows=rows,
            recolor=config.recolor,
        )
        batch = next(batches)
        arguments = state, frozen, devices.shard_batch(_pictures(batch), mesh)
        logger.info("compiling the training step")
        run_step = unless_stopped(lambda: train_step.lower(*arguments).compile(), stop)
        step = done
        if run_step is None:  # stopped before the first step
            checkpoints.save(step, **_items(task, state))
        for step in _progress_bar(done, config.steps) if run_step else ():
            pictures = devices.shard_batch(_pictures(batch), mesh)
            state, metrics = run_step(state, frozen, pictures)
            # The device has its next step before the numbers of the last one are asked for.
            records.flush()
            records.put(step, metrics)
            checkpoints.check()
            last = stop.now() or step == config.steps
            if last or step % config.checkpoint_every == 0:
                records.flush()  # refuses a step that is not finite
                checkpoints.save(step, **_items(task, state))
            if not stop.signal and (last or step % config.images_every == 0):
                task.save_pictures(step, state.params, frozen, batch)
            if last:
                break
            batch = next(batches)
        if stop.signal:
            logger.info("stopped by %s", stop.signal)
    return step, state.params


def schedule_of(config: ml_collections.ConfigDict) -> optax.Schedule:
    """Returns the learning rate by step; errors as `training.learning_rate_schedule`.

    In the first `config.warmup` steps it is multiplied by a factor that grows linearly to 1.
    """
    rate = training.learning_rate_schedule(
        config.schedule, config.learning_rate, config.steps, config.epochs
    )
    if not config.warmup:
        return rate
    return lambda step: rate(step) * jnp.minimum(1, (step + 1) / config.warmup)


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
