"""The training step: state, learning rate, optimizer, gradient."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding

from stya2k_jax.errors import UserError
from stya2k_jax.training.devices import by_picture, on_every_device, split_into_parts

SCHEDULES = ("code", "paper", "constant")


class TrainState(NamedTuple):
    """Everything that a step changes. The encoder is not part of it."""

    step: jax.Array
    params: nnx.State
    opt_state: optax.OptState


def learning_rate_schedule(
    name: str, learning_rate: float, steps: int, epochs: int = 5, warmup: int = 0
) -> optax.Schedule:
    """Returns the learning rate by step; the steps are divided into equal epochs.

    Args:
      name: `"code"`, as in the release: two epochs at full rate, then x0.3 after each epoch.
        `"paper"`: two epochs at full rate, then linearly to 0. `"constant"`.
      learning_rate: the full rate.
      steps: number of steps of the whole training.
      epochs: number of epochs.
      warmup: number of first steps in which the rate is multiplied by a factor that grows linearly
        to 1.

    Raises:
      UserError: no such schedule.
    """
    if warmup:
        rate = learning_rate_schedule(name, learning_rate, steps, epochs)
        return lambda step: rate(step) * jnp.minimum(1, (step + 1) / warmup)
    if name not in SCHEDULES:
        raise UserError(f"schedule={name!r} does not exist; choose one of {', '.join(SCHEDULES)}.")

    if name == "constant":
        return optax.constant_schedule(learning_rate)
    if name == "code":
        rates = [learning_rate * 0.3**i for i in range(max(epochs - 1, 1))]
        boundaries = [_first_step(epoch, steps, epochs) for epoch in range(2, epochs)]
        return optax.join_schedules([*map(optax.constant_schedule, rates)], boundaries)
    full = optax.constant_schedule(learning_rate)
    falling = max(epochs - 2, 1)  # epochs
    start = _first_step(epochs - falling, steps, epochs)
    if start >= steps:
        return full
    # The line from the end of the full epochs to 0, from its first whole step on.
    first = learning_rate * (steps - start) * epochs / (steps * falling)
    return optax.join_schedules([full, optax.linear_schedule(first, 0.0, steps - start)], [start])


def _first_step(epoch: int, steps: int, epochs: int) -> int:
    """Returns the first step that lies in an epoch, both counted from 0."""
    return -(-epoch * steps // epochs)


def make_optimizer(
    schedule: optax.Schedule | float, clip_norm: float | None = None
) -> optax.GradientTransformation:
    """Returns Adam as in the release: beta 0.9 and 0.999, epsilon 1e-8, no weight decay.

    Gradients longer than `clip_norm` are shortened to it (None: never, as in the release).
    """
    # Always a chain: its state then has the same names, so that a run may go on with another norm.
    clip = optax.identity() if clip_norm is None else optax.clip_by_global_norm(clip_norm)
    return optax.chain(clip, optax.adam(schedule, b1=0.9, b2=0.999, eps=1e-8))


def new_state(
    network: nnx.Module, optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """Returns the state before the first step, the same on every device of the mesh.

    With several processes all take the first one's numbers: others may have rounded differently.
    """
    params = jax.tree.map(jnp.copy, nnx.state(network))  # a step donates its state
    if jax.process_count() > 1:
        params = multihost_utils.broadcast_one_to_all(params)
    state = TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))
    return on_every_device(state, mesh)


def make_train_step(
    loss_fn,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    accumulate: int = 1,
    schedule: optax.Schedule | None = None,
):
    """Builds `train_step(state, frozen, batch) -> (state, metrics)`, batches split over `mesh`.

    `state` is donated: its buffers are reused, so keep only the one returned.

    Args:
      loss_fn: `loss_fn(params, frozen, batch) -> (loss, metrics)`, means over the batch.
      optimizer: changes the parameters.
      mesh: of `make_mesh`.
      accumulate: number of parts of each device's pictures. The parts are computed one after the
        other in the memory of one; gradients and metrics are means over them.
      schedule: the learning rate by step that the optimizer has; it is then one of the metrics.
    """
    everywhere, split = NamedSharding(mesh, jax.P()), by_picture(mesh)
    shardings = dict(in_shardings=(everywhere, everywhere, split), out_shardings=everywhere)
    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)

    def gradient(params: nnx.State, frozen: dict, batch: dict[str, jax.Array]):
        (_, metrics), grads = grad_fn(params, frozen, batch)
        return metrics, grads

    def mean_gradient(params: nnx.State, frozen: dict, batch: dict[str, jax.Array]):
        parts = jax.tree.map(partial(split_into_parts, count=accumulate, mesh=mesh), batch)
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
        if schedule is not None:
            metrics |= {"learning_rate": jnp.asarray(schedule(state.step), jnp.float32)}
        return TrainState(state.step + 1, params, opt_state), metrics

    return train_step
