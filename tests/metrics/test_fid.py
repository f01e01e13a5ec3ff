"""The Fréchet distance against values known by hand and by another formula."""

import numpy as np
import pytest
import scipy.linalg

from stya2k_jax.errors import UserError
from stya2k_jax.metrics.fid import art_fid, frechet_distance


def features(seed: int, n: int = 50, d: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)


def test_distance_is_the_formula_with_a_matrix_root():
    x, y = features(0), features(1, n=40)
    c_x, c_y = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(c_x @ c_y).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c_x + c_y - 2 * root)
    np.testing.assert_allclose(frechet_distance(x, y), expected, rtol=1e-8)
    np.testing.assert_allclose(frechet_distance(y, x), expected, rtol=1e-8)


def test_in_one_dimension_it_is_the_squared_difference_of_means_and_of_deviations():
    x, y = features(2, d=1), features(3, d=1)
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    np.testing.assert_allclose(frechet_distance(x, y), expected, rtol=1e-8)


@pytest.mark.parametrize("n", [100, 4])  # with fewer rows than features covariances are singular
def test_a_set_has_no_distance_to_itself_and_a_shift_its_squared_length(n):
    x = features(4, n=n)
    scale = np.trace(np.cov(x.T))
    np.testing.assert_allclose(frechet_distance(x, x[::-1]), 0, atol=1e-6 * scale)
    np.testing.assert_allclose(frechet_distance(x, x + 3), 9 * 6, atol=1e-6 * scale)


def test_art_fid_multiplies_both():
    assert art_fid(0.5, 3.0) == 6.0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 6)), r"x has shape \(1, 6\); expected finite features \[n, d\]"),
        (np.zeros(6), r"x has shape \(6,\)"),
        (np.full((3, 6), np.nan), "expected finite"),
        (np.zeros((3, 5)), "5 and 6 features differ"),
    ],
)
def test_what_are_no_features_is_refused(x, message):
    with pytest.raises(UserError, match=message):
        frechet_distance(x, features(5))
