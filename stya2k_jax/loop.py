"""The training loop in a directory: steps, checkpoints, curves and pictures, with exact resume."""

import json
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
import optax
from flax import nnx
from tqdm import tqdm

from stya2k_jax import data, training
from stya2k_jax.checkpoint import FOLDER, Checkpoints
from stya2k_jax.errors import UserError
from stya2k_jax.files import write_whole
from stya2k_jax.records import Records

CONFIG_FILE = "config.json"

logger = logging.getLogger(__name__)


class Task(NamedTuple):
    """What a loop trains.

    Attributes:
      name: of the trained network, under which checkpoints keep it.
      network: the trained network, fresh.
      loss_fn: `loss_fn(params, frozen, batch) -> (loss, metrics)`.
      frozen: the numbers that `loss_fn` takes and that are never trained.
      save_pictures: `save_pictures(step, params, frozen, batch)` writes what there is to see.
    """

    name: str
    network: nnx.Module
    loss_fn: Callable
    frozen: dict[str, nnx.State]
    save_pictures: Callable[[int, nnx.State, dict, dict[str, jax.Array]], None]


def check_config(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of every training, before anything is opened or made.

    Raises:
      UserError: a number that makes no sense, or no such schedule.
    """
    for field in ("steps", "epochs", "checkpoint_every", "keep_checkpoints", "images_every"):
        if config[field] < 1:
            raise UserError(f"config.{field}={config[field]} is too small; use at least 1.")
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
    )


def fit(
    config: ml_collections.ConfigDict, workdir: Path, task: Task, sources: list[Sequence]
) -> tuple[int, nnx.State]:
    """Trains until `config.steps`, or until SIGTERM or Ctrl-C, from the newest checkpoint if any.

    Args:
      config: as `configs/a2k.py` gives it.
      workdir: an existing directory; receives `checkpoints/`, `metrics.jsonl`, TensorBoard files
        and `images/`.
      task: what is trained.
      sources: contents and styles, as `data.open_source` gives them.

    Returns:
      The step that was reached and saved, and the trained parameters.

    Raises:
      NotFiniteError: the loss or the gradient is NaN or infinite.
    """
    mesh = training.make_mesh(config.batch_size)
    schedule = schedule_of(config)
    optimizer = training.make_optimizer(schedule, config.clip_norm or None)
    train_step = training.make_train_step(task.loss_fn, optimizer, mesh)
    state = training.new_state(task.network, optimizer, mesh)
    frozen = jax.device_put(task.frozen, jax.sharding.NamedSharding(mesh, jax.P()))
    logger.info(
        "%d x %s; %s parameters trained, %s frozen; %d contents, %d styles; %s",
        *(jax.device_count(), jax.devices()[0].device_kind),
        *(f"{_size(state.params):,}", f"{_size(frozen):,}"),
        *map(len, sources),
        workdir,
    )
    with (
        Checkpoints(workdir, keep=config.keep_checkpoints) as checkpoints,
        Records(workdir, schedule, config.batch_size) as records,
        _stop_signals() as stop,
    ):
        done = checkpoints.latest() or 0
        if done:
            state = _restore(checkpoints, done, task.name, state)
            logger.info("resuming from step %d in %s", done, checkpoints.directory)
        _keep_config(workdir, config)
        batches = data.batches(
            *sources,
            batch_size=config.batch_size,
            load_size=config.load_size,
            crop_size=config.crop_size,
            seed=config.seed,
            start=done,
            workers=config.workers,
        )
        steps = range(done + 1, config.steps + 1)
        for step in tqdm(steps, "training", config.steps, initial=done, unit="step"):
            batch = training.shard_batch(next(batches), mesh)
            state, metrics = train_step(state, frozen, batch)
            # The device has its next step before the numbers of the last one are asked for.
            records.flush()
            records.put(step, metrics)
            last = bool(stop) or step == config.steps
            if last or step % config.checkpoint_every == 0:
                records.flush()  # refuses a step that is not finite
                checkpoints.save(step, **{task.name: state.params, "training": _progress(state)})
            if last or step % config.images_every == 0:
                task.save_pictures(step, state.params, frozen, batch)
            if stop:
                logger.info("stopped by %s", stop[0])
                return step, state.params
    return max(done, config.steps), state.params


def schedule_of(config: ml_collections.ConfigDict) -> optax.Schedule:
    """Returns the learning rate by step; errors as `training.learning_rate_schedule`."""
    return training.learning_rate_schedule(
        config.schedule, config.learning_rate, config.steps, config.epochs
    )


def check_unused(workdir: Path, files: Sequence[str]) -> None:
    """Refuses a directory that holds something else than the run that is to be started in it.

    Raises:
      UserError: names the file that is in the way.
    """
    for name in (*files, FOLDER):
        if (workdir / name).exists():
            raise UserError(
                f"{workdir} holds something else, {name}; choose another --workdir for this run."
            )


def _keep_config(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Writes `config.json`, and says what is not as it was when the run was last started."""
    path, now = workdir / CONFIG_FILE, json.loads(_json(config))
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for field, value in before.items():
        if now.get(field) != value:
            logger.warning("config.%s was %r before, is %r now", field, value, now.get(field))
    write_whole(path, lambda name: Path(name).write_text(_json(config), encoding="utf-8"))


def _restore(
    checkpoints: Checkpoints, step: int, name: str, state: training.TrainState
) -> training.TrainState:
    items = checkpoints.restore(step, **{name: state.params, "training": _progress(state)})
    progress = items["training"]
    return training.TrainState(progress["step"], items[name], progress["opt_state"])


def _progress(state: training.TrainState) -> dict[str, Any]:
    # The input position is the step: batch i is a function of the seed and of i.
    return {"step": state.step, "opt_state": state.opt_state}


@contextmanager
def _stop_signals() -> Iterator[list[str]]:
    """Yields a list that SIGTERM or Ctrl-C put their name into; a second one interrupts at once."""
    caught: list[str] = []

    def note(number: int, _: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(signal.Signals(number).name)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _json(config: ml_collections.ConfigDict) -> str:
    return json.dumps(config.to_dict(), indent=2) + "\n"


def _size(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
