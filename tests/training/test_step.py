"""The training step: its laws, its schedules, and that it can learn."""

import dataclasses
from fractions import Fraction
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType

from stya2k_jax.errors import UserError
from stya2k_jax.network.architecture import MATCHED_TAPS, Architecture
from stya2k_jax.network.model import new_encoder, new_painter
from stya2k_jax.training import objective
from stya2k_jax.training import step as training
from stya2k_jax.training.devices import make_mesh, on_every_device, shard_batch, split_into_parts
from tests.support import rounding
from tests.support.reference_weights import recipe_weights
from tests.support.small_model import WIDTH, encode, pictures

ARCHITECTURE = Architecture(width=WIDTH)


def mesh_of(count: int) -> jax.sharding.Mesh:
    return jax.make_mesh(
        (count,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:count]
    )


def batch_of(seed: int, size: int = 32, count: int = 4) -> dict[str, np.ndarray]:
    content, style = pictures(seed, (size, size), (size, size), batch=count)
    return {"content": np.round(content * 255).astype(np.uint8), "style": style}


@cache
def modules(variant: str = "full"):
    architecture = dataclasses.replace(ARCHITECTURE, variant=variant)
    return new_painter(architecture, seed=1), new_encoder(architecture, seed=2)


@cache
def compiled_step(optimizer: str, count: int = 1, accumulate: int = 1, variant: str = "full"):
    """Returns a step on so many devices, and its optimizer.

    Variants but the full model have one tap in the loss, so that they compile in half the time.
    """
    painter, encoder = modules(variant)
    weights = objective.LossWeights()
    if variant != "full":
        weights = weights._replace(a2k_taps=("relu3_1",))
    loss_fn = objective.make_loss(painter, encoder, None, ARCHITECTURE, weights)
    transform = {"adam": training.make_optimizer(2e-3), "sgd": optax.sgd(1e-4)}[optimizer]
    step = training.make_train_step(loss_fn, transform, mesh_of(count), accumulate)
    return step, transform


def run(steps: int, *step: Any, variant: str = "full", same_batch: bool = False):
    """Trains a fresh model; returns the state and the metrics of each step."""
    painter, encoder = modules(variant)
    train_step, transform = compiled_step(*step, variant=variant)
    mesh = mesh_of(step[1] if len(step) > 1 else 1)
    state = training.new_state(painter, transform, mesh)
    frozen, rows = objective.freeze(encoder, None), []
    for i in range(steps):
        batch = shard_batch(batch_of(0 if same_batch else i), mesh)
        state, metrics = train_step(state, frozen, batch)
        rows.append(jax.device_get(metrics))
    return state, rows


def flat(params: nnx.State) -> np.ndarray:
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)])


@pytest.mark.parametrize(("count", "accumulate"), [(4, 1), (2, 2)])
def test_devices_and_parts_of_a_batch_give_the_training_of_one(count, accumulate):
    # By SGD, since Adam turns gradients that are rounding errors into whole steps.
    (one, rows), (several, other_rows) = run(3, "sgd"), run(3, "sgd", count, accumulate)
    losses = rows[0].keys() - {"grad_norm"}
    for a, b in zip(rows, other_rows, strict=True):
        for name in losses:
            np.testing.assert_allclose(b[name], a[name], rtol=1e-4, err_msg=name)
    for name in losses:  # before the first update
        np.testing.assert_allclose(other_rows[0][name], rows[0][name], rtol=1e-5, err_msg=name)
    # A feature with a relative error e has another sign with probability e / pi, and then passes
    # its gradient on or not. Of the ReLUs of the encoder (13) and the decoder (8), such a share of
    # the gradient's square changes.
    error = rounding.of_features(recipe_weights(width=WIDTH)["vgg"])
    allowed = 3 * np.sqrt(21 * error / np.pi)
    for a, b in zip(rows, other_rows, strict=True):
        np.testing.assert_allclose(b["grad_norm"], a["grad_norm"], rtol=allowed)
    start = flat(nnx.state(modules()[0]))
    moved, difference = flat(one.params) - start, flat(several.params) - flat(one.params)
    # What an update loses when it is rounded to the weights' own precision comes on top of that.
    lost = 3 * rounding.UNIT * np.linalg.norm(start)
    assert np.linalg.norm(difference) <= allowed * np.linalg.norm(moved) + lost
    assert lost < 0.1 * np.linalg.norm(moved)


def test_parts_of_a_batch_stay_on_their_devices():
    batch = np.arange(24).reshape(12, 2)
    parts = jax.jit(lambda x: split_into_parts(x, 3, mesh_of(2)))(batch)
    assert parts.sharding.shard_shape(parts.shape) == (3, 2, 2)
    assert sorted(np.asarray(parts)[:, :, 0].ravel()) == sorted(batch[:, 0])
    first_device = np.asarray(parts)[:, :2, 0]
    assert sorted(first_device.ravel()) == list(batch[:6, 0])


@pytest.mark.parametrize(
    ("batch", "accumulate", "message"),
    [
        (6, 1, "batch_size=6 does not divide among 4 devices; use a multiple of 4"),
        (4, 2, "among 4 devices times accumulate=2; use a multiple of 8"),
        (0, 1, "use a multiple of 4"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused(batch, accumulate, message):
    with pytest.raises(UserError, match=message):
        make_mesh(batch, accumulate)


def test_a_step_donates_its_state_and_leaves_the_encoder_alone():
    painter, encoder = modules("adain")
    before = jax.tree.map(np.array, nnx.state(encoder))
    train_step, transform = compiled_step("adam", variant="adain")
    state = training.new_state(painter, transform, mesh_of(1))
    frozen = objective.freeze(encoder, None)
    train_step(state, frozen, shard_batch(batch_of(0), mesh_of(1)))
    assert all(x.is_deleted() for x in jax.tree.leaves(state.params))
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(encoder))


def test_one_small_batch_can_be_learned_by_heart():
    _, rows = run(60, "adam", variant="adain", same_batch=True)
    losses = [row["loss"] for row in rows]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_the_loss_is_the_sum_of_its_weighted_terms():
    painter, encoder = modules()
    frozen, batch = objective.freeze(encoder, None), batch_of(5)
    once = dict(lambda_global=1.0, lambda_a2k=1.0, lambda_content=1.0)
    weighted = dict(lambda_global=10.0, lambda_a2k=0.5, lambda_content=3.0)
    losses = [
        objective.make_loss(painter, encoder, None, ARCHITECTURE, objective.LossWeights(**weights))
        for weights in (once, weighted)
    ]
    terms = jax.jit(lambda *x: [loss(*x)[1] for loss in losses])(nnx.state(painter), frozen, batch)
    for term in ("global", "a2k", "content"):
        ratio = terms[1][f"loss_{term}"] / terms[0][f"loss_{term}"]
        np.testing.assert_allclose(ratio, weighted[f"lambda_{term}"], rtol=1e-5)
    total = sum(terms[1][f"loss_{term}"] for term in ("global", "a2k", "content"))
    np.testing.assert_allclose(terms[1]["loss"], total, rtol=1e-6)


def test_a_loss_encoder_of_its_own_gives_the_loss_its_features():
    painter, encoder = modules()
    other = new_encoder(Architecture(width=2 * WIDTH), seed=3)
    weights = objective.LossWeights()._replace(a2k_taps=("relu3_1",))
    batch, params = batch_of(6), nnx.state(painter)
    same = objective.make_loss(painter, encoder, None, ARCHITECTURE, weights)
    twice = objective.make_loss(painter, encoder, encoder, ARCHITECTURE, weights)
    wider = objective.make_loss(painter, encoder, other, ARCHITECTURE, weights)
    cases = {
        same: objective.freeze(encoder, None),
        twice: objective.freeze(encoder, encoder),
        wider: objective.freeze(encoder, other),
    }
    # In one program, which computes once what they share: that is quicker to compile.
    compute = jax.jit(
        lambda params, *frozen: [f(params, x, batch)[0] for f, x in zip(cases, frozen, strict=True)]
    )
    one, two, three = compute(params, *cases.values())
    np.testing.assert_allclose(one, two, rtol=1e-5)
    assert abs(three - one) > 1e-2 * one


def test_the_loss_encoder_sees_the_pictures_at_every_scale():
    painter, encoder = modules("adain")
    weights = objective.LossWeights(a2k_taps=("relu3_1",), lambda_content=1.0)
    frozen, batch, params = objective.freeze(encoder, None), batch_of(8, 48), nnx.state(painter)

    def at(*scales):
        chosen = weights._replace(loss_scales=scales)
        return objective.make_loss(painter, encoder, None, ARCHITECTURE, chosen)

    scales = [(1.0,), (0.5,), (0.5, 1.0)]
    losses = jax.jit(lambda *x: [at(*each)(*x)[1] for each in scales])(params, frozen, batch)
    small = {name: half_size(objective.as_float(jnp.asarray(x))) for name, x in batch.items()}
    # Seen at half the size: the same terms of pictures that were made smaller by hand.
    taps = [encoder(x) for x in (half_size(stylized_of(painter, encoder, batch)), *small.values())]
    by_hand = objective.loss_terms(*taps, ARCHITECTURE.block_sizes, weights)
    for name, value in by_hand.items():
        full, half, both = (terms[name] for terms in losses)
        np.testing.assert_allclose(half, value, rtol=1e-4)
        np.testing.assert_allclose(both, (full + half) / 2, rtol=1e-5)


def stylized_of(painter, encoder, batch):
    content, style = (objective.as_float(jnp.asarray(batch[x])) for x in ("content", "style"))
    return painter(encoder(content), painter.keys(encoder(style)), *content.shape[1:3])


def half_size(pictures: jax.Array) -> jax.Array:
    """Returns pictures of half the sides: weights 1/8, 3/8, 3/8, 1/8, which the edge cuts off."""
    for axis in (1, 2):
        size = pictures.shape[axis]
        weights = np.zeros((size // 2, size))
        for i in range(size // 2):
            for offset, weight in zip(range(-1, 3), (1, 3, 3, 1), strict=True):
                if 0 <= 2 * i + offset < size:
                    weights[i, 2 * i + offset] = weight
        weights /= weights.sum(1, keepdims=True)
        pictures = jnp.moveaxis(jnp.tensordot(weights, pictures, (1, axis)), 0, axis)
    return pictures


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, 1.5), (-0.5,)])
def test_scales_that_do_not_reduce_are_refused(scales):
    weights = objective.LossWeights(loss_scales=scales)
    with pytest.raises(UserError, match="above 0 and up to 1"):
        objective.make_loss(*modules(), None, ARCHITECTURE, weights)


def test_terms_sum_the_taps_they_are_told_to():
    stylized, content, style = (encode()(x) for x in pictures(7, *[(32, 32)] * 3, batch=2))

    def terms(*choices: dict) -> list[dict]:
        """Returns the terms of each choice, of one program."""
        weights = [objective.LossWeights()._replace(**choice) for choice in choices]
        sizes = ARCHITECTURE.block_sizes
        return jax.jit(lambda *x: [objective.loss_terms(*x, sizes, w) for w in weights])(
            stylized, content, style
        )

    taps = MATCHED_TAPS
    whole, first, rest, one, more = terms(
        {},
        dict(a2k_taps=taps[:1]),
        dict(a2k_taps=taps[1:]),
        dict(global_taps=("relu5_1",)),
        dict(global_taps=("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")),
    )
    np.testing.assert_allclose(first["loss_a2k"] + rest["loss_a2k"], whole["loss_a2k"], rtol=1e-5)
    difference = more["loss_global"] - one["loss_global"]
    np.testing.assert_allclose(difference, whole["loss_global"], rtol=1e-4)
    with pytest.raises(ValueError, match="tap 'relu1_1' does not exist here"):
        terms(dict(a2k_taps=("relu1_1",)))


def test_nothing_to_train_is_an_error():
    with pytest.raises(ValueError, match="all 0: there is nothing to train"):
        objective.loss_terms({}, {}, {}, (16, 8, 8, 4), objective.LossWeights(0.0, 0.0, 0.0))


def test_the_released_schedule_drops_after_each_epoch_from_the_second():
    rate = training.learning_rate_schedule("code", 2e-4, steps=50, epochs=5)
    expected = [2e-4] * 20 + [6e-5] * 10 + [1.8e-5] * 10 + [5.4e-6] * 10
    np.testing.assert_allclose([rate(i) for i in range(50)], expected, rtol=1e-5)


def test_the_papers_schedule_falls_linearly_to_zero_from_the_third_epoch():
    rate = training.learning_rate_schedule("paper", 2e-4, steps=50, epochs=5)
    expected = [2e-4] * 20 + [2e-4 * (50 - i) / 30 for i in range(20, 51)]
    np.testing.assert_allclose([rate(i) for i in range(51)], expected, rtol=1e-5, atol=1e-12)


STEPS = [*range(1, 201), 1000, 15_600, 51_739, 413_915]


def around(steps: int, epochs: int) -> np.ndarray:
    """Returns the steps around the starts of all epochs, and the first and last few."""
    starts = [-(-epoch * steps // epochs) for epoch in range(epochs + 1)]
    near = {start + i for start in starts for i in range(-2, 3)}
    return np.array(sorted(near & set(range(steps))), np.int32)


@pytest.mark.parametrize("epochs", [1, 2, 5, 7])
def test_compiled_schedules_change_at_the_step_that_whole_numbers_give(epochs):
    at = [around(steps, epochs) for steps in STEPS]
    for name in ("code", "paper"):
        schedules = [training.learning_rate_schedule(name, 1.0, steps, epochs) for steps in STEPS]
        # In one program, which is quicker to compile than two hundred.
        rates = jax.jit(
            lambda at, all_of=schedules: [rate(i) for rate, i in zip(all_of, at, strict=True)]
        )(at)
        for steps, given, found in zip(STEPS, at, rates, strict=True):
            if name == "code":
                expected = [0.3 ** max(int(i) * epochs // steps - 1, 0) for i in given]
            else:
                left = [epochs * Fraction(steps - int(i), steps) for i in given]
                expected = [float(min(x / max(epochs - 2, 1), 1)) for x in left]
            np.testing.assert_allclose(
                np.broadcast_to(found, given.shape),
                expected,
                rtol=1e-6,
                atol=2e-7,
                err_msg=str(steps),
            )


def test_the_rate_that_a_step_reports_is_the_one_it_used():
    schedule = training.learning_rate_schedule("code", 0.5, steps=100)
    mesh, params = mesh_of(1), {"w": jnp.zeros(())}

    def loss_fn(params, frozen, batch):
        return params["w"], {"loss": params["w"]}  # of gradient 1

    optimizer = optax.sgd(schedule)
    step = training.make_train_step(loss_fn, optimizer, mesh, schedule=schedule)
    state = training.TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))
    for i in range(100):
        before = float(state.params["w"])
        state, metrics = step(on_every_device(state, mesh), {}, {})
        np.testing.assert_allclose(before - state.params["w"], metrics["learning_rate"], rtol=1e-4)
        np.testing.assert_allclose(metrics["learning_rate"], 0.5 * 0.3 ** max(i // 20 - 1, 0))


def test_a_warmup_multiplies_the_rate_until_it_is_over():
    rate = training.learning_rate_schedule("constant", 0.5, steps=100, warmup=10)
    rates = [float(jax.jit(rate)(i)) for i in (0, 4, 9, 10, 60)]
    np.testing.assert_allclose(rates, [0.05, 0.25, 0.5, 0.5, 0.5], rtol=1e-6)


def test_a_constant_schedule_is_constant_and_others_are_refused():
    rate = training.learning_rate_schedule("constant", 1e-3, steps=10)
    np.testing.assert_allclose([rate(i) for i in (0, 9)], 1e-3)
    with pytest.raises(ValueError, match="schedule='cosine' does not exist; choose one of code"):
        training.learning_rate_schedule("cosine", 1e-3, steps=10)


def test_the_optimizer_is_adam_as_in_the_release():
    ours, expected = training.make_optimizer(1e-2), optax.adam(1e-2, 0.9, 0.999, 1e-8)
    params = {"w": jnp.asarray([1.0, -2.0])}
    states = [ours.init(params), expected.init(params)]
    for step in range(3):
        gradient = {"w": jnp.asarray([0.1 * step, -1.0])}
        a, states[0] = ours.update(gradient, states[0], params)
        b, states[1] = expected.update(gradient, states[1], params)
        np.testing.assert_array_equal(a["w"], b["w"])


def test_longer_gradients_are_shortened_before_adam_sees_them():
    ours, adam = training.make_optimizer(1e-2, clip_norm=0.5), optax.adam(1e-2, 0.9, 0.999, 1e-8)
    params = {"w": jnp.asarray([1.0, -2.0])}
    states = [ours.init(params), adam.init(params)]
    for gradient in ([0.3, 0.1], [3.0, -4.0], [0.0, 0.2]):
        gradient = np.array(gradient, np.float32)
        short = gradient * min(1, 0.5 / np.linalg.norm(gradient))
        a, states[0] = ours.update({"w": jnp.asarray(gradient)}, states[0], params)
        b, states[1] = adam.update({"w": jnp.asarray(short)}, states[1], params)
        np.testing.assert_allclose(a["w"], b["w"], rtol=1e-5)


def test_a_fresh_painter_starts_as_the_release_does():
    for path, leaf in jax.tree_util.tree_flatten_with_path(nnx.state(modules()[0]))[0]:
        name = jax.tree_util.keystr(path)
        if "kernel" in name:
            assert abs(np.std(leaf) - 0.02) < 0.002 and abs(np.mean(leaf)) < 0.002
        else:
            np.testing.assert_array_equal(leaf, 1.0 if "alpha" in name else 0.0)
