"""Structural distance against its formula on whole matrices."""

import jax
import numpy as np
import pytest

from stya2k_jax.conversion.pytorch_files import save_state_dict
from stya2k_jax.errors import WeightsError
from stya2k_jax.metrics.cfsd import TorchvisionRelu31, cfsd
from tests.support.numpy_layers import numpy_convolution, numpy_pooling
from tests.support.small_model import pictures


def formula(content: np.ndarray, stylized: np.ndarray) -> float:
    """The definition, row by row, of features `[H, W, c]`."""
    f, g = (x.reshape(-1, x.shape[2]).astype(np.float64) / x.shape[2] for x in (content, stylized))
    total = 0.0
    for i in range(len(f)):
        p, q = (np.exp(x @ x[i] - max(x @ x[i])) for x in (f, g))
        p, q = p / p.sum(), q / q.sum()
        total += (p * np.log(p / q)).sum()
    return total


def features(seed: int, *shape: int, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).gamma(2, 1, shape).astype(np.float32)


# Similarities up to about 0.1 as of VGG-19, 4 and 300, which overflow without a shift.
@pytest.mark.parametrize("scale", [0.3, 2.0, 15.0])
@pytest.mark.parametrize("rows", [1, 7, 20, 64])
def test_distance_is_the_sum_of_divergences_whatever_the_size_of_blocks(rows, scale):
    x, y = (features(i, 3, 5, 4, 6, scale=scale) for i in (0, 1))
    y[1] = x[1] + features(2, 5, 4, 6, scale=1e-3 * scale)  # nearly equal
    values = jax.jit(cfsd, static_argnums=2)(x, y, rows)
    expected = [formula(x[b], y[b]) for b in range(3)]
    rtol = 1e-4 if scale < 1 else 1e-3
    np.testing.assert_allclose(values, expected, rtol=rtol, atol=1e-5 * max(expected))


def test_small_divergences_keep_their_digits():
    x = features(0, 1, 24, 20, 64)
    y = x + features(1, 1, 24, 20, 64, scale=0.05)
    expected = formula(x[0], y[0])
    assert expected < 1e-3  # a millionth of what each logarithm of a softmax sums up to
    np.testing.assert_allclose(cfsd(x, y, 100), [expected], rtol=1e-3)


def test_equal_features_have_no_distance():
    for scale in (1.0, 15.0):
        x = features(0, 1, 5, 4, 6, scale=scale)
        np.testing.assert_array_equal(cfsd(x, x), np.zeros(1))


def test_near_equal_features_of_any_size_keep_their_digits():
    for scale in (0.3, 2.0, 15.0):
        x = features(0, 1, 5, 4, 6, scale=scale)
        y = x * np.float32(1 + 1e-3)
        np.testing.assert_allclose(cfsd(x, y), [formula(x[0], y[0])], rtol=2e-3)


def test_no_matrix_of_all_points_by_all_points_is_held():
    x = features(0, 1, 64, 64, 4)
    memory = jax.jit(cfsd).lower(x, x).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4096 * 4096 * 4 / 2


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
