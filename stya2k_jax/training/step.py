"""The training step: what is learned, the learning rate, the loss and its gradient."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding

from stya2k_jax.errors import UserError
from stya2k_jax.network.architecture import MATCHED_TAPS, Architecture
from stya2k_jax.network.encoder import Encoder
from stya2k_jax.network.model import Painter, encode_both
from stya2k_jax.training import losses

SCHEDULES = ("code", "paper", "constant")


class TrainState(NamedTuple):
    """Everything that a step changes; the encoder is not in here."""

    step: jax.Array
    params: nnx.State
    opt_state: optax.OptState


class LossWeights(NamedTuple):
    """The factors of Eq. 18 and of the content term, the norm of Eq. 16-17, the taps they sum."""

    lambda_global: float = 10.0
    lambda_a2k: float = 1.25
    lambda_content: float = 0.0
    norm: str = "mse"
    global_taps: tuple[str, ...] = losses.GLOBAL_TAPS
    a2k_taps: tuple[str, ...] = MATCHED_TAPS


def learning_rate_schedule(
    name: str, learning_rate: float, steps: int, epochs: int = 5
) -> optax.Schedule:
    """Returns the learning rate by step; the steps are divided into equal epochs.

    Args:
      name: `"code"`, as in the release: two epochs at full rate, then x0.3 after each epoch.
        `"paper"`: two epochs at full rate, then linearly to 0. `"constant"`.
      learning_rate: the full rate.
      steps: of the whole training.
      epochs: into how many parts the steps are divided.

    Raises:
      UserError: no such schedule.
    """
    if name not in SCHEDULES:
        raise UserError(f"schedule={name!r} does not exist; choose one of {', '.join(SCHEDULES)}.")

    def rate(step):
        epoch = step * epochs / steps
        if name == "code":
            return learning_rate * 0.3 ** jnp.maximum(jnp.floor(epoch) - 1, 0)
        if name == "paper":
            decay = (epochs - epoch) / max(epochs - 2, 1)
            return learning_rate * jnp.clip(decay, 0, 1)
        return jnp.full_like(epoch, learning_rate)

    return lambda step: rate(jnp.asarray(step, jnp.float32))


def make_optimizer(
    schedule: optax.Schedule | float, clip_norm: float | None = None
) -> optax.GradientTransformation:
    """Returns Adam as in the release: beta 0.9 and 0.999, epsilon 1e-8, no weight decay.

    Gradients longer than `clip_norm` are shortened to it (None: never, as in the release).
    """
    # A chain in any case: its state has the same names, so that a run may go on with another norm.
    clip = optax.identity() if clip_norm is None else optax.clip_by_global_norm(clip_norm)
    return optax.chain(clip, optax.adam(schedule, b1=0.9, b2=0.999, eps=1e-8))


def make_loss(
    painter: Painter,
    encoder: Encoder,
    loss_encoder: nnx.Module | None,
    architecture: Architecture,
    weights: LossWeights,
):
    """Builds `loss_fn(params, frozen, batch) -> (loss, metrics)` (Eq. 18).

    Only the modules' structure is used; their numbers come in as arguments.

    Args:
      painter: what is learned.
      encoder: gives the features that the painter works on.
      loss_encoder: gives the features that the loss compares; None for `encoder`, which is then
        run once for both.
      architecture: gives the block sides.
      weights: of the terms.

    Returns:
      The loss function. `frozen` is `freeze(encoder, loss_encoder)`; `batch` holds `content` and
      `style`, uint8 `[b, H, W, 3]` or floats in [0, 1]. The metrics are the weighted terms.
    """
    painter_graph = nnx.graphdef(painter)
    encoder_graph = nnx.graphdef(encoder)
    loss_graph = None if loss_encoder is None else nnx.graphdef(loss_encoder)

    def loss_fn(params: nnx.State, frozen: dict, batch: dict[str, jax.Array]):
        content, style = as_float(batch["content"]), as_float(batch["style"])
        encode = nnx.merge(encoder_graph, frozen["encoder"])
        paint = nnx.merge(painter_graph, params)
        taps_c, taps_s = encode_both(encode, content, style)
        stylized = paint(taps_c, paint.keys(taps_s), *content.shape[1:3])
        if loss_graph is not None:
            encode = nnx.merge(loss_graph, frozen["loss_encoder"])
            taps_c, taps_s = encode_both(encode, content, style)
        terms = loss_terms(encode(stylized), taps_c, taps_s, architecture.block_sizes, weights)
        loss = sum(terms.values())
        return loss, {"loss": loss, **terms}

    return loss_fn


def loss_terms(
    stylized: losses.Taps,
    content: losses.Taps,
    style: losses.Taps,
    block_sizes: tuple[int, ...],
    weights: LossWeights,
) -> dict[str, jax.Array]:
    """Returns the weighted terms of the loss by name; a term of weight 0 is not computed.

    Raises:
      UserError: all weights are 0.
    """
    if not (weights.lambda_global or weights.lambda_a2k or weights.lambda_content):
        raise UserError(
            "lambda_global, lambda_a2k and lambda_content are all 0: there is nothing to train; "
            "set one of them."
        )
    terms = {"loss_global": jnp.zeros(()), "loss_a2k": jnp.zeros(())}
    if weights.lambda_global:
        value = losses.global_style_loss(stylized, style, weights.norm, weights.global_taps)
        terms["loss_global"] = weights.lambda_global * value
    if weights.lambda_a2k:
        targets = losses.a2k_targets(content, style, block_sizes, weights.a2k_taps)
        value = losses.a2k_loss(stylized, targets, weights.norm)
        terms["loss_a2k"] = weights.lambda_a2k * value
    if weights.lambda_content:
        terms["loss_content"] = weights.lambda_content * losses.content_loss(stylized, content)
    return terms


def freeze(encoder: Encoder, loss_encoder: nnx.Module | None) -> dict[str, nnx.State]:
    """Returns the numbers of the networks that are never trained, as the loss takes them."""
    frozen = {"encoder": nnx.state(encoder)}
    if loss_encoder is not None:
        frozen["loss_encoder"] = nnx.state(loss_encoder)
    return frozen


def as_float(pictures: jax.Array) -> jax.Array:
    """Returns uint8 pictures as float32 in [0, 1], and floats as they are."""
    return pictures.astype(jnp.float32) / 255 if pictures.dtype == jnp.uint8 else pictures


def new_state(
    network: nnx.Module, optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """Returns the state before the first step, the same on every device of the mesh.

    With several processes it is that of the first: others may have rounded differently.
    """
    params = jax.tree.map(jnp.copy, nnx.state(network))  # a step donates its state
    if jax.process_count() > 1:
        params = multihost_utils.broadcast_one_to_all(params)
    state = TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))
    return on_every_device(state, mesh)


def on_every_device(tree, mesh: Mesh):
    """Returns a tree of arrays that every device of the mesh holds, the same in every process."""
    everywhere = NamedSharding(mesh, jax.P())
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(everywhere, np.asarray(x)), tree
    )


def on_one_device(tree):
    """Returns a tree of `on_every_device` as this process alone holds it, to work on by itself."""
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def make_mesh(batch_size: int, accumulate: int = 1) -> Mesh:
    """Returns a mesh of all devices of all processes over `"data"`, along which a batch is split.

    Raises:
      UserError: the batch does not divide among the devices and the parts that they accumulate.
    """
    devices = jax.device_count()
    if batch_size < 1 or accumulate < 1 or batch_size % (devices * accumulate):
        parts = f" times accumulate={accumulate}" if accumulate != 1 else ""
        raise UserError(
            f"batch_size={batch_size} does not divide among {devices} devices{parts}; "
            f"use a multiple of {devices * max(accumulate, 1)}."
        )
    return jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))


def local_rows(batch_size: int, mesh: Mesh) -> list[int]:
    """Returns which rows of a batch lie on the devices of this process, in order."""
    placed = _by_picture(mesh).addressable_devices_indices_map((batch_size,))
    return sorted({row for (rows,) in placed.values() for row in range(batch_size)[rows]})


def shard_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Puts this process's rows of a batch, `local_rows`, on its devices; returns whole batches."""
    sharding = _by_picture(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()
    }


def make_train_step(
    loss_fn, optimizer: optax.GradientTransformation, mesh: Mesh, accumulate: int = 1
):
    """Builds `train_step(state, frozen, batch) -> (state, metrics)`, batches split over `mesh`.

    `state` is donated: its buffers are reused, so keep only the one returned.

    Args:
      loss_fn: `loss_fn(params, frozen, batch) -> (loss, metrics)`, means over the batch.
      optimizer: changes the parameters.
      mesh: of `make_mesh`.
      accumulate: into how many parts each device's pictures are divided; gradients and metrics are
        the means over the parts, which are worked on one after the other in the memory of one.
    """
    everywhere, by_picture = NamedSharding(mesh, jax.P()), _by_picture(mesh)
    shardings = dict(in_shardings=(everywhere, everywhere, by_picture), out_shardings=everywhere)
    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)

    def gradient(params: nnx.State, frozen: dict, batch: dict[str, jax.Array]):
        (_, metrics), grads = grad_fn(params, frozen, batch)
        return metrics, grads

    def mean_gradient(params: nnx.State, frozen: dict, batch: dict[str, jax.Array]):
        parts = jax.tree.map(partial(_parts, count=accumulate, mesh=mesh), batch)
        first = jax.tree.map(lambda x: x[0], parts)
        shapes = jax.eval_shape(gradient, params, frozen, first)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

        def add(total, part):
            return jax.tree.map(jnp.add, total, gradient(params, frozen, part)), None

        total, _ = jax.lax.scan(add, zeros, parts)
        return jax.tree.map(lambda x: x / accumulate, total)

    @partial(jax.jit, donate_argnums=(0,), **shardings)
    def train_step(state: TrainState, frozen: dict, batch: dict[str, jax.Array]):
        work_out = gradient if accumulate == 1 else mean_gradient
        metrics, grads = work_out(state.params, frozen, batch)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics |= {"grad_norm": optax.tree.norm(grads)}
        return TrainState(state.step + 1, params, opt_state), metrics

    return train_step


def _by_picture(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, jax.P("data"))


def _parts(x: jax.Array, count: int, mesh: Mesh) -> jax.Array:
    """Divides a batch `[b, ...]` into `[count, b / count, ...]` without moving a picture."""
    devices = mesh.shape["data"]
    x = x.reshape(devices, count, -1, *x.shape[1:]).swapaxes(0, 1)
    x = x.reshape(count, -1, *x.shape[3:])
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, jax.P(None, "data")))
