"""The terms against regular patterns and rims: what they see, what they leave, and plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stya2k_jax.training import objective, patterns

SIZE = 96


def photograph(seed: int = 0, batch: int = 1) -> np.ndarray:
    """Returns smooth pictures with a flat half and a little noise, as a camera gives them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    phase = rng.uniform(0, 6, (batch, 1, 1, 3))
    busy = np.sin(9 * x + 5 * y * y)[None, :, :, None] * (x > 0.5)[None, :, :, None]
    noise = rng.normal(0, 0.004, (batch, SIZE, SIZE, 3))
    return (0.5 + 0.2 * np.sin(phase + x[None, :, :, None]) + 0.15 * busy + noise).astype("float32")


def weave(fy: float, fx: float, amplitude: float) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    return (amplitude * np.cos(2 * np.pi * (fy * y + fx * x)))[None, :, :, None].astype("float32")


def energy_in_loops(pictures: np.ndarray) -> dict[int, np.ndarray]:
    """Multiplies by the waves, blurs and squares; sums over the waves of a period."""
    grey = pictures @ np.array(patterns.GREY)
    channels = np.concatenate([pictures, grey[..., None]], -1).astype(np.float64)
    offsets = np.arange(-patterns.REACH, patterns.REACH + 1)
    taps = np.exp(-((offsets / patterns.SIGMA) ** 2) / 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    y, x = np.mgrid[:SIZE, :SIZE]
    middles = range(patterns.REACH, SIZE - patterns.REACH, patterns.STRIDE)
    total = {}
    for period, waves in patterns.WAVES.items():
        total[period] = np.zeros(len(pictures))
        for fy, fx in waves:
            for part in (np.cos, np.sin):
                moved = channels * part(2 * np.pi * (fy * y + fx * x))[None, :, :, None]
                values = [
                    np.einsum(
                        "bhwc,hw->bc",
                        moved[:, i - patterns.REACH : i + patterns.REACH + 1][
                            :, :, j - patterns.REACH : j + patterns.REACH + 1
                        ],
                        window,
                    )
                    ** 2
                    for i in middles
                    for j in middles
                ]
                total[period] += np.mean(values, axis=(0, 2))
    return total


terms = jax.jit(patterns.pattern_terms)


def test_the_energy_is_that_of_plain_loops():
    content = photograph(0, batch=2)
    stylized = content + weave(0, 1 / 2, 0.03) + weave(1 / 4, -1 / 4, 0.02)
    ours, theirs = energy_in_loops(stylized), energy_in_loops(content)
    expected = np.mean(sum(np.maximum(ours[p] - theirs[p], 0) for p in patterns.WAVES))
    np.testing.assert_allclose(terms(stylized, content).energy, expected, rtol=1e-3)


@pytest.mark.parametrize("wave", [w for waves in patterns.WAVES.values() for w in waves])
def test_a_planted_weave_is_seen(wave):
    content = photograph(1)
    found = terms(content + weave(*wave, 0.02), content)
    # A cosine of period 2 has its square as power, another one a quarter of it.
    assert found.energy > 0.02**2 / 4 * 0.9
    assert found.contrast > 2


def test_a_faint_weave_on_black_has_contrast():
    content = np.full((1, SIZE, SIZE, 3), 0.01, np.float32)
    found = terms(content + weave(1 / 2, 0, 0.002), content)
    assert found.energy < 1e-5 and found.contrast > 2


@pytest.mark.parametrize("stylized", ["itself", "brighter", "a photograph"])
def test_pictures_without_a_weave_have_none(stylized):
    content = photograph(2)
    pictures = {"itself": content, "brighter": 0.9 * content + 0.1, "a photograph": photograph(3)}
    found = terms(pictures[stylized], content)
    assert found.energy < 1e-6
    assert found.contrast < 1


def test_a_batch_averages_its_pictures():
    content = photograph(4, batch=2)
    stylized = content + np.concatenate([weave(0, 1 / 2, 0.05), weave(1 / 4, 0, 0.01)])
    for term in (patterns.pattern_terms, lambda *x: (patterns.rim_term(*x),)):
        each = [term(stylized[i : i + 1], content[i : i + 1]) for i in range(2)]
        both = term(stylized, content)
        np.testing.assert_allclose(both, np.mean(each, axis=0), rtol=1e-4, atol=1e-9)


def test_small_pictures_are_refused():
    with pytest.raises(ValueError, match="smaller than 49 pixels"):
        patterns.pattern_terms(jnp.zeros((1, 48, 90, 3)), jnp.zeros((1, 48, 90, 3)))


def step_edge(rim: float) -> np.ndarray:
    """Returns dark beside bright, with a bright line along the dark side."""
    picture = np.full((1, SIZE, SIZE, 3), 0.2, np.float32)
    picture[:, :, SIZE // 2 :] = 0.7
    picture[:, :, SIZE // 2 - 6 : SIZE // 2, 2] += rim
    return picture


def test_a_planted_rim_is_seen_and_a_recolored_edge_is_none():
    content, term = step_edge(0), jax.jit(patterns.rim_term)
    assert term(content, content) == 0
    assert term(1 - content, content) == 0
    assert term(content * np.array([1, 0.3, 0.6], np.float32), content) == 0
    assert term(step_edge(0.8), content) > 0.002
    assert term(step_edge(0.8), step_edge(0.8)) == 0  # the content has it


def test_gradients_are_finite_and_point_to_the_weave():
    content, wave = photograph(5), weave(1 / 2, 1 / 2, 0.02)

    @jax.jit
    def gradients(stylized):
        one = [jax.grad(lambda x, i=i: patterns.pattern_terms(x, content)[i]) for i in (0, 1)]
        rims = jax.grad(lambda x: patterns.rim_term(x, content))
        return [f(stylized) for f in (*one, rims)]

    energy, contrast, rims = gradients(content + wave)
    assert np.isfinite([energy, contrast, rims]).all()
    assert np.sum(energy * wave) > 0 and np.sum(contrast * wave) > 0
    for flat in (np.zeros_like(content), np.ones_like(content)):
        assert np.isfinite(gradients(flat)).all()


def test_the_objective_weighs_the_terms_and_leaves_those_of_weight_0_out():
    content = photograph(6)
    stylized = content + weave(0, 1 / 2, 0.03)
    weights = objective.LossWeights(
        lambda_pattern=3.0, lambda_pattern_contrast=0.5, lambda_rims=2.0
    )
    found, rims = terms(stylized, content), patterns.rim_term(stylized, content)
    ours = objective.pixel_terms(stylized, content, weights)
    expected = {
        "loss_pattern": 3 * found.energy,
        "loss_pattern_contrast": 0.5 * found.contrast,
        "loss_rims": 2 * rims,
    }
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-4, atol=1e-9)
    assert not objective.pixel_terms(stylized, content, objective.LossWeights())
