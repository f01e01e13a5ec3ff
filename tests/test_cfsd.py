"""Structural distance against its formula on whole matrices."""

import jax.numpy as jnp
import numpy as np
import pytest

from stya2k_jax.cfsd import TorchvisionRelu31, cfsd
from stya2k_jax.convert import save_state_dict
from stya2k_jax.weights import WeightsError
from tests.small_model import pictures
from tests.test_lpips import numpy_convolution, numpy_pooling


def formula(content: np.ndarray, stylized: np.ndarray) -> float:
    def softmax_rows(x):
        f = x.reshape(-1, x.shape[2]).astype(np.float64) / x.shape[2]
        s = np.exp(f @ f.T)
        return s / s.sum(axis=1, keepdims=True)

    p, q = softmax_rows(content), softmax_rows(stylized)
    return (p * np.log(p / q)).sum()


@pytest.mark.parametrize("rows", [1, 7, 20, 64])
def test_distance_is_the_sum_of_divergences_whatever_the_number_of_rows_at_once(rows):
    x, y = (np.random.default_rng(i).gamma(2, 3, (2, 5, 4, 6)).astype(np.float32) for i in (0, 1))
    values = cfsd(jnp.asarray(x), jnp.asarray(y), rows)
    np.testing.assert_allclose(values, [formula(x[b], y[b]) for b in range(2)], rtol=1e-4)


def test_equal_features_have_no_distance():
    x = jnp.asarray(np.random.default_rng(0).gamma(2, 3, (1, 5, 4, 6)), jnp.float32)
    np.testing.assert_array_equal(cfsd(x, x), np.zeros(1))


def random_vgg19() -> dict[str, np.ndarray]:
    rng, weights = np.random.default_rng(0), {}
    for key, c, d in ((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256)):
        weight = rng.normal(0, np.sqrt(2 / (9 * c)), (d, c, 3, 3))
        weights[f"features.{key}.weight"] = weight.astype(np.float32)
        weights[f"features.{key}.bias"] = rng.normal(0, 0.1, d).astype(np.float32)
    return weights


def test_relu3_1_is_that_of_numpy_loops_and_deeper_layers_are_not_used(tmp_path):
    weights = random_vgg19()
    deeper = {"features.12.weight": np.zeros((1, 1, 3, 3), np.float32)}
    save_state_dict(tmp_path / "vgg.safetensors", weights | deeper)
    (x,) = pictures(0, (13, 18))
    expected = (x[0].astype(np.float64) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    for key in (0, 2, 5, 7, 10):
        if key in (5, 10):
            expected = numpy_pooling(expected, 2)
        weight, bias = (weights[f"features.{key}.{part}"] for part in ("weight", "bias"))
        expected = np.maximum(numpy_convolution(expected, weight, bias, 1, 1), 0)
    ours = TorchvisionRelu31(tmp_path / "vgg.safetensors")(x)
    np.testing.assert_allclose(ours[0], expected, rtol=1e-4, atol=1e-4)


def test_another_network_is_refused_tensor_by_tensor(tmp_path):
    weights = random_vgg19()
    del weights["features.7.bias"]
    save_state_dict(tmp_path / "vgg.safetensors", weights)
    with pytest.raises(WeightsError, match=r"missing: features.7.bias \(128,\)"):
        TorchvisionRelu31(tmp_path / "vgg.safetensors")
