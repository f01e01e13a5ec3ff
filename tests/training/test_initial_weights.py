"""How a painter starts."""

import numpy as np
import pytest

from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.model import new_painter
from stya2k_jax.training.initial_weights import initialize
from stya2k_jax.weights.parameters import named_arrays
from tests.support.small_model import WIDTH

ARCHITECTURE = Architecture(width=WIDTH)


def arrays_of(name: str) -> dict[str, np.ndarray]:
    return named_arrays(initialize(new_painter(ARCHITECTURE, seed=1), name, seed=2))


def test_the_release_is_left_as_it_is():
    expected = named_arrays(new_painter(ARCHITECTURE, seed=1))
    for name, array in arrays_of("release").items():
        np.testing.assert_array_equal(array, expected[name])


def test_matched_modules_pass_features_on_as_they_are():
    for name, array in arrays_of("matched").items():
        if array.ndim == 2:
            np.testing.assert_array_equal(array, np.eye(len(array)), err_msg=name)


def test_matched_kernels_keep_the_size_of_features_and_the_last_one_starts_grey():
    arrays = arrays_of("matched")
    for name, array in arrays.items():
        if array.ndim == 4:
            scale = array.std() * np.sqrt(np.prod(array.shape[:3]) / 2)
            expected = 0.05 if name == "decoder.conv1_1.kernel" else 1.0
            assert abs(scale - expected) < 0.2 * expected, name
    np.testing.assert_array_equal(arrays["decoder.conv1_1.bias"], 0.5)


def test_an_unknown_initialisation_is_refused():
    with pytest.raises(ValueError, match="initialisation='zero' does not exist; choose one of rel"):
        arrays_of("zero")
