"""The training step: its laws, its schedules, and that it can learn."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType

from configs import a2k
from stya2k_jax.errors import UserError
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.model import new_encoder, new_painter
from stya2k_jax.training import devices, objective
from stya2k_jax.training import step as training
from stya2k_jax.training.loop import schedule_of
from tests.support.small_model import WIDTH, pictures

ARCHITECTURE = Architecture(width=WIDTH)


def mesh_of(devices: int) -> jax.sharding.Mesh:
    return jax.make_mesh(
        (devices,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices]
    )


def batch_of(seed: int, size: int = 32, count: int = 4) -> dict[str, np.ndarray]:
    content, style = pictures(seed, (size, size), (size, size), batch=count)
    return {"content": np.round(content * 255).astype(np.uint8), "style": style}


@cache
def modules():
    return new_painter(ARCHITECTURE, seed=1), new_encoder(ARCHITECTURE, seed=2)


@cache
def compiled_step(devices: int, learning_rate: float):
    painter, encoder = modules()
    loss_fn = objective.make_loss(painter, encoder, None, ARCHITECTURE, objective.LossWeights())
    optimizer = training.make_optimizer(learning_rate)
    return training.make_train_step(loss_fn, optimizer, mesh_of(devices)), optimizer


def run(steps: int, devices: int = 1, learning_rate: float = 2e-4, same_batch: bool = False):
    """Trains a fresh model; returns the state, the metrics of each step and the frozen weights."""
    painter, encoder = modules()
    train_step, optimizer = compiled_step(devices, learning_rate)
    state = training.new_state(painter, optimizer, mesh_of(devices))
    frozen, rows = objective.freeze(encoder, None), []
    for i in range(steps):
        batch = devices.shard_batch(batch_of(0 if same_batch else i), mesh_of(devices))
        state, metrics = train_step(state, frozen, batch)
        rows.append(jax.device_get(metrics))
    return state, rows, frozen


def test_one_device_and_four_give_the_same_training():
    (one, rows_one, _), (four, rows_four, _) = run(3), run(3, devices=4)
    for a, b in zip(rows_one, rows_four, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, err_msg=name)
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(four.params), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_an_accumulated_step_is_the_whole_step():
    painter, encoder = modules()
    loss_fn = objective.make_loss(painter, encoder, None, ARCHITECTURE, objective.LossWeights())
    # Adam turns gradients that are rounding errors into whole steps.
    optimizer, mesh = optax.sgd(1.0), mesh_of(2)
    rows, states = [], []
    for accumulate in (1, 2):
        step = training.make_train_step(loss_fn, optimizer, mesh, accumulate)
        state = training.new_state(painter, optimizer, mesh)
        batch = devices.shard_batch(batch_of(0), mesh)
        state, metrics = step(state, objective.freeze(encoder, None), batch)
        rows.append(jax.device_get(metrics))
        states.append(state)
    for name in rows[0]:
        np.testing.assert_allclose(rows[1][name], rows[0][name], rtol=1e-5, err_msg=name)
    start, whole, accumulated = (
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)])
        for params in (nnx.state(painter), *(state.params for state in states))
    )
    difference = np.linalg.norm(accumulated - whole) / np.linalg.norm(whole - start)
    assert difference < 1e-4  # 4e-5 is measured: float32 sums in another order


def test_parts_of_a_batch_stay_on_their_devices():
    batch = np.arange(24).reshape(12, 2)
    parts = jax.jit(lambda x: devices.split_into_parts(x, 3, mesh_of(2)))(batch)
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
        devices.make_mesh(batch, accumulate)


def test_a_step_donates_its_state_and_leaves_the_encoder_alone():
    painter, encoder = modules()
    before = jax.tree.map(np.array, nnx.state(encoder))
    train_step, optimizer = compiled_step(1, 2e-4)
    state = training.new_state(painter, optimizer, mesh_of(1))
    frozen = objective.freeze(encoder, None)
    train_step(state, frozen, devices.shard_batch(batch_of(0), mesh_of(1)))
    assert all(x.is_deleted() for x in jax.tree.leaves(state.params))
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(encoder))


def test_one_small_batch_can_be_learned_by_heart():
    _, rows, _ = run(60, learning_rate=2e-3, same_batch=True)
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
    weights = objective.LossWeights()
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


def test_terms_sum_the_taps_they_are_told_to():
    (painter, encoder), batch = modules(), batch_of(7)
    frozen, params = objective.freeze(encoder, None), nnx.state(painter)

    def terms(*choices: dict) -> list[dict]:
        """Returns the terms of each choice, of one program."""
        weights = [objective.LossWeights()._replace(**choice) for choice in choices]
        losses = [objective.make_loss(painter, encoder, None, ARCHITECTURE, w) for w in weights]
        return jax.jit(lambda *x: [loss(*x)[1] for loss in losses])(params, frozen, batch)

    taps = training.MATCHED_TAPS
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


def test_a_warmup_multiplies_the_rate_until_it_is_over():
    config = a2k.get_config()
    config.steps, config.schedule, config.learning_rate = 100, "constant", 0.5
    plain = schedule_of(config)
    config.warmup = 10
    rates = [float(jax.jit(schedule_of(config))(i)) for i in (0, 4, 9, 10, 60)]
    np.testing.assert_allclose(rates, [0.05, 0.25, 0.5, 0.5, 0.5], rtol=1e-6)
    assert float(plain(0)) == 0.5
