"""A narrow encoder fitted in closed form: exact where it can be, near where it cannot."""

from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx

from stya2k_jax.network.architecture import TAPS, Architecture
from stya2k_jax.network.model import new_encoder
from stya2k_jax.training.narrow_encoder import narrow_encoder
from stya2k_jax.weights.parameters import named_arrays, with_arrays
from tests.support.small_model import WIDTH, pictures

WIDE = Architecture(width=2 * WIDTH)


@pytest.fixture(scope="module")
def photographs():
    return np.concatenate(pictures(1, *[(32, 32)] * 40))


@partial(jax.jit, static_argnums=0)
def call(graph, state, image):
    return nnx.merge(graph, state)(image)


def taps_of(encoder, image):
    return call(*nnx.split(encoder), image)


def headed(taps, heads):
    return {t: np.asarray(x) @ heads[f"{t}.kernel"] + heads[f"{t}.bias"] for t, x in taps.items()}


def test_a_teacher_of_equal_width_is_found_again(photographs):
    teacher = new_encoder(Architecture(width=WIDTH), seed=2)
    narrow, heads = narrow_encoder(teacher, Architecture(width=WIDTH), photographs)
    expected = taps_of(teacher, photographs[:1])
    estimates = headed(taps_of(narrow, photographs[:1]), heads)
    for tap in TAPS[:3]:  # deeper maps of such small pictures have too few points to fit
        error = np.abs(estimates[tap] - expected[tap]).mean()
        assert error < 0.05 * np.abs(expected[tap]).mean(), tap


def test_channels_that_copy_others_are_not_needed(photographs):
    arrays = named_arrays(new_encoder(WIDE, seed=3))
    for name, array in arrays.items():
        if not name.startswith("color"):
            first = array[..., : array.shape[-1] // 2]
            arrays[name] = np.concatenate([first, first], axis=-1)
    teacher = with_arrays(new_encoder(WIDE), arrays, "a teacher with every channel twice")
    narrow, heads = narrow_encoder(teacher, Architecture(width=WIDTH), photographs)
    expected = taps_of(teacher, photographs[:1])
    estimates = headed(taps_of(narrow, photographs[:1]), heads)
    for tap in TAPS[:3]:
        error = np.abs(estimates[tap] - expected[tap]).mean()
        assert error < 0.05 * np.abs(expected[tap]).mean(), tap
