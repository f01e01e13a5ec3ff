"""One training run of a painter in a directory: from a config to a model that can be opened."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import ml_collections
import numpy as np
from flax import nnx

from stya2k_jax.data.opening import open_sources
from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.files.settings import changes
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.encoder import Encoder
from stya2k_jax.network.model import Painter, new_encoder, new_painter
from stya2k_jax.training import devices, loop, objective
from stya2k_jax.training.initial_weights import initialise
from stya2k_jax.training.log import Samples
from stya2k_jax.training.run_directory import open_workdir, settings_of
from stya2k_jax.training.student import HEADS_FILE, load_student
from stya2k_jax.weights.loading import MINI, load
from stya2k_jax.weights.model_files import (
    ARCHITECTURE_FILE,
    ENCODER_FILE,
    PAINTER_FILE,
    load_encoder,
    save_architecture,
    save_encoder,
)

RANDOM = "random"
SURROGATE = "surrogate:"


def train(
    config: ml_collections.ConfigDict, workdir: Path, allow_changes: Sequence[str] = ()
) -> int:
    """Trains a painter; see `training.loop.fit`.

    Args:
      config: as `configs/a2k.py` gives it.
      workdir: receives what `fit` writes, and once the encoder and the architecture, so that the
        directory is a model that `stya2k_jax.load` opens.
      allow_changes: config fields in which a run that goes on may differ from before.

    Returns:
      The step that was reached and saved.

    Raises:
      NotFiniteError: the loss or the gradient is NaN or infinite.
      CheckpointError: a checkpoint cannot be written.
      UserError: a config field that makes no sense, or the directory holds another run.
    """
    workdir = Path(workdir).absolute()
    loop.check_config(config)
    devices.make_mesh(config.batch_size, config.accumulate)  # refuses what does not divide
    collections = open_sources(config)
    encoder, architecture = _encoder(config)
    loss_encoder = _loss_encoder(config)
    painter = _painter(config, architecture)
    weights = objective.LossWeights(
        config.lambda_global,
        config.lambda_a2k,
        config.lambda_content,
        config.loss_norm,
        tuple(config.global_taps),
        tuple(config.a2k_taps),
        config.lambda_pattern,
        config.lambda_pattern_contrast,
        config.lambda_rims,
    )
    loss_fn = objective.make_loss(painter, encoder, loss_encoder, architecture, weights)
    frozen = objective.freeze(encoder, loss_encoder)
    _check_loss(loss_fn, painter, frozen, config)
    settings = settings_of(config, collections, frozen)
    open_workdir(
        workdir,
        settings,
        (PAINTER_FILE, HEADS_FILE, ENCODER_FILE, ARCHITECTURE_FILE),
        allow_changes,
    )
    if jax.process_index() == 0:
        save_encoder(workdir, encoder, architecture)
        save_architecture(workdir, architecture)
    samples = Samples(workdir, architecture, encoder, painter)
    task = loop.Task(
        "painter",
        painter,
        loss_fn,
        frozen,
        lambda step, params, frozen, batch: samples.save(step, params, frozen["encoder"], batch),
    )
    return loop.fit(config, workdir, task, collections)[0]


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
        encoder, architecture = _open_encoder(config.encoder, config.dtype)
    except WeightsError as error:
        raise WeightsError(f"config.encoder: {error}") from error
    if architecture.width != config.width:
        raise UserError(
            f"config.width={config.width}, but the encoder in {config.encoder} has width "
            f"{architecture.width}; set --config.width={architecture.width} or another encoder."
        )
    return encoder, dataclasses.replace(architecture, **fields)


def _open_encoder(name: str, dtype: str) -> tuple[Encoder, Architecture]:
    if name == MINI:
        model = load(MINI, dtype=dtype)
        return model.encoder, model.architecture
    return load_encoder(name, dtype=dtype)


def _loss_encoder(config: ml_collections.ConfigDict) -> nnx.Module | None:
    name = config.loss_encoder
    if name in ("", config.encoder):
        return None
    if name == RANDOM:
        return new_encoder(Architecture(dtype=config.dtype), seed=config.seed + 1)
    try:
        if name.startswith(SURROGATE):
            return load_student(name.removeprefix(SURROGATE), dtype=config.dtype)
        return _open_encoder(name, config.dtype)[0]
    except WeightsError as error:
        raise WeightsError(f"config.loss_encoder: {error}") from error


def _painter(config: ml_collections.ConfigDict, architecture: Architecture) -> Painter:
    if not config.initial:
        fresh = new_painter(architecture, seed=config.seed)
        return initialise(fresh, config.initialisation, config.seed)
    try:
        initial = load(config.initial, dtype=config.dtype)
    except WeightsError as error:
        raise WeightsError(f"config.initial: {error}") from error
    changed = _changed(initial.architecture, architecture)
    if changed:
        raise UserError(
            f"config.initial: the model in {config.initial} has another architecture "
            f"({changed}); set these fields as it has them."
        )
    return initial.painter


def _check_loss(loss_fn, painter: Painter, frozen: dict, config: ml_collections.ConfigDict) -> None:
    """Traces the loss once, so that what it refuses is known before anything is written."""
    shape = (config.batch_size, config.crop_size, config.crop_size, 3)
    batch = {kind: jax.ShapeDtypeStruct(shape, np.uint8) for kind in ("content", "style")}
    jax.eval_shape(loss_fn, nnx.state(painter), frozen, batch)


def _changed(before: Architecture, now: Architecture) -> str:
    """Says which fields differ, or nothing."""
    return "; ".join(changes(before.as_dict(), now.as_dict()))
