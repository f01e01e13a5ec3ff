"""One training run in a directory: from a config to checkpoints, curves and sample pictures."""

import json
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import ml_collections
from tqdm import tqdm

from stya2k_jax import data, training
from stya2k_jax.architecture import Architecture
from stya2k_jax.checkpoint import Checkpoints
from stya2k_jax.encoder import Encoder
from stya2k_jax.errors import UserError
from stya2k_jax.files import write_whole
from stya2k_jax.records import Records, Samples
from stya2k_jax.weights import (
    ARCHITECTURE_FILE,
    WeightsError,
    load_architecture,
    load_encoder,
    new_encoder,
    new_painter,
    save_architecture,
    save_encoder,
)

RANDOM = "random"

logger = logging.getLogger(__name__)


def train(config: ml_collections.ConfigDict, workdir: Path) -> int:
    """Trains until `config.steps`, or until SIGTERM or Ctrl-C, from the newest checkpoint if any.

    Args:
      config: as `configs/a2k.py` gives it.
      workdir: receives `checkpoints/`, `metrics.jsonl`, TensorBoard files, `images/`, and once the
        encoder and the architecture, so that the directory is a model that `stya2k_jax.load` opens.

    Returns:
      The step that was reached and saved.

    Raises:
      NotFiniteError: the loss or the gradient is NaN or infinite.
      UserError: a config field that makes no sense, or the directory holds another network's run.
    """
    workdir = Path(workdir).absolute()

    ### Input
    _check(config)
    mesh = training.make_mesh(config.batch_size)
    sources = [data.open_source(config[kind], kind) for kind in ("content", "style")]

    ### Networks
    encoder, architecture = _encoder(config)
    loss_encoder = _loss_encoder(config)
    painter = new_painter(architecture, seed=config.seed)
    weights = training.LossWeights(
        config.lambda_global, config.lambda_a2k, config.lambda_content, config.loss_norm
    )
    schedule = training.learning_rate_schedule(
        config.schedule, config.learning_rate, config.steps, config.epochs
    )
    optimizer = training.make_optimizer(schedule)
    loss_fn = training.make_loss(painter, encoder, loss_encoder, architecture, weights)
    train_step = training.make_train_step(loss_fn, optimizer, mesh)
    state = training.new_state(painter, optimizer, mesh)
    frozen = training.freeze(encoder, loss_encoder)
    frozen = jax.device_put(frozen, jax.sharding.NamedSharding(mesh, jax.P()))

    ### Directory
    _open_workdir(workdir, config, encoder, architecture)
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
            state = _restore(checkpoints, done, state)
            logger.info("resuming from step %d in %s", done, checkpoints.directory)
        batches = data.batches(
            *sources,
            batch_size=config.batch_size,
            load_size=config.load_size,
            crop_size=config.crop_size,
            seed=config.seed,
            start=done,
            workers=config.workers,
        )
        samples = Samples(workdir, architecture, encoder, painter)

        ### Loop
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
                items = dict(painter=state.params, training=_progress(state))
                checkpoints.save(step, **items)
            if last or step % config.images_every == 0:
                samples.save(step, state.params, frozen["encoder"], batch)
            if stop:
                logger.info("stopped by %s", stop[0])
                return step
    return max(done, config.steps)


def _check(config: ml_collections.ConfigDict) -> None:
    """Raises a UserError for numbers that make no sense, before anything is opened or made."""
    for field in ("steps", "epochs", "checkpoint_every", "keep_checkpoints", "images_every"):
        if config[field] < 1:
            raise UserError(f"config.{field}={config[field]} is too small; use at least 1.")
    if not config.learning_rate > 0:
        raise UserError(f"config.learning_rate={config.learning_rate} must be above 0.")
    data.check_options(
        load_size=config.load_size,
        crop_size=config.crop_size,
        seed=config.seed,
        workers=config.workers,
    )


def _encoder(config: ml_collections.ConfigDict) -> tuple[Encoder, Architecture]:
    fields = dict(
        variant=config.variant,
        heads=config.heads,
        block_sizes=tuple(config.block_sizes),
        dtype=config.dtype,
    )
    if config.encoder == RANDOM:
        architecture = Architecture(width=config.width, **fields)
        return new_encoder(architecture, seed=config.seed), architecture
    try:
        encoder, architecture = load_encoder(config.encoder, **fields)
    except WeightsError as error:
        raise WeightsError(f"config.encoder: {error}") from error
    if architecture.width != config.width:
        raise UserError(
            f"config.width={config.width}, but the encoder in {config.encoder} has width "
            f"{architecture.width}; set --config.width={architecture.width} or another encoder."
        )
    return encoder, architecture


def _loss_encoder(config: ml_collections.ConfigDict) -> Encoder | None:
    if config.loss_encoder in ("", config.encoder):
        return None
    if config.loss_encoder == RANDOM:
        return new_encoder(Architecture(dtype=config.dtype), seed=config.seed + 1)
    try:
        return load_encoder(config.loss_encoder, dtype=config.dtype)[0]
    except WeightsError as error:
        raise WeightsError(f"config.loss_encoder: {error}") from error


def _open_workdir(
    workdir: Path,
    config: ml_collections.ConfigDict,
    encoder: Encoder,
    architecture: Architecture,
) -> None:
    """Makes the directory a model without a painter yet, or checks that it is this model's."""
    if (workdir / ARCHITECTURE_FILE).is_file():
        before, now = load_architecture(workdir).as_dict(), architecture.as_dict()
        changed = [f"{k}: {before[k]} before, {now[k]} now" for k in now if before[k] != now[k]]
        if changed:
            raise UserError(
                f"{workdir} holds a run of another architecture ({'; '.join(changed)}); choose "
                "another --workdir or the architecture it was started with."
            )
    else:
        save_encoder(workdir, encoder, architecture)
        save_architecture(workdir, architecture)
    write_whole(workdir / "config.json", lambda name: Path(name).write_text(_json(config)))


def _restore(
    checkpoints: Checkpoints, step: int, state: training.TrainState
) -> training.TrainState:
    items = checkpoints.restore(step, painter=state.params, training=_progress(state))
    progress = items["training"]
    return training.TrainState(progress["step"], items["painter"], progress["opt_state"])


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
