"""Trains a painter in a directory: from a config to a model that can be loaded."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import jax
import ml_collections
import numpy as np
from flax import nnx

from stya2k_jax.data.batches import BatchOptions
from stya2k_jax.errors import UserError
from stya2k_jax.files.settings import changes
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.encoder import Encoder
from stya2k_jax.network.model import Painter, new_encoder, new_painter
from stya2k_jax.training import loop, objective
from stya2k_jax.training.initial_weights import initialize
from stya2k_jax.training.log import Samples
from stya2k_jax.training.recipe import NetworkOptions, named_in_errors
from stya2k_jax.training.student import load_student
from stya2k_jax.weights.loading import MINI, load
from stya2k_jax.weights.model_files import load_encoder, save_architecture, save_encoder

RANDOM = "random"
SURROGATE = "surrogate:"


def train(
    config: ml_collections.ConfigDict, workdir: Path, allow_changes: Sequence[str] = ()
) -> int:
    """Trains a painter; see `training.loop.fit`.

    Args:
      config: as `configs/a2k.py` gives it.
      workdir: receives what `fit` writes, the encoder and the architecture. So the directory is a
        model that `stya2k_jax.load` loads.
      allow_changes: config fields in which a run that goes on may differ from before.

    Returns:
      The step that was reached and saved.

    Raises:
      NotFiniteError: the loss or the gradient is NaN or infinite.
      CheckpointError: a checkpoint cannot be written.
      UserError: a config field that makes no sense, or the directory holds another run.
    """
    run = loop.new_run(config, workdir)
    options, weights = run.recipe.network, run.recipe.weights
    encoder, architecture = _encoder(options)
    loss_encoder = _loss_encoder(options)
    painter = _painter(options, architecture)
    loss_fn = objective.make_loss(painter, encoder, loss_encoder, architecture, weights)
    frozen = objective.freeze(encoder, loss_encoder)
    _check_loss(loss_fn, painter, frozen, run.recipe.input)
    networks = {"loss_encoder": frozen["encoder"], **frozen}
    if options.initial:
        networks["initial"] = nnx.state(painter)
    with loop.begun(run, networks, allow_changes) as checkpoints:
        if jax.process_index() == 0:
            save_encoder(run.workdir, encoder, architecture)
            save_architecture(run.workdir, architecture)
        samples = Samples(run.workdir, architecture, encoder, painter)
        task = loop.Task("painter", painter, loss_fn, frozen, samples.save)
        return loop.fit(run, checkpoints, task)[0]


def _encoder(options: NetworkOptions) -> tuple[Encoder, Architecture]:
    fields = {name: getattr(options, name) for name in ("variant", "heads", "block_sizes", "dtype")}
    if options.encoder == RANDOM:
        architecture = Architecture(width=options.width, **fields)
        return new_encoder(architecture, seed=options.seed), architecture
    with named_in_errors("encoder"):
        encoder, architecture = _open_encoder(options.encoder, options.dtype)
    if architecture.width != options.width:
        raise UserError(
            f"config.width={options.width}, but the encoder in {options.encoder} has width "
            f"{architecture.width}; set --config.width={architecture.width} or another encoder."
        )
    return encoder, dataclasses.replace(architecture, **fields)


def _open_encoder(name: str, dtype: str) -> tuple[Encoder, Architecture]:
    if name == MINI:
        model = load(MINI, dtype=dtype)
        return model.encoder, model.architecture
    return load_encoder(name, dtype=dtype)


def _loss_encoder(options: NetworkOptions) -> nnx.Module | None:
    name = options.loss_encoder
    if not name or os.path.realpath(name) == os.path.realpath(options.encoder):
        return None
    if name == RANDOM:
        return new_encoder(Architecture(dtype=options.dtype), seed=options.seed + 1)
    with named_in_errors("loss_encoder"):
        if name.startswith(SURROGATE):
            return load_student(name.removeprefix(SURROGATE), dtype=options.dtype)
        return _open_encoder(name, options.dtype)[0]


def _painter(options: NetworkOptions, architecture: Architecture) -> Painter:
    if not options.initial:
        fresh = new_painter(architecture, seed=options.seed)
        return initialize(fresh, options.initialization, options.seed)
    with named_in_errors("initial"):
        initial = load(options.initial, dtype=options.dtype)
    changed = "; ".join(changes(initial.architecture.as_dict(), architecture.as_dict()))
    if changed:
        raise UserError(
            f"config.initial: the model in {options.initial} has another architecture "
            f"({changed}); set these fields as it has them."
        )
    return initial.painter


def _check_loss(loss_fn, painter: Painter, frozen: dict, options: BatchOptions) -> None:
    """Traces the loss once, so that it raises before anything is written."""
    shape = (options.batch_size, options.crop_size, options.crop_size, 3)
    batch = {kind: jax.ShapeDtypeStruct(shape, np.uint8) for kind in ("content", "style")}
    jax.eval_shape(loss_fn, nnx.state(painter), frozen, batch)
