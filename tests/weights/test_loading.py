"""Loading a model: whole and right, or refused with what to do."""

import errno
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

import stya2k_jax
from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.model import new_encoder
from stya2k_jax.weights.model_files import (
    ARCHITECTURE_FILE,
    ENCODER_FILE,
    PAINTER_FILE,
    save_architecture,
    save_encoder,
    save_model,
    save_module,
)
from stya2k_jax.weights.parameters import named_arrays
from stya2k_jax.weights.run_checkpoints import Checkpoints
from tests.support.small_model import WIDTH, small_model

ARCHITECTURE = Architecture(width=WIDTH)


@pytest.fixture
def directory(tmp_path):
    save_model(tmp_path / "model", small_model()[0])
    return tmp_path / "model"


def cut_off(path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def test_a_saved_model_is_opened_as_it_was(directory):
    for given in (directory, str(directory)):
        model, saved = stya2k_jax.load(given), small_model()[0]
        assert model.architecture == saved.architecture
        for ours, theirs in ((model.encoder, saved.encoder), (model.painter, saved.painter)):
            arrays = named_arrays(theirs)
            assert named_arrays(ours).keys() == arrays.keys()
            for name, array in named_arrays(ours).items():
                np.testing.assert_array_equal(array, arrays[name], err_msg=name)


def test_opening_a_model_changes_nothing_in_its_directory(directory):
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    stya2k_jax.load(directory)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


def test_the_computation_may_be_in_another_type(directory):
    model = stya2k_jax.load(directory, dtype="bfloat16")
    assert model.architecture.dtype == "bfloat16"
    taps = model.encoder(jnp.zeros((1, 2, 2, 3)), until="relu1_1")
    assert taps["relu1_1"].dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="dtype='float8' does not exist; choose one of"):
        stya2k_jax.load(directory, dtype="float8")
    assert stya2k_jax.load(directory, dtype=jnp.bfloat16).architecture == model.architecture


def test_a_field_that_no_architecture_has_does_not_blame_the_file(directory):
    file = directory / "model.safetensors"
    save_module(file, small_model()[0], ARCHITECTURE)
    for path in (directory, file):
        with pytest.raises(
            UserError, match=r"load\(wdth=...\): .* no such field; choose among width"
        ):
            stya2k_jax.load(path, wdth=1)


def test_8_bit_floats_are_refused_by_the_name_of_the_file(directory):
    header = {"weight": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    (directory / PAINTER_FILE).write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(WeightsError, match=f"{PAINTER_FILE} cannot be read"):
        stya2k_jax.load(directory)


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name, words in (("file", "cannot be read"), ("nowhere", "does not exist; give a")):
        with pytest.raises(WeightsError, match=f"{name} {words}"):
            stya2k_jax.load(tmp_path / name)


def test_a_directory_without_a_model_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=f"{tmp_path} holds no model"):
        stya2k_jax.load(tmp_path)


def test_an_encoder_alone_is_no_model_and_the_error_says_what_adds_the_rest(tmp_path):
    save_encoder(tmp_path, small_model()[0].encoder, ARCHITECTURE)
    with pytest.raises(WeightsError, match="convert_vgg.py writes when --stya2k is given"):
        stya2k_jax.load(tmp_path)


def test_a_missing_encoder_is_an_error_that_says_which_command_makes_one(directory):
    (directory / ENCODER_FILE).unlink()
    with pytest.raises(WeightsError, match="There is no encoder in .*convert_vgg.py --vgg="):
        stya2k_jax.load(directory)


@pytest.mark.parametrize("name", [ENCODER_FILE, PAINTER_FILE])
@pytest.mark.parametrize("damage", [cut_off, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_named(directory, name, damage):
    damage(directory / name)
    with pytest.raises(WeightsError, match=f"{name} cannot be read"):
        stya2k_jax.load(directory)


def test_a_safetensors_file_that_is_not_ours_is_refused(directory):
    save_file({"weight": np.zeros(3, np.float32)}, directory / PAINTER_FILE)
    with pytest.raises(WeightsError, match="does not say which architecture it is for"):
        stya2k_jax.load(directory)


def test_every_array_that_does_not_fit_is_listed(directory):
    arrays = named_arrays(small_model()[0].encoder)
    arrays["convs.conv2_1.kernel"] = arrays["convs.conv2_1.kernel"][..., :5]
    arrays["convs.conv1_1.bias"] = np.full((8,), np.nan, np.float32)
    arrays["convs.conv9_9.bias"] = arrays.pop("convs.conv1_2.bias")
    header = {"architecture": json.dumps(ARCHITECTURE.as_dict())}
    save_file(arrays, directory / ENCODER_FILE, header)
    with pytest.raises(WeightsError) as error:
        stya2k_jax.load(directory)
    for line in (
        f"{directory / ENCODER_FILE} does not fit",
        "missing: convs.conv1_2.bias (8,)",
        "unexpected: convs.conv9_9.bias",
        "shape of convs.conv2_1.kernel",
        "not finite: convs.conv1_1.bias",
    ):
        assert line in str(error.value)


def test_an_encoder_and_a_painter_of_different_widths_are_refused(directory):
    other = Architecture(width=2 * WIDTH)
    save_encoder(directory, new_encoder(other, seed=0), other)
    with pytest.raises(WeightsError, match="width"):
        stya2k_jax.load(directory)


def test_a_run_without_a_checkpoint_is_refused_and_left_alone(tmp_path):
    save_encoder(tmp_path, small_model()[0].encoder, ARCHITECTURE)
    save_architecture(tmp_path, ARCHITECTURE)
    with pytest.raises(WeightsError, match="has no whole checkpoint yet"):
        stya2k_jax.load(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [ARCHITECTURE_FILE, ENCODER_FILE]


def test_of_a_run_the_newest_whole_checkpoint_is_opened(tmp_path, caplog):
    model = small_model()[0]
    save_encoder(tmp_path, model.encoder, model.architecture)
    save_architecture(tmp_path, model.architecture)
    painter = nnx.state(model.painter)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, painter=painter)
        checkpoints.save(2, painter=jax.tree.map(jnp.zeros_like, painter))
    damaged = tmp_path / "checkpoints" / "2" / "painter" / "_METADATA"
    cut_off(damaged)
    opened = named_arrays(stya2k_jax.load(tmp_path).painter)
    for name, array in named_arrays(model.painter).items():
        np.testing.assert_array_equal(opened[name], array, err_msg=name)
    assert "painter/_METADATA has changed" in caplog.text
    assert damaged.exists()  # opening a model moves nothing


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000),
        *(b'{"width": 0.125, "colour": 1}', b'{"width": "wide"}', b'{"width": NaN}'),
        *(b'{"width": 0.125, "block_sizes": 8}', b'{"heads": "8"}', b'{"dtype": 5}'),
    ],
)
def test_a_damaged_architecture_file_is_named(tmp_path, content):
    save_encoder(tmp_path, small_model()[0].encoder, ARCHITECTURE)
    (tmp_path / ARCHITECTURE_FILE).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{ARCHITECTURE_FILE} cannot be read"):
        stya2k_jax.load(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", '{"width": "wide"}'])
def test_a_damaged_architecture_in_a_file_of_weights_is_refused(directory, text):
    arrays = named_arrays(small_model()[0].painter)
    save_file(arrays, directory / PAINTER_FILE, {"architecture": text})
    with pytest.raises(WeightsError, match=f"{PAINTER_FILE} does not say which architecture"):
        stya2k_jax.load(directory)


@pytest.mark.parametrize("size", [8.5, True, 0, 10**9, "8"])
def test_sides_of_blocks_are_whole_numbers_within_reason(size):
    with pytest.raises(UserError, match="must be four whole numbers, sides of 1 to 1024 points"):
        Architecture(block_sizes=(16, 8, 8, size))


def test_a_full_disk_names_the_file_of_a_model(tmp_path, monkeypatch):
    def refuse(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OSError, match="No space left on device") as error:
        save_encoder(tmp_path, small_model()[0].encoder, ARCHITECTURE)
    assert error.value.filename == str(tmp_path / ENCODER_FILE)
