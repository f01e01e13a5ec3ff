"""The training loop in a directory: steps, checkpoints, curves and pictures, with exact resume."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np
import optax
from flax import nnx
from jax.experimental import multihost_utils
from tqdm import tqdm

from stya2k_jax import data, training
from stya2k_jax.checkpoint import FOLDER, Checkpoints
from stya2k_jax.collection import Source
from stya2k_jax.errors import UserError
from stya2k_jax.records import Records
from stya2k_jax.results import changes, write_json
from stya2k_jax.stopping import StopRequest, unless_stopped
from stya2k_jax.weights import named_leaves

CONFIG_FILE = "config.json"
# Fields that change no number, so that a run may go on with others.
FREE_FIELDS = ("workers", "checkpoint_every", "keep_checkpoints", "keep_every", "images_every")
FIELD_OF = {"teacher": "encoder"}  # where a network that is not trained is called otherwise

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
    mesh = training.make_mesh(config.batch_size, config.accumulate)
    schedule = schedule_of(config)
    optimizer = training.make_optimizer(schedule, config.clip_norm or None)
    train_step = training.make_train_step(task.loss_fn, optimizer, mesh, config.accumulate)
    state = training.new_state(task.network, optimizer, mesh)
    frozen = training.on_every_device(task.frozen, mesh)
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
        rows = training.local_rows(config.batch_size, mesh)
        batches = data.batches(
            *sources,
            batch_size=config.batch_size,
            load_size=config.load_size,
            crop_size=config.crop_size,
            seed=config.seed,
            start=done,
            workers=config.workers,
            rows=rows,
        )
        batch = next(batches)
        arguments = state, frozen, training.shard_batch(_pictures(batch), mesh)
        logger.info("compiling the training step")
        run_step = unless_stopped(lambda: train_step.lower(*arguments).compile(), stop)
        step = done
        if run_step is None:  # stopped before the first step
            checkpoints.save(step, **_items(task, state))
        for step in _progress_bar(done, config.steps) if run_step else ():
            pictures = training.shard_batch(_pictures(batch), mesh)
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
    """Returns the learning rate by step; errors as `training.learning_rate_schedule`."""
    return training.learning_rate_schedule(
        config.schedule, config.learning_rate, config.steps, config.epochs
    )


def settings_of(
    config: ml_collections.ConfigDict, sources: Sequence[Source], frozen: dict[str, nnx.State]
) -> dict[str, dict[str, Any]]:
    """Returns all that decides over the numbers of a run: the config, and what its paths lead to.

    Args:
      config: of the run.
      sources: contents and styles.
      frozen: the networks that are not trained, by name.
    """
    found = {
        kind: {"pictures": len(source), "fingerprint": source.fingerprint()}
        for kind, source in zip(("content", "style"), sources, strict=True)
    }
    found |= {name: {"fingerprint": _fingerprint(state)} for name, state in frozen.items()}
    return {"config": json.loads(config.to_json_best_effort()), "found": found}


def open_workdir(
    workdir: Path,
    settings: dict[str, dict[str, Any]],
    others: Sequence[str] = (),
    allow_changes: Sequence[str] = (),
) -> None:
    """Makes a run's directory and keeps there how it was started, or compares with that.

    A run that has no checkpoint yet may be started anew with anything.

    Args:
      workdir: the directory.
      settings: of `settings_of`; every process of a run calls this with the same.
      others: names of files that lie in no run's directory before it is a run's.
      allow_changes: config fields in which a run that goes on may differ from before.

    Raises:
      UserError: names every field that would change the numbers and is not in `allow_changes`; or
        the directory holds something else.
    """
    for field in allow_changes:
        if field not in settings["config"]:
            raise UserError(f"--allow_changes={field}: there is no such config field.")
    _check_alike(settings)
    path = workdir / CONFIG_FILE
    if not path.is_file():
        for name in (*others, FOLDER):
            if (workdir / name).exists():
                raise UserError(
                    f"{workdir} holds something else, {name}, and no {CONFIG_FILE}; choose another "
                    "--workdir for this run."
                )
    elif has_checkpoints(workdir):
        changed = dict(_differences(_read_settings(path), settings))
        for field in allow_changes:
            if field in changed and jax.process_index() == 0:
                logger.warning("%s, as --allow_changes says", changed[field])
            changed.pop(field, None)
        if changed:
            raise UserError(
                f"{workdir} holds a run that was started otherwise:\n  "
                + "\n  ".join(changed.values())
                + "\nStart it as before, choose another --workdir, or go on all the same with "
                f"--allow_changes={','.join(changed)}."
            )
    if jax.process_count() > 1:  # the first process writes only when all have compared
        multihost_utils.sync_global_devices("compared")
    if jax.process_index() == 0:
        write_json(path, settings)


def _check_alike(settings: dict[str, dict[str, Any]]) -> None:
    if jax.process_count() == 1:
        return
    text = json.dumps(settings, sort_keys=True)
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    if (multihost_utils.process_allgather(digest) != digest).any():
        raise UserError(
            "The processes of this run were started with different configs, pictures or networks; "
            "give all of them the same."
        )


def _read_settings(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {part: found[part] for part in ("config", "found")}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged, or of an earlier version ({error!r}); put back the file of this "
            "run, or choose another --workdir."
        ) from error


def has_checkpoints(workdir: Path) -> bool:
    """Tells whether a run has saved anything, whole or not."""
    return any(path.name.isdigit() for path in (workdir / FOLDER).glob("*"))


def _differences(before: dict, now: dict) -> Iterator[tuple[str, str]]:
    """Yields the fields that differ, and what to say of them."""
    for field in {**before["config"], **now["config"]}:
        if field not in FREE_FIELDS:
            for line in changes(*({field: part["config"].get(field)} for part in (before, now))):
                yield field, f"config.{line}"
    for name in {**before["found"], **now["found"]}:
        was, field = before["found"].get(name), FIELD_OF.get(name, name)
        if was != now["found"].get(name):
            lines = changes({field: was}, {field: now["found"].get(name)})
            yield field, "; ".join(f"config.{line}" for line in lines)


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


def _fingerprint(tree: Any) -> str:
    digest = hashlib.sha256()
    for name, leaf in named_leaves(tree):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(leaf))
    return digest.hexdigest()


def _size(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
