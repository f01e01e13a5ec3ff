"""Our model beside the same in PyTorch: fresh random weights, the bars of the golden files.

PyTorch runs in float64, so that the error measured is ours alone.
"""

from functools import cache, partial

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType

from stya2k_jax.conversion.released_model import model_from_release, release_from_model
from stya2k_jax.conversion.vgg import encoder_from_vgg
from stya2k_jax.network.architecture import STYLED_TAPS, TAPS, VARIANTS, Architecture
from stya2k_jax.network.model import StyA2K, assemble
from stya2k_jax.training import objective
from stya2k_jax.training import step as training
from stya2k_jax.training.devices import shard_batch
from tests.support.reference_weights import initial_weights, recipe_weights
from tests.support.small_model import changed, chosen_blocks, pictures

torch = pytest.importorskip("torch")

from tests.support import torch_reference as ref  # noqa: E402  (it imports torch)

pytestmark = pytest.mark.parity

FULL_WIDTH, NARROW = 115, (101, 103, 104, 106)  # seeds
SEEDS = (FULL_WIDTH, *NARROW)
BESIDE = [  # every ablation, and the other pooling, beside one of the seeds
    *zip(NARROW, [dict(variant=variant) for variant in VARIANTS[1:5]], strict=True),
    (NARROW[0], dict(variant=VARIANTS[5])),
    (NARROW[1], dict(pooling="avg")),
]
# Contents and styles. Seeds of one width and size share a compiled function.
SIZES = {
    115: ((53, 38), (41, 67)),
    101: ((95, 81), (70, 93)),
    103: ((64, 128), (64, 128)),
    104: ((95, 81), (70, 93)),
    106: ((64, 128), (64, 128)),
}
ENCODED_SIZES = {115: (53, 38), 101: (45, 61), 103: (1, 40), 104: (17, 34), 106: (2, 3)}
TAP_SIZES = {  # of feature maps
    115: ((13, 18), (9, 21)),
    101: ((16, 8), (24, 16)),
    103: ((11, 7), (5, 3)),
    104: ((1, 1), (12, 40)),
    106: ((30, 9), (1, 17)),
}
TRAINING_SIZES = {1.0: ((64, 64), (64, 64)), 0.25: ((77, 61), (70, 93))}
WEIGHTS = objective.LossWeights()


@pytest.fixture(autouse=True, scope="module")
def highest_precision():
    """Accelerators round the factors of float32 products unless told not to."""
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """PyTorch's threads wait for each other by spinning, which is slow beside other programs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def width_of(seed: int) -> float:
    return 1.0 if seed == FULL_WIDTH else 0.25


@cache
def weights_of(seed: int):
    return recipe_weights(seed, width_of(seed))


@cache
def model_of(seed: int) -> StyA2K:
    return converted(weights_of(seed))


@cache
def reference_of(seed: int, **options):
    return ref.build(weights_of(seed), torch.float64, **options)


def converted(weights) -> StyA2K:
    encoder, architecture = encoder_from_vgg(weights["vgg"])
    return model_from_release(encoder, architecture, weights)


def to_torch(*arrays: np.ndarray):
    return [ref.from_nhwc(array, torch.float64) for array in arrays]


def assert_close(got, expected, bar):
    """Compares with the largest value of what is expected, which may be a tensor."""
    expected = ref.to_nhwc(expected) if isinstance(expected, torch.Tensor) else expected
    assert got.shape == expected.shape
    assert np.abs(np.asarray(got) - expected).max() <= bar * np.abs(expected).max()


# ---------------------------------------------------------------- forward


@partial(jax.jit, static_argnums=0)
def _call(graph, state, *pictures):
    return nnx.merge(graph, state)(*pictures)


@partial(jax.jit, static_argnums=0)
def _attend(graph, state, f_c, f_s):
    module = nnx.merge(graph, state)
    p_idx = chosen_blocks(module, f_c, f_s) if "progressive" in module.paths else None
    return module(f_c, module.keys(f_s)), p_idx


@pytest.mark.parametrize("seed", SEEDS)
def test_the_encoder_gives_pytorchs_taps_at_any_size(seed):
    (image,) = pictures(seed, ENCODED_SIZES[seed])
    taps = _call(*nnx.split(model_of(seed).encoder), image)
    expected = reference_of(seed).encode(*to_torch(image))
    assert set(taps) == set(expected) == set(TAPS)
    for tap in TAPS:
        assert_close(taps[tap], expected[tap], 1e-5)


def assert_each_module_attends_as_pytorchs(model, reference, seed):
    modules = {
        "relu3_1": reference.A2K,
        "relu4_1": reference.transform.attn_adain_4_1,
        "relu5_1": reference.transform.attn_adain_5_1,
    }
    for tap in STYLED_TAPS:
        rng = np.random.default_rng([seed, TAPS.index(tap)])
        c = model.architecture.channels(tap)
        f_c, f_s = (
            np.maximum(rng.standard_normal((1, *size, c), np.float32), 0)
            for size in TAP_SIZES[seed]
        )
        out, p_idx = _attend(*nnx.split(model.painter.a2k[tap]), f_c, f_s)  # p_idx [b, n, h]
        expected, expected_index = modules[tap].with_index(*to_torch(f_c, f_s))  # [b, h, n]
        if expected_index is None:
            assert p_idx is None
        else:
            np.testing.assert_array_equal(np.swapaxes(p_idx, 1, 2), expected_index.numpy())
        assert_close(out, expected, 1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_module_gives_pytorchs_features_and_blocks_at_any_size(seed):
    assert_each_module_attends_as_pytorchs(model_of(seed), reference_of(seed), seed)


def assert_paints_as_pytorch(model, reference, seed):
    content, style = pictures(seed, *SIZES[seed])
    expected = reference(*to_torch(content, style))
    assert_close(_call(*nnx.split(model), content, style), expected, 1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_model_gives_pytorchs_picture(seed):
    assert_paints_as_pytorch(model_of(seed), reference_of(seed), seed)


@pytest.mark.parametrize(("seed", "options"), BESIDE)
def test_each_variant_gives_pytorchs_features_blocks_and_picture(seed, options):
    model, reference = changed(model_of(seed), **options), reference_of(seed, **options)
    assert_each_module_attends_as_pytorchs(model, reference, seed)
    assert_paints_as_pytorch(model, reference, seed)


# ---------------------------------------------------------------- losses


@partial(jax.jit, static_argnums=0)
def _losses_and_gradient(graph, state, stylized, content, style):
    encoder, block_sizes = nnx.merge(graph, state), Architecture().block_sizes
    taps_c, taps_s = encoder(content), encoder(style)

    def weighted_sum(stylized):
        terms = objective.loss_terms(encoder(stylized), taps_c, taps_s, block_sizes, WEIGHTS)
        return terms["loss_global"] + terms["loss_a2k"], terms

    gradient, terms = jax.grad(weighted_sum, has_aux=True)(stylized)
    return terms, gradient


@pytest.mark.parametrize("seed", SEEDS)
def test_losses_and_their_gradient_are_pytorchs(seed):
    content_size, style_size = SIZES[seed]
    content, style, stylized = pictures(seed, content_size, style_size, content_size, batch=2)
    graph, state = nnx.split(model_of(seed).encoder)
    terms, gradient = _losses_and_gradient(graph, state, stylized, content, style)

    encode = reference_of(seed).encode
    taps_c, taps_s = (encode(image) for image in to_torch(content, style))
    (image,) = to_torch(stylized)
    taps_cs = encode(image.requires_grad_())
    expected = {
        "loss_global": 10 * ref.loss_global(taps_cs, taps_s),
        "loss_a2k": 1.25 * ref.loss_a2k(taps_cs, ref.a2k_targets(taps_c, taps_s)),
    }
    assert set(terms) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value.item(), rtol=1e-5, err_msg=name)
    sum(expected.values()).backward()
    assert_gradients_agree(np.asarray(gradient), ref.to_nhwc(image.grad))


def assert_gradients_agree(got, expected):
    error, rms = got - expected, np.sqrt(np.mean(expected**2))
    assert np.median(np.abs(error)) <= 1e-4 * rms
    # A single ReLU or max-pool decision that flips in float32 costs 1e-3 to 2e-2; without one the
    # error is below 1e-6.
    assert np.linalg.norm(error) <= 2e-2 * np.linalg.norm(expected)


def test_the_papers_norms_and_the_content_term_are_pytorchs():
    seed = NARROW[0]
    content_size, style_size = SIZES[seed]
    images = pictures(seed, content_size, style_size, content_size, batch=2)
    weights = objective.LossWeights(1.0, 1.0, 1.0, "l2")
    expected_taps = [reference_of(seed).encode(image) for image in to_torch(*images)]
    taps_c, taps_s, taps_cs = (
        {tap: ref.to_nhwc(x).astype(np.float32) for tap, x in taps.items()}
        for taps in expected_taps
    )
    terms = jax.jit(objective.loss_terms, static_argnums=(3, 4))(
        taps_cs, taps_c, taps_s, Architecture().block_sizes, weights
    )
    taps_c, taps_s, taps_cs = expected_taps
    expected = {
        "loss_global": ref.loss_global(taps_cs, taps_s, "l2"),
        "loss_a2k": ref.loss_a2k(taps_cs, ref.a2k_targets(taps_c, taps_s), "l2"),
        "loss_content": ref.loss_content(taps_cs, taps_c),
    }
    assert set(terms) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value.item(), rtol=1e-5, err_msg=name)


# ---------------------------------------------------------------- training


@cache
def compiled_training(width: float):
    """Returns step, optimizer and mesh for all models of this width."""
    model = converted(initial_weights(width=width))
    loss_fn = objective.make_loss(model.painter, model.encoder, None, model.architecture, WEIGHTS)
    devices = jax.devices()[:1]  # two pictures do not split over more than two devices
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,), devices=devices)
    optimizer = training.make_optimizer(2e-5)
    return training.make_train_step(loss_fn, optimizer, mesh), optimizer, mesh


def training_pictures(seed: int):
    """Draws 12 contents and 12 styles that are smooth, each of them a few blots of colour.

    On noise the features hardly differ from place to place, gradients are differences of nearly
    equal numbers, and Adam, whose first steps are signs, drifts as far in PyTorch's own float32.
    """
    sizes = TRAINING_SIZES[width_of(seed)]
    blots = pictures(seed, *[(7, 7)] * 2, batch=12)
    return [
        np.clip(jax.image.resize(x, (12, *size, 3), "cubic"), 0, 1)
        for x, size in zip(blots, sizes, strict=True)
    ]


def train(seed: int, weights, steps: int):
    """Returns the rows of the steps and, by PyTorch names, the weights and Adam's first moments."""
    model = converted(weights)
    train_step, optimizer, mesh = compiled_training(width_of(seed))
    content, style = training_pictures(seed)
    graph, state = nnx.graphdef(model.painter), training.new_state(model.painter, optimizer, mesh)
    frozen, rows = objective.freeze(model.encoder, None), []
    for i in range(steps):
        batch = dict(content=content[2 * i : 2 * i + 2], style=style[2 * i : 2 * i + 2])
        state, metrics = train_step(state, frozen, shard_batch(batch, mesh))
        rows.append([metrics[k] for k in ("loss", "loss_global", "loss_a2k", "grad_norm")])
    by_name = [
        release_from_model(assemble(model.architecture, model.encoder, nnx.merge(graph, params)))
        for params in (state.params, optax.tree.get(state.opt_state, "mu"))
    ]
    return np.array(rows), *by_name


@pytest.mark.parametrize("seed", SEEDS)
def test_six_training_steps_are_pytorchs(seed):
    weights = initial_weights(seed, width_of(seed))
    expected_rows, expected = ref.training_rows(
        weights, *training_pictures(seed), learning_rate=2e-5, steps=6, dtype=torch.float64
    )
    rows, final, _ = train(seed, weights, steps=6)
    np.testing.assert_allclose(rows[:, :3], expected_rows[:, :3], rtol=1e-4)
    np.testing.assert_allclose(rows[:, 3], expected_rows[:, 3], rtol=1e-3)
    for module, key in all_keys(final):
        # Biases start at 0 and hold nothing but Adam's signs; their gradients are compared below.
        if not key.endswith((".bias", "sim_beta")):
            error = np.linalg.norm(final[module][key] - expected[module][key])
            assert error <= 3e-3 * np.linalg.norm(expected[module][key]), f"{module}.{key}"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gradient_of_every_parameter_is_pytorchs(seed):
    # Not at the initial weights, where attention is uniform and its gradients all but vanish.
    model = ref.build(weights_of(seed), torch.float64)
    content, style = (ref.from_nhwc(x[:2], torch.float64) for x in training_pictures(seed))
    taps_c, taps_s = model.encode(content), model.encode(style)
    taps_cs = model.encode(model.transfer(taps_c, taps_s))
    targets = ref.a2k_targets(taps_c, taps_s)
    (10 * ref.loss_global(taps_cs, taps_s) + 1.25 * ref.loss_a2k(taps_cs, targets)).backward()

    *_, moments = train(seed, weights_of(seed), steps=1)
    expected = {
        (module, key): getattr(model, module).get_parameter(key).grad.numpy()
        for module, key in all_keys(moments)
    }
    total = np.sqrt(sum(np.sum(gradient**2) for gradient in expected.values()))
    for (module, key), gradient in expected.items():
        error = moments[module][key] / np.float32(1 - 0.9) - gradient  # beta_1 is 0.9
        # The floor is for k2's bias, which no softmax sees, and for the queries of distributed
        # attention over a single block: their true gradients are 0.
        bar = 2e-2 * np.linalg.norm(gradient) + 1e-7 * total
        assert np.linalg.norm(error) <= bar, f"{module}.{key}"


def all_keys(modules):
    return [(module, key) for module, arrays in modules.items() for key in arrays]
