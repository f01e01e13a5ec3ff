"""What a run's directory remembers of how the run was started."""

import json
import os

import numpy as np
import pytest

from configs import smoke
from stya2k_jax.data.opening import open_sources
from stya2k_jax.errors import UserError
from stya2k_jax.training import run_directory as settings
from stya2k_jax.training.recipe import recipe_of
from tests.support.commands import run_command

FROZEN = {"encoder": {"kernel": np.arange(6.0)}}
MUTATIONS = dict(
    seed=1,
    load_size=81,
    crop_size=63,
    batch_size=3,
    width=0.5,
    variant="no_da",
    heads=4,
    dtype="bfloat16",
    lambda_global=9.0,
    loss_norm="l2",
    global_taps=("relu1_1",),
    learning_rate=2e-3,
    schedule="paper",
    steps=99,
    clip_norm=1.0,
    accumulate=2,
)


def settings_of(**fields):
    config = smoke.get_config()
    sources = open_sources({"content": "demo:", "style": "demo:"}, 1)
    config.update(fields)
    return settings.settings_of(recipe_of(config).config, sources, FROZEN)


def start(*arguments, **options) -> None:
    with settings.open_workdir(*arguments, **options):
        pass


@pytest.fixture
def begun(tmp_path):
    start(tmp_path, settings_of())
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("field", MUTATIONS)
def test_a_changed_field_is_refused_by_name(begun, field):
    before = (begun / "config.json").read_text()
    with pytest.raises(UserError, match=rf"config\.{field}: .* before, .* now"):
        start(begun, settings_of(**{field: MUTATIONS[field]}))
    assert (begun / "config.json").read_text() == before


def test_all_changed_fields_are_named_and_allowed_by_name(begun, caplog):
    now = settings_of(seed=1, steps=99)
    with pytest.raises(UserError, match="(?s)seed.*steps.*--allow_changes=seed,steps"):
        start(begun, now)
    with pytest.raises(UserError, match="(?s)steps: 100 before, 99 now.*--allow_changes=steps"):
        start(begun, now, allow_changes=["seed"])
    start(begun, now, allow_changes=["seed", "steps"])
    assert "config.seed: 0 before, 1 now, as --allow_changes says" in caplog.text
    assert json.loads((begun / "config.json").read_text())["config"]["steps"] == 99
    with pytest.raises(UserError, match="--allow_changes=sead: there is no such config field"):
        start(begun, now, allow_changes=["sead"])


@pytest.mark.parametrize("field", settings.FREE_FIELDS)
def test_fields_that_change_no_number_are_free(begun, field):
    start(begun, settings_of(**{field: 7}))


@pytest.mark.parametrize("kind", ["content", "style", "encoder"])
def test_other_pictures_and_networks_under_the_same_name_are_refused(begun, kind):
    now = settings_of()
    now["found"][kind] = now["found"][kind] | {"fingerprint": "another"}
    with pytest.raises(UserError, match=rf"config\.{kind}\.fingerprint: .* before, another now"):
        start(begun, now)
    start(begun, now, allow_changes=[kind])


def test_a_run_without_a_checkpoint_may_start_anew_with_anything(tmp_path):
    start(tmp_path, settings_of())
    start(tmp_path, settings_of(seed=1))
    assert json.loads((tmp_path / "config.json").read_text())["config"]["seed"] == 1


def test_checkpoints_of_nobody_knows_which_run_are_left_alone(begun):
    (begun / "config.json").unlink()
    with pytest.raises(UserError, match="holds something else, checkpoints, and no config.json"):
        start(begun, settings_of())
    assert not (begun / "config.json").exists()


@pytest.mark.parametrize("field", ["content", "style", "encoder"])
def test_a_path_may_be_spelt_in_another_way_if_it_leads_to_the_same(begun, field):
    now = settings_of(**{field: "./elsewhere"})
    start(begun, now)
    now["found"][field] = now["found"][field] | {"fingerprint": "another"}
    now["config"][field] = "a/third"
    words = rf"config\.{field}: ./elsewhere before, a/third now; config\.{field}\.fingerprint: "
    with pytest.raises(UserError, match=words):
        start(begun, now)
    with pytest.raises(UserError, match=words):
        start(begun, now, allow_changes=["seed", "load_size"])


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"config": []}', b'{"config": {}}', b"\xff", b"[" * 100_000]
)
def test_settings_that_cannot_be_read_are_named(begun, content):
    (begun / "config.json").write_bytes(content)
    with pytest.raises(UserError, match="config.json is damaged"):
        start(begun, settings_of())


def test_a_second_run_in_the_directory_is_refused_and_touches_nothing(tmp_path):
    with settings.open_workdir(tmp_path, settings_of()):
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(UserError, match=rf"in use by process {os.getpid()} on "):
            start(tmp_path, settings_of(seed=1))
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    start(tmp_path, settings_of(seed=1))


def test_a_second_process_is_told_who_is_at_work(tmp_path):
    with settings.open_workdir(tmp_path, settings_of()):
        second = run_command(
            *("train.py", "--config=configs/smoke.py", f"--workdir={tmp_path}"),
            *("--config.width=0.125", "--config.steps=1"),
        )
    assert second.returncode == 1
    assert f"error: {tmp_path} is in use by process {os.getpid()} on " in second.stderr
    assert "choose another --workdir" in second.stderr and "Traceback" not in second.stderr
