"""Time and memory of a model, measured in a process of its own."""

import numpy as np
import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.speed import measure_in_own_process, sentence
from stya2k_jax.weights.model_files import save_model
from tests.support.small_model import small_model


def test_a_model_is_timed_and_what_was_timed_is_said(tmp_path):
    save_model(tmp_path / "model", small_model()[0])
    found = measure_in_own_process(tmp_path / "model", size_px=32, runs=3)
    low, high = found["quartiles"]
    assert 0 < found["fastest"] <= low <= found["seconds"] <= high
    assert found["peak_bytes"] > 2**26  # a process with JAX takes that at least
    said = sentence("ours", found)
    for words in ("median of 3 runs", "32 x 32, batch 1, float32", "on cpu", "MiB"):
        assert words in said


def test_memory_is_that_of_the_model_and_not_of_the_process_that_asks(tmp_path):
    save_model(tmp_path / "model", small_model()[0])
    mine = np.ones(2**27)  # a GiB
    assert (
        measure_in_own_process(tmp_path / "model", size_px=32, runs=1)["peak_bytes"] < mine.nbytes
    )


def test_a_model_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere could not be timed: .*nowhere does not exist"):
        measure_in_own_process(tmp_path / "nowhere", size_px=32, runs=3)
