"""A training run: what it leaves in its directory, and that a broken run goes on exactly."""

import json
import shutil

import jax
import numpy as np
import pytest

import stya2k_jax
from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.training.log import NotFiniteError
from stya2k_jax.training.train_painter import train
from stya2k_jax.weights.parameters import named_arrays
from stya2k_jax.weights.run_checkpoints import Checkpoints
from tests.support.training_runs import config_of, rows_of


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run of four steps, which saved after each."""
    workdir = tmp_path_factory.mktemp("unbroken")
    assert train(config_of(steps=4, checkpoint_every=1, keep_checkpoints=3), workdir) == 4
    return workdir


def test_a_resumed_run_is_the_unbroken_run_bit_by_bit(unbroken, tmp_path):
    workdir = shutil.copytree(unbroken, tmp_path / "run")
    for step in (3, 4):  # as if it had been killed after step 2
        shutil.rmtree(workdir / "checkpoints" / str(step))
    train(config_of(steps=4), workdir)
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 3, 4]
    for step, row in rows_of(unbroken).items():
        for name in ("loss", "loss_global", "loss_a2k", "grad_norm", "learning_rate"):
            assert rows_of(workdir)[step][name] == row[name], (step, name)
    ours, theirs = (named_arrays(stya2k_jax.load(d).painter) for d in (workdir, unbroken))
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)


def test_every_step_has_its_numbers(unbroken):
    for step, row in rows_of(unbroken).items():
        assert set(row) >= {
            *("step", "loss", "loss_global", "loss_a2k"),
            *("learning_rate", "images_per_second"),
        }
        assert row["step"] == step and np.isfinite(list(row.values())).all()
        np.testing.assert_allclose(row["loss"], row["loss_global"] + row["loss_a2k"], rtol=1e-5)
    assert sorted(rows_of(unbroken)) == [1, 2, 3, 4]


def test_a_run_leaves_pictures_tensorboard_files_and_its_config(unbroken):
    assert [path.name for path in (unbroken / "images").iterdir()] == ["step_000004.png"]
    assert list((unbroken / "tensorboard").iterdir())
    assert json.loads((unbroken / "config.json").read_text())["config"]["steps"] == 4


def test_a_finished_run_does_nothing_when_started_again(unbroken):
    before = (unbroken / "metrics.jsonl").read_text()
    assert train(config_of(steps=4), unbroken) == 4
    assert (unbroken / "metrics.jsonl").read_text() == before


def test_a_run_is_a_model_that_load_opens(unbroken):
    model = stya2k_jax.load(unbroken)
    paint = jax.jit(lambda *pictures: model(*pictures))
    out = paint(jax.numpy.zeros((1, 20, 30, 3)), jax.numpy.ones((1, 33, 17, 3)))
    assert out.shape == (1, 20, 30, 3)


def test_the_encoder_lies_in_the_directory_once_and_in_no_checkpoint(unbroken):
    names = [path.name for path in (unbroken / "checkpoints" / "4").iterdir() if path.is_dir()]
    assert sorted(names) == ["painter", "training"]
    assert len(list(unbroken.rglob("encoder.safetensors"))) == 1


def test_only_the_newest_checkpoints_are_kept(unbroken):
    assert sorted(p.name for p in (unbroken / "checkpoints").iterdir()) == ["2", "3", "4"]


def test_another_architecture_is_refused_by_name(unbroken):
    with pytest.raises(ValueError, match="variant: full before, no_da now"):
        train(config_of(steps=6, variant="no_da"), unbroken)


def test_another_encoder_is_refused(unbroken):
    with pytest.raises(
        ValueError, match="(?s)config.seed: 0 before, 5 now.*config.encoder.fingerprint: "
    ):
        train(config_of(steps=6, seed=5), unbroken)


def test_a_directory_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "painter.safetensors").touch()
    with pytest.raises(ValueError, match="holds something else, painter.safetensors"):
        train(config_of(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["painter.safetensors"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(schedule="cosine"), "schedule='cosine' does not exist"),
        (dict(loss_norm="l1"), "loss norm 'l1' does not exist"),
        (dict(global_taps=("relu9_9",)), "tap 'relu9_9' does not exist"),
        (dict(lambda_global=0.0, lambda_a2k=0.0), "are all 0: there is nothing to train"),
        (
            dict(width=1 / 16, heads=4, a2k_taps=("relu2_1",)),
            "relu2_1 into 8 heads, and 12 channels do not split",
        ),
    ],
)
def test_what_the_loss_refuses_is_said_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        train(config_of(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_painter_starts_from_one_of_its_own_architecture(unbroken, tmp_path):
    config = config_of(steps=4, initial=str(unbroken), variant="no_pa_step1")
    with pytest.raises(UserError, match="config.initial: .*variant: full before, no_pa_step1 now"):
        train(config, tmp_path / "run")


def test_an_encoder_of_another_width_is_refused(unbroken):
    with pytest.raises(ValueError, match="has width 0.125; set --config.width=0.125"):
        train(config_of(steps=4, width=0.25, encoder=str(unbroken)), unbroken / "other")


def test_a_missing_encoder_is_an_error_that_says_which_command_makes_one(tmp_path):
    with pytest.raises(WeightsError, match="config.encoder: .*python convert_vgg.py --vgg="):
        train(config_of(encoder=str(tmp_path / "vgg")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_last_checkpoint(tmp_path):
    config = config_of(steps=8, learning_rate=1e30, checkpoint_every=1)
    with pytest.raises(NotFiniteError, match="loss, .* is not finite at step 2"):
        train(config, tmp_path)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.latest() == 1
