"""Other systems' modules: what defines each, and that they fit in the place of A2K."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import ablations
from stya2k_jax.network.architecture import BASELINES, VARIANTS, Architecture
from stya2k_jax.network.baselines import AdaAttN, AdaIN, SANet
from stya2k_jax.network.model import StyA2K
from tests.support.small_model import pictures


def features(seed: int, height: int, width: int, c: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1, 1, (2, height, width, c)).astype(np.float32)


def made(module, *arguments, **options):
    """Makes a module whose convolutions are large enough to matter."""
    module = module(*arguments, rngs=nnx.Rngs(0), **options)
    graph, state = nnx.split(module)
    return nnx.merge(graph, jax.tree.map(lambda x: 20 * x + 0.01, state))


F_C, F_S = features(0, 5, 7), features(1, 4, 6)


def convolved(conv, x: np.ndarray) -> np.ndarray:
    y = x.reshape(*x.shape[:1], -1, x.shape[3]).astype(np.float64)
    return y @ np.asarray(conv.kernel[...], np.float64) + np.asarray(conv.bias[...], np.float64)


def softmax_rows(x: np.ndarray) -> np.ndarray:
    weight = np.exp(x - x.max(axis=-1, keepdims=True))
    return weight / weight.sum(axis=-1, keepdims=True)


def numpy_normalize(x: np.ndarray) -> np.ndarray:
    std = np.sqrt(x.var((1, 2), ddof=1, keepdims=True) + 1e-5)
    return (x - x.mean((1, 2), keepdims=True)) / std


def test_adain_gives_the_content_the_statistics_of_the_style():
    module = AdaIN(6, rngs=nnx.Rngs(0))
    out = np.asarray(module(F_C, module.keys(F_S)))
    np.testing.assert_allclose(out.mean((1, 2)), F_S.mean((1, 2)), rtol=1e-4)
    deviations = (x.std((1, 2), ddof=1) for x in (out, F_S))
    np.testing.assert_allclose(*deviations, rtol=1e-4)
    for b in range(2):  # and keeps the content's order within a channel
        for c in range(6):
            assert (np.argsort(out[b, ..., c].ravel()) == np.argsort(F_C[b, ..., c].ravel())).all()


def test_sanet_is_its_formula():
    module = made(SANet, 6)
    out = module(F_C, module.keys(F_S))
    q, k = (
        convolved(conv, numpy_normalize(x.astype(np.float64)))
        for conv, x in ((module.query, F_C), (module.key, F_S))
    )
    weight = softmax_rows(q @ k.swapaxes(1, 2))
    attended = weight @ convolved(module.value, F_S)
    expected = convolved(module.out, attended.reshape(F_C.shape)).reshape(F_C.shape) + F_C
    np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("module", [SANet, AdaAttN])
def test_attention_to_a_style_that_is_the_same_everywhere_gives_it_back(module):
    flat = np.broadcast_to(np.arange(1, 7, dtype=np.float32), F_S.shape)
    if module is SANet:
        made_module = made(SANet, 6)
        made_module.out = _identity(6)
        made_module.value = _identity(6)
        out = made_module(F_C, made_module.keys(flat)) - F_C
    else:
        made_module = made(AdaAttN, 6, channels_seen=6)
        made_module.value = _identity(6)
        # Weights that sum to 1 leave the mean; the deviation vanishes, but for rounding.
        out = made_module(F_C, made_module.keys(flat, F_S), F_C)
    expected = np.broadcast_to(flat[0, 0, 0], F_C.shape)
    np.testing.assert_allclose(out, expected, atol=1e-4 if module is SANet else 0.02)


def _identity(c: int):
    from stya2k_jax.network.layers import Conv1x1

    conv = Conv1x1(c, c, rngs=nnx.Rngs(0))
    conv.kernel[...] = jnp.eye(c)
    return conv


def test_adaattn_has_the_weighted_mean_and_deviation_of_every_point():
    module = made(AdaAttN, 6, channels_seen=9)
    seen_c, seen_s = features(2, 5, 7, c=9), features(3, 4, 6, c=9)
    out = np.asarray(module(F_C, module.keys(F_S, seen_s), seen_c))
    q, k = convolved(module.query, seen_c), convolved(module.key, seen_s)
    weight, v = softmax_rows(q @ k.swapaxes(1, 2)), convolved(module.value, F_S)
    normalized = numpy_normalize(F_C.astype(np.float64)).reshape(2, 35, 6)
    for b in range(2):
        for p in range(35):
            mean = (weight[b, p][:, None] * v[b]).sum(0)
            variance = (weight[b, p][:, None] * (v[b] - mean) ** 2).sum(0)
            expected = np.sqrt(np.maximum(variance, 1e-6)) * normalized[b, p] + mean
            ours = out.reshape(2, 35, 6)[b, p]
            np.testing.assert_allclose(ours, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_baseline_paints_any_size_of_content_and_style(baseline):
    model = StyA2K(Architecture(width=1 / 8, variant=baseline), rngs=nnx.Rngs(0))
    content, style = pictures(0, (21, 34), (40, 19))
    painted = jax.jit(lambda *x: model(*x))(content, style)
    assert painted.shape == content.shape and np.isfinite(painted).all()


def test_adaattn_can_be_trained_on_a_style_that_is_the_same_everywhere():
    module = made(AdaAttN, 6, channels_seen=6)
    graph, state = nnx.split(module)
    flat = np.ones_like(F_S)

    def loss(state):
        module = nnx.merge(graph, state)
        return jnp.sum(module(F_C, module.keys(flat, F_S), F_C) ** 2)

    assert all(np.isfinite(x).all() for x in jax.tree.leaves(jax.grad(loss)(state)))


@pytest.mark.parametrize("variant", VARIANTS + BASELINES)
def test_every_variant_has_a_config_that_differs_in_it_alone(variant):
    config, full = (ablations.get_config(name).to_dict() for name in (variant, "full"))
    assert config.pop("variant") == variant
    full.pop("variant")
    assert config == full


def test_a_variant_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no variant 'none'; use configs/ablations.py:NAME"):
        ablations.get_config("none")
