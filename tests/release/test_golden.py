"""Our numbers are the authors': every golden file at the bar of `golden/README.md`.

All weights and pictures are arguments of the compiled functions: as constants of full-width
networks they would keep XLA folding for minutes.
"""

from functools import partial

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType

from stya2k_jax.conversion.pytorch_files import read_state_dict
from stya2k_jax.conversion.released_model import (
    RELEASED_FILES,
    model_from_release,
    release_from_model,
)
from stya2k_jax.conversion.vgg import encoder_from_vgg
from stya2k_jax.network.a2k import A2K
from stya2k_jax.network.architecture import TAPS, Architecture
from stya2k_jax.network.model import StyA2K, assemble
from stya2k_jax.training import objective
from stya2k_jax.training import step as training
from stya2k_jax.training.devices import shard_batch
from tests.support.paths import reference_path
from tests.support.reference_weights import (
    GOLDEN_DIGEST,
    initial_weights,
    load_golden,
    needs_reference,
    recipe_digest,
    recipe_weights,
)
from tests.support.small_model import chosen_blocks

pytestmark = pytest.mark.golden

WEIGHTS = objective.LossWeights()  # 10 and 1.25, as in the golden gradient and trace


@pytest.fixture(autouse=True, scope="module")
def highest_precision():
    """Accelerators round the factors of float32 products unless told not to."""
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(scope="module")
def weights():
    return recipe_weights()


@pytest.fixture(scope="module")
def model(weights):
    return converted(weights)


@pytest.fixture(scope="module")
def real_vgg():
    return read_state_dict(reference_path("weights", "vgg_normalised.safetensors"))


@pytest.fixture(scope="module")
def official(weights):
    """The authors' trained relu3 module; what stands around it is the recipe's."""
    pytest.importorskip("torch")
    path = reference_path("golden", "official", RELEASED_FILES["A2K"][0])
    return converted(weights | {"A2K": read_state_dict(path)}).painter.a2k["relu3_1"]


def converted(weights) -> StyA2K:
    encoder, architecture = encoder_from_vgg(weights["vgg"])
    return model_from_release(encoder, architecture, weights)


def assert_close(got, expected, bar):
    """Compares with the largest value of what is expected."""
    assert got.shape == expected.shape
    assert np.abs(np.asarray(got) - expected).max() <= bar * np.abs(expected).max()


# ---------------------------------------------------------------- forward


@partial(jax.jit, static_argnums=0)
def _call(graph, state, *pictures):
    return nnx.merge(graph, state)(*map(objective.as_float, pictures))


@partial(jax.jit, static_argnums=0)
def _attend(graph, state, f_c, f_s):
    module = nnx.merge(graph, state)
    return module(f_c, module.keys(f_s)), chosen_blocks(module, f_c, f_s)


def call(module: nnx.Module, *pictures: np.ndarray):
    """Runs an encoder on one picture or a model on two, uint8."""
    return _call(*nnx.split(module), *pictures)


def assert_attends_as(module: A2K, f_c, f_s, golden):
    out, p_idx = _attend(*nnx.split(module), f_c, f_s)  # p_idx [b, n, h]
    np.testing.assert_array_equal(np.swapaxes(p_idx, 1, 2), golden["pa_index"])
    assert_close(out, golden["out"], 1e-5)


def test_the_recipe_draws_the_golden_weights(weights):
    assert recipe_digest(weights) == GOLDEN_DIGEST


@needs_reference
@pytest.mark.parametrize("name", ["encoder_64x64.npz", "encoder_67x93.npz"])
def test_the_encoder_gives_the_golden_taps(name, model):
    golden = load_golden(name)
    taps = call(model.encoder, golden.pop("image"))
    assert set(taps) == set(golden) == set(TAPS)
    for tap, expected in golden.items():
        assert_close(taps[tap], expected, 1e-5)


@needs_reference
@pytest.mark.parametrize("tap", ["relu3", "relu4", "relu5"])
def test_the_attention_gives_the_golden_features_and_blocks(tap, model):
    golden = load_golden(f"a2k_{tap}.npz")
    module = model.painter.a2k[f"{tap}_1"]
    assert_attends_as(module, golden["content"], golden["style"], golden)


@needs_reference
@pytest.mark.parametrize(
    "size", [128, *(pytest.param(size, marks=pytest.mark.parity) for size in (256, 512))]
)
def test_the_whole_model_gives_the_golden_picture(size, model):
    golden = load_golden(f"forward_{size}.npz")
    assert_close(call(model, golden["content"], golden["style"]), golden["out"], 1e-4)


@needs_reference
@pytest.mark.parity
def test_the_authors_trained_module_gives_the_golden_features_and_blocks(official):
    golden = load_golden("a2k_official.npz")
    assert_attends_as(official, golden["content"], golden["style"], golden)


@needs_reference
def test_the_real_encoder_gives_the_golden_features_of_a_real_picture(real_vgg):
    golden = load_golden("real_128.npz")
    taps = call(encoder_from_vgg(real_vgg)[0], golden["content"])
    for tap in ("relu3_1", "relu5_1"):
        assert_close(taps[tap], golden[tap], 1e-5)


@needs_reference
@pytest.mark.parity
def test_trained_weights_on_real_pictures_give_the_golden_features_and_blocks(real_vgg, official):
    golden = load_golden("real_128.npz")
    encoder, _ = encoder_from_vgg(real_vgg)
    f_c, f_s = (call(encoder, golden[picture])["relu3_1"] for picture in ("content", "style"))
    assert_attends_as(official, f_c, f_s, golden)


# ---------------------------------------------------------------- losses


@partial(jax.jit, static_argnums=0)
def _losses_and_gradient(graph, state, stylized, content, style):
    encoder, block_sizes = nnx.merge(graph, state), Architecture().block_sizes
    taps_c, taps_s = encoder(objective.as_float(content)), encoder(objective.as_float(style))

    def weighted_sum(stylized):
        terms = objective.loss_terms(encoder(stylized), taps_c, taps_s, block_sizes, WEIGHTS)
        return terms["loss_global"] + terms["loss_a2k"], terms

    gradient, terms = jax.grad(weighted_sum, has_aux=True)(stylized)
    return terms, gradient


def gradient_of_golden_losses(golden, vgg):
    """Checks the losses against the golden ones and returns the gradient of their sum."""
    graph, state = nnx.split(encoder_from_vgg(vgg)[0])
    pictures = (golden[key] for key in ("stylized", "content", "style"))
    terms, gradient = _losses_and_gradient(graph, state, *pictures)
    assert set(terms) == {"loss_global", "loss_a2k"}
    for name, factor in {"loss_global": 10, "loss_a2k": 1.25}.items():
        np.testing.assert_allclose(terms[name], factor * golden[name], rtol=1e-5, err_msg=name)
    return np.asarray(gradient)


@needs_reference
def test_losses_and_their_gradient_are_the_golden_ones(weights):
    golden = load_golden("losses_128.npz")
    error = gradient_of_golden_losses(golden, weights["vgg"]) - golden["grad"]
    assert np.median(np.abs(error)) <= 1e-4 * np.sqrt(np.mean(golden["grad"] ** 2))
    # Single ReLU and max-pool decisions flip in float32; PyTorch's own float32 has 6e-3.
    assert np.linalg.norm(error) <= 2e-2 * np.linalg.norm(golden["grad"])


@needs_reference
def test_losses_on_real_features_are_the_golden_ones(real_vgg):
    gradient_of_golden_losses(load_golden("real_losses_128.npz"), real_vgg)


# ---------------------------------------------------------------- training


@pytest.fixture(scope="module")
def train():
    """Returns `train(learning_rate) -> (rows, weights by PyTorch names)` of the six steps."""
    model, golden = converted(initial_weights()), load_golden("train_trace_128.npz")
    encoder, painter, architecture = model.encoder, model.painter, model.architecture
    devices = jax.devices()[:1]  # two pictures do not split over more than two devices
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,), devices=devices)
    loss_fn = objective.make_loss(painter, encoder, None, architecture, WEIGHTS)
    # As part of the state, the learning rate is an argument too: one compilation for both traces.
    optimizer = optax.inject_hyperparams(training.make_optimizer)(schedule=0.0)
    train_step = training.make_train_step(loss_fn, optimizer, mesh)
    frozen = objective.freeze(encoder, None)

    def train(learning_rate: float):
        state = training.new_state(painter, optimizer, mesh)
        state.opt_state.hyperparams["schedule"] += learning_rate
        rows = []
        for i in range(6):
            batch = {key: golden[key][2 * i : 2 * i + 2] for key in ("content", "style")}
            state, metrics = train_step(state, frozen, shard_batch(batch, mesh))
            rows.append([metrics[k] for k in ("loss", "loss_global", "loss_a2k", "grad_norm")])
        trained = nnx.merge(nnx.graphdef(painter), state.params)
        return np.array(rows), release_from_model(assemble(architecture, encoder, trained))

    return train


@pytest.mark.parity  # with the other trace: it compiles for half a minute
@needs_reference
def test_training_follows_the_golden_trace(train):
    golden = load_golden("train_trace_128.npz")
    rows, final = train(2e-5)
    np.testing.assert_allclose(rows[:, :3], golden["rows"][:, :3], rtol=1e-4)
    np.testing.assert_allclose(rows[:, 3], golden["rows"][:, 3], rtol=1e-3)
    names = [name for name in golden if name.startswith("final.")]
    assert len(names) == 4
    for name in names:
        _, module, key = name.split(".", 2)
        error = np.linalg.norm(final[module][key] - golden[name])
        assert error <= 3e-3 * np.linalg.norm(golden[name]), name


@needs_reference
@pytest.mark.parity
def test_training_at_the_full_rate_follows_its_golden_trace(train):
    rows, _ = train(2e-4)
    # Adam's first steps are signs, which makes this trace chaotic.
    np.testing.assert_allclose(rows, load_golden("train_trace_128.npz")["rows_lr2e4"], rtol=2e-2)
