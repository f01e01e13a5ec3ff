"""A small encoder learns its teacher's features, and its heads give them in the teacher's scale."""

from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx

from configs import encoder_mini
from stya2k_jax.conversion.normalized_vgg import mean_activations
from stya2k_jax.errors import WeightsError
from stya2k_jax.network.architecture import TAPS, Architecture
from stya2k_jax.network.model import new_encoder
from stya2k_jax.training import loop
from stya2k_jax.training import train_encoder as distilling
from stya2k_jax.training.student import load_student, new_student
from stya2k_jax.training.train_encoder import FLOOR, distil, make_loss, rescaled
from stya2k_jax.training.train_painter import train
from stya2k_jax.weights.model_files import load_encoder, save_encoder
from tests.support.small_model import WIDTH, pictures
from tests.support.training_runs import config_of, rows_of

TEACHER, SMALL = Architecture(width=2 * WIDTH), Architecture(width=WIDTH)


@partial(jax.jit, static_argnums=0)
def call(graph, state, image):
    return nnx.merge(graph, state)(image)


def apply(network, image):
    return call(*nnx.split(network), image)


def config_for(teacher, **changes):
    config = encoder_mini.get_config()
    config.update(content="demo:", style="demo:", encoder=str(teacher), width=WIDTH, workers=0)
    config.update(load_size=40, crop_size=32, batch_size=4, steps=3, checkpoint_every=2)
    config.update(changes)
    return config


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    directory = tmp_path_factory.mktemp("teacher")
    save_encoder(directory, new_encoder(TEACHER, seed=3), TEACHER)
    return directory


@pytest.fixture(scope="module", autouse=True)
def few_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distilling, "FITTED_OVER", 4)
        patch.setattr(distilling, "NORMALIZED_OVER", 4)
        patch.setattr(distilling, "NORMALIZED_PX", 64)
        yield


@pytest.fixture(scope="module")
def finished(teacher, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("student")
    assert distil(config_for(teacher), workdir) == 3
    return workdir


def test_a_student_speaks_in_the_teachers_channels():
    (image,) = pictures(0, (19, 26))
    taps = apply(new_student(SMALL, TEACHER, seed=1), image)
    expected = apply(new_encoder(TEACHER, seed=2), image)
    assert {tap: x.shape for tap, x in taps.items()} == {t: x.shape for t, x in expected.items()}


def test_the_loss_is_the_mean_square_of_each_taps_error():
    student, teacher = new_student(SMALL, TEACHER, seed=1), new_encoder(TEACHER, seed=2)
    content, style = pictures(4, (16, 16), (16, 16), batch=2)
    loss, terms = jax.jit(make_loss(student, teacher))(
        nnx.state(student), {"teacher": nnx.state(teacher)}, {"content": content, "style": style}
    )
    both = np.concatenate([content, style])
    ours, theirs = apply(student, both), apply(teacher, both)
    expected = {t: np.mean((np.asarray(ours[t]) - np.asarray(theirs[t])) ** 2) for t in TAPS}
    for tap in TAPS:
        np.testing.assert_allclose(terms[f"loss_{tap}"], expected[tap], rtol=1e-4)
    np.testing.assert_allclose(loss, sum(expected.values()), rtol=1e-4)


def test_rescaling_gives_all_but_weak_channels_a_mean_of_1_and_changes_no_estimate():
    student = new_student(SMALL, TEACHER, seed=1)
    photographs = [image[0] for image in pictures(5, (24, 24), (24, 24))]
    before = apply(student, photographs[0][None])
    means = mean_activations(student.encoder, photographs)
    student = rescaled(student, photographs)
    for tap, x in apply(student, photographs[0][None]).items():
        np.testing.assert_allclose(x, before[tap], rtol=1e-3, atol=1e-3 * np.abs(before[tap]).max())
    for name, mean in mean_activations(student.encoder, photographs).items():
        weak = means[name] < FLOOR * np.median(means[name])
        active = ~weak & (means[name] > 0)
        np.testing.assert_allclose(mean[active], 1, rtol=1e-3, err_msg=name)
        assert (mean[weak] < 1).all() and active.any(), name


def test_a_finished_run_is_an_encoder_and_a_surrogate(finished, teacher):
    assert sorted(rows_of(finished)) == [1, 2, 3]
    encoder, architecture = load_encoder(finished)
    assert architecture.width == WIDTH
    (image,) = pictures(6, (20, 20))
    student = load_student(finished)
    for tap, x in apply(encoder, image).items():
        assert x.shape[3] == SMALL.channels(tap)
        assert apply(student, image)[tap].shape[3] == TEACHER.channels(tap)


def test_a_painter_learns_through_a_surrogate(finished, tmp_path):
    config = config_of(
        width=WIDTH, encoder=str(finished), loss_encoder=f"surrogate:{finished}", steps=2
    )
    assert train(config, tmp_path) == 2


def test_an_encoder_without_heads_is_no_surrogate(teacher, tmp_path):
    config = config_of(encoder=str(teacher), width=2 * WIDTH, loss_encoder=f"surrogate:{teacher}")
    with pytest.raises(WeightsError, match="config.loss_encoder: .* has no heads.safetensors"):
        train(config, tmp_path / "run")


def test_a_missing_teacher_is_named(tmp_path):
    with pytest.raises(WeightsError, match="config.encoder: There is no encoder in"):
        distil(config_for(tmp_path / "nothing"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("left", ["", "4"])
def test_a_run_that_was_cut_off_before_its_first_whole_checkpoint_begins_anew(
    teacher, tmp_path, monkeypatch, left
):
    begun = []

    def cut_off(run, checkpoints, task):
        begun.append(nnx.state(task.network))
        (run.workdir / "checkpoints" / left).mkdir(parents=True, exist_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "fit", cut_off)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            distil(config_for(teacher), tmp_path)
    jax.tree.map(np.testing.assert_array_equal, *begun)
