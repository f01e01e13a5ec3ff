"""A model in one file, and the one that comes with the package."""

import jax
import numpy as np
import pytest
from flax import nnx

import stya2k_jax
from stya2k_jax.errors import WeightsError
from stya2k_jax.weights.loading import MINI_FILE
from stya2k_jax.weights.model_files import save_module
from stya2k_jax.weights.parameters import named_arrays
from tests.support.small_model import pictures, small_model


def packed(tmp_path, dtype):
    model = small_model()[0]
    path = tmp_path / "model.safetensors"
    save_module(path, model, model.architecture, dtype)
    return model, path


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_packed_model_has_the_numbers_rounded_to_its_dtype(tmp_path, dtype):
    model, path = packed(tmp_path, dtype)
    loaded = stya2k_jax.load(path)
    assert loaded.architecture == model.architecture
    expected = named_arrays(model)
    for name, array in named_arrays(loaded).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected[name].astype(dtype), err_msg=name)


def test_a_damaged_model_file_is_named(tmp_path):
    _, path = packed(tmp_path, np.float32)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="model.safetensors cannot be read"):
        stya2k_jax.load(path)


def test_load_without_an_argument_opens_the_model_that_comes_along():
    model = stya2k_jax.load()
    assert model.architecture.width == 0.25
    content, style = pictures(0, (24, 33), (40, 17))
    graph, state = nnx.split(model)
    out = np.asarray(jax.jit(lambda state, *x: nnx.merge(graph, state)(*x))(state, content, style))
    assert out.shape == content.shape and np.isfinite(out).all()


def test_the_model_that_comes_along_is_small():
    assert MINI_FILE.stat().st_size < 8e6
