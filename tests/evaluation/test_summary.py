"""Means, medians and intervals."""

import numpy as np

from stya2k_jax.evaluation.summary import bootstrap_interval, summarize


def as_rows(values: np.ndarray) -> list[dict]:
    return [
        {"content": f"c{i}", "style": f"s{j}", "loss": float(values[i, j])}
        for i in range(values.shape[0])
        for j in range(values.shape[1])
    ]


def test_a_summary_is_numpys_mean_and_median_over_pairs_and_by_style():
    values = np.random.default_rng(0).gamma(2, size=(4, 3))
    found = summarize(as_rows(values), ["loss", "absent"])
    assert list(found) == ["loss"] and found["loss"]["count"] == 12
    np.testing.assert_allclose(found["loss"]["mean"], values.mean())
    np.testing.assert_allclose(found["loss"]["median"], np.median(values))
    np.testing.assert_allclose(list(found["loss"]["per_style"].values()), values.mean(0))


def test_the_order_of_pairs_changes_no_number():
    rows = as_rows(np.random.default_rng(1).gamma(2, size=(5, 4)))
    shuffled = [rows[i] for i in np.random.default_rng(2).permutation(len(rows))]
    ours, theirs = summarize(rows, ["loss"])["loss"], summarize(shuffled, ["loss"])["loss"]
    for name in ("median", "ci95"):
        assert ours[name] == theirs[name]
    np.testing.assert_allclose(ours["mean"], theirs["mean"], rtol=1e-14)


def test_the_interval_is_that_of_the_normal_distribution_for_many_values():
    values = np.random.default_rng(3).normal(5, 2, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(400)
    np.testing.assert_allclose([low, high], values.mean() + [-half, half], atol=0.02)


def test_of_one_pair_nothing_is_known_beyond_its_value():
    assert bootstrap_interval(np.array([3.0])) == (3.0, 3.0)


def test_equal_values_have_an_interval_without_width():
    assert bootstrap_interval(np.full(7, 0.5)) == (0.5, 0.5)


def test_ratios_are_averaged_geometrically():
    values = {("a", "x"): 1.0, ("a", "y"): 4.0, ("b", "x"): 4.0, ("b", "y"): 16.0}
    rows = [{"content": c, "style": s, "pattern_2px": x} for (c, s), x in values.items()]
    found = summarize(rows, ["pattern_2px"])["pattern_2px"]
    np.testing.assert_allclose(found["mean"], 4)
    np.testing.assert_allclose(list(found["per_style"].values()), [2, 8])
    assert 1 <= found["ci95"][0] < 4 < found["ci95"][1] <= 16
