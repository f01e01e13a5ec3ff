"""Averaged models: numbers by share, and what cannot be averaged."""

import dataclasses

import numpy as np
import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.network.model import StyA2K
from stya2k_jax.weights.averaging import average
from stya2k_jax.weights.parameters import named_arrays
from tests.support.small_model import small_model


@pytest.mark.parametrize("shares, weights", [(None, (0.5, 0.5)), ((3, 1), (0.75, 0.25))])
def test_every_number_is_the_average_of_the_models(shares, weights):
    models = [small_model(seed=seed)[0] for seed in (0, 1)]
    first, second = map(named_arrays, models)
    averaged = average(models, shares)
    assert averaged.architecture == models[0].architecture
    for name, array in named_arrays(averaged).items():
        expected = weights[0] * np.float64(first[name]) + weights[1] * np.float64(second[name])
        np.testing.assert_array_equal(array, np.float32(expected), err_msg=name)


def test_one_model_stays_as_it_is():
    model = small_model()[0]
    expected = named_arrays(model)
    for name, array in named_arrays(average([model])).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("shares", [(1,), (1, 2, 3), (0, 0), (-1, 2), (np.nan, 1), (np.inf, 1)])
def test_shares_that_do_not_fit_are_refused(shares):
    with pytest.raises(UserError, match="for 2 models; give one for each"):
        average([small_model()[0]] * 2, shares)


def test_other_architectures_are_refused():
    model = small_model()[0]
    other = StyA2K(dataclasses.replace(model.architecture, heads=4), rngs=None)
    with pytest.raises(UserError, match=r"Model 2 has another architecture .*heads"):
        average([model, other])
