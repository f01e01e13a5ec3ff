"""A small encoder that learns its taps from VGG-19's (knowledge distillation)."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils

from stya2k_jax.conversion.normalized_vgg import normalize_encoder
from stya2k_jax.data.opening import KINDS
from stya2k_jax.data.source import Source
from stya2k_jax.data.unreadable import read_or_next
from stya2k_jax.errors import UserError
from stya2k_jax.network.architecture import TAPS, Architecture
from stya2k_jax.network.encoder import CONVOLUTIONS, Encoder
from stya2k_jax.pictures.arrays import to_float
from stya2k_jax.pictures.resizing import crop_square
from stya2k_jax.training import devices, loop, objective
from stya2k_jax.training.narrow_encoder import narrow_encoder
from stya2k_jax.training.recipe import named_in_errors
from stya2k_jax.training.student import HEADS_FILE, Student, new_student
from stya2k_jax.weights.model_files import load_encoder, save_encoder, save_module
from stya2k_jax.weights.parameters import named_arrays, with_arrays

FITTED_OVER = 40  # pictures of each folder; the student is fitted to them at the start
FLOOR = 0.2  # times a layer's median: channels below it stay weaker than the rest
NORMALIZED_OVER = 128  # contents, over which the mean activation becomes 1
NORMALIZED_PX = 256  # side of their squares


def make_loss(student: Student, teacher: Encoder):
    """Builds `loss_fn(params, frozen, batch)`: mean squared errors, summed over the five taps.

    It shows contents and styles of the batch.
    """
    student_graph, teacher_graph = nnx.graphdef(student), nnx.graphdef(teacher)

    def loss_fn(params: nnx.State, frozen: dict, batch: dict[str, jax.Array]):
        pictures = jnp.concatenate(
            [objective.as_float(batch[name]) for name in ("content", "style")]
        )
        targets = nnx.merge(teacher_graph, frozen["teacher"])(pictures)
        taps = nnx.merge(student_graph, params)(pictures)
        terms = {f"loss_{tap}": jnp.mean((taps[tap] - targets[tap]) ** 2) for tap in TAPS}
        loss = sum(terms.values())
        return loss, {"loss": loss, **terms}

    return loss_fn


def distil(
    config: ml_collections.ConfigDict, workdir: Path, allow_changes: Sequence[str] = ()
) -> int:
    """Trains an encoder of `config.width` to give the features of `config.encoder`, the teacher.

    Args:
      config: as `configs/encoder_mini.py` gives it.
      workdir: receives what `loop.fit` writes and, at the end, the heads and
        `encoder.safetensors`. The encoder is rescaled: every channel that is not weak has a mean
        activation of 1 over contents.
      allow_changes: config fields in which a run that goes on may differ from before.

    Returns:
      The step that was reached and saved.

    Raises:
      UserError: a config field that makes no sense, or no teacher.
    """
    run = loop.new_run(config, workdir)
    options, sources = run.recipe.network, run.sources
    with named_in_errors("encoder"):
        teacher, teacher_architecture = load_encoder(options.encoder)
    architecture = Architecture(width=options.width, pooling=teacher_architecture.pooling)
    if architecture.width > teacher_architecture.width:
        raise UserError(
            f"config.width={options.width} is wider than the teacher, "
            f"{teacher_architecture.width}; a student has fewer channels."
        )
    frozen = {"teacher": nnx.state(teacher)}
    with loop.begun(run, {"encoder": frozen["teacher"]}, allow_changes) as checkpoints:
        if checkpoints.latest() is None:
            student = start_student(architecture, teacher, teacher_architecture, sources)
        else:  # its numbers come from there
            student = new_student(architecture, teacher_architecture, options.seed)
        loss_fn = make_loss(student, teacher)
        # Features are not to be looked at.
        task = loop.Task("student", student, loss_fn, frozen, lambda *_: None)
        step, params = loop.fit(run, checkpoints, task)
        if step >= run.recipe.optimizer.steps and jax.process_index() == 0:
            student = rescaled(
                nnx.merge(nnx.graphdef(student), devices.on_one_device(params)),
                _some(sources[0], "content", NORMALIZED_OVER),
            )
            save_module(run.workdir / HEADS_FILE, student.heads, teacher_architecture)
            save_encoder(run.workdir, student.encoder, architecture)
        if jax.process_count() > 1:  # the others' leaving would end the one that writes
            multihost_utils.sync_global_devices("written")
    return step


def start_student(
    architecture: Architecture,
    teacher: Encoder,
    teacher_architecture: Architecture,
    sources: Sequence[Source],
) -> Student:
    """Returns a student fitted to the teacher layer by layer, on pictures of the sources.

    Args:
      architecture: of the student.
      teacher: the wider encoder.
      teacher_architecture: its architecture.
      sources: contents and styles, as `open_source` gives them.
    """
    kinds = zip(sources, KINDS, strict=True)
    pictures = np.stack([x for source, kind in kinds for x in _some(source, kind, FITTED_OVER)])
    student = new_student(architecture, teacher_architecture, None)
    student.encoder, heads = narrow_encoder(teacher, architecture, pictures)
    student.heads = with_arrays(student.heads, heads, "the fitted heads")
    return student


def rescaled(student: Student, pictures: Iterable[np.ndarray]) -> Student:
    """Rescales the encoder's channels to a mean activation of 1, weak ones to less.

    The heads undo this, so that the estimates stay.
    """
    encoder, factors = normalize_encoder(student.encoder, pictures, FLOOR)
    arrays = named_arrays(student.heads)
    for tap, conv in zip(TAPS, [n for n in CONVOLUTIONS if n.endswith("_1")], strict=True):
        arrays[f"{tap}.kernel"] = arrays[f"{tap}.kernel"] * factors[conv][:, None]
    student.encoder, student.heads = encoder, with_arrays(student.heads, arrays, "the heads")
    return student


def _some(source: Source, kind: str, count: int) -> Iterable[np.ndarray]:
    for i in np.linspace(0, len(source) - 1, min(len(source), count)).astype(int):
        image, _ = read_or_next(source, int(i), kind, source.__getitem__)
        yield to_float(crop_square(image, NORMALIZED_PX))
