"""Time and memory of a model, measured in a process of its own."""

import json

import numpy as np
import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation import speed
from stya2k_jax.evaluation.speed import measure_in_own_process, sentence, speeds_of_models
from stya2k_jax.evaluation.systems import System
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


RECORD = {
    **{"seconds": 1.0, "quartiles": [1.0, 2.0], "fastest": 1.0, "runs": 3, "size_px": 32},
    **{"batch": 1, "dtype": "float32", "device": "cpu", "cores": 2, "peak_bytes": 2**30},
}


def test_a_time_at_another_size_is_not_that_of_this_evaluation(tmp_path, monkeypatch):
    path = tmp_path / "speed.json"

    def known():
        return json.loads(path.read_text()) if path.exists() else {}

    def measured(model, size_px, runs):
        return RECORD | {"size_px": size_px, "runs": runs, "seconds": float(len(known()))}

    monkeypatch.setattr(speed, "measure_in_own_process", measured)
    systems = {name: System(name, tmp_path, is_model=True) for name in "ab"}
    folder = {"c": System("c", tmp_path, is_model=False)}
    first = speeds_of_models(systems | folder, 32, 3, path)
    assert [x["seconds"] for x in first.values()] == [0, 1]
    assert speeds_of_models(systems, 32, 0, path) == first == known()
    assert speeds_of_models({"b": systems["b"]}, 32, 3, path) == {"b": first["b"]}
    assert speeds_of_models(systems, 64, 0, path) == {}
    other = speeds_of_models(systems, 64, 3, path)
    assert [x["size_px"] for x in other.values()] == [64, 64]


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"", b"{", b"[]", b"\xff", b'{"a": 1}', b'{"a": {}}'),
        json.dumps({"a": RECORD | {"quartiles": 1}}).encode(),
        json.dumps({"a": RECORD | {"seconds": "fast"}}).encode(),
        json.dumps({"a": {k: v for k, v in RECORD.items() if k != "size_px"}}).encode(),
    ],
)
def test_damaged_times_are_refused_by_file(tmp_path, damaged):
    (tmp_path / "speed.json").write_bytes(damaged)
    with pytest.raises(UserError, match="speed.json is damaged .*; remove it"):
        speeds_of_models({}, 32, 3, tmp_path / "speed.json")
