"""FID of an evaluation: over the pictures that were measured, and computed once."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.conversion.pytorch_files import save_state_dict
from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.evaluation.evaluate_pictures import Options, evaluate
from stya2k_jax.evaluation.protocol import Protocol
from stya2k_jax.evaluation.systems import open_systems
from stya2k_jax.metrics.fid import frechet_distance
from stya2k_jax.metrics.inception import Inception
from stya2k_jax.weights.model_files import save_encoder
from tests.support.metric_networks import inception_weights, lpips_weights
from tests.support.picture_files import noise, saved
from tests.support.small_model import small_model

SIDE = 76


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    model, _ = small_model()
    save_encoder(folder / "judge", model.encoder, model.architecture)
    save_state_dict(folder / "art.safetensors", inception_weights())
    save_state_dict(folder / "lpips.safetensors", lpips_weights("alexnet"))
    contents = [saved(folder / "c" / f"c{i}.png", noise(i, SIDE, SIDE, 3)) for i in range(3)]
    styles = [saved(folder / "s" / f"s{i}.png", noise(10 + i, SIDE, SIDE, 3)) for i in range(2)]
    for i, content in enumerate(contents):
        for j, style in enumerate(styles):
            saved(
                folder / "theirs" / f"{content.stem}_stylized_{style.stem}.png",
                noise(20 + 2 * i + j, SIDE, SIDE, 3),
            )
    return folder, contents, styles


def evaluated(given, output: Path, **changes) -> dict:
    folder, contents, styles = given
    options = dict(measure=("lpips",), lpips=folder / "lpips.safetensors") | changes
    protocol = Protocol(
        judge=folder / "judge", size_px=SIDE, inception=folder / "art.safetensors", **options
    )
    systems = open_systems([f"theirs={folder / 'theirs'}"])
    evaluate(protocol, contents, styles, output, systems, Options(references=True))
    return json.loads((output / "metrics.json").read_text())


def test_fid_compares_pictures_with_styles_that_count_once_a_pair(given, tmp_path):
    folder, contents, styles = given
    metrics = evaluated(given, tmp_path)
    found = metrics["fid"]
    network = Inception(inception_weights())

    def features(paths: list[Path]) -> np.ndarray:
        return np.concatenate(
            [network(np.asarray(Image.open(x))[None] / np.float32(255)) for x in paths]
        )

    theirs = features(sorted((folder / "theirs").iterdir()))
    of_contents, of_styles = features(contents)[[0, 0, 1, 1, 2, 2]], features(styles)[[0, 1] * 3]
    expected = frechet_distance(of_styles, theirs)
    np.testing.assert_allclose(found["theirs"]["fid"], expected, rtol=1e-4)
    lpips = metrics["metrics"]["theirs"]["lpips"]["mean"]
    np.testing.assert_allclose(found["theirs"]["art_fid"], (1 + lpips) * (1 + expected), rtol=1e-4)
    expected = frechet_distance(of_styles, of_contents)
    np.testing.assert_allclose(found["content unchanged"]["fid"], expected, rtol=1e-4)
    assert abs(found["style itself"]["fid"]) < 1e-6 * expected
    assert all(x["pictures"] == 6 for x in found.values())
    page = (tmp_path / "report.html").read_text()
    assert f"<td>{found['theirs']['fid']:.4g}</td>" in page and "art.safetensors" in page
    assert "FID and ArtFID are left out" not in page
    # Nothing is computed again.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "inception").iterdir()}
    assert len(before) == 3 + 2 + 6 and evaluated(given, tmp_path)["fid"] == found
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "inception").iterdir()}


def test_without_lpips_there_is_fid_alone(given, tmp_path):
    found = evaluated(given, tmp_path, measure=("ssim",), lpips=None)["fid"]["theirs"]
    assert list(found) == ["pictures", "fid"]


def test_a_missing_network_or_too_small_pictures_are_refused_at_once(given, tmp_path):
    judge = given[0] / "judge"
    with pytest.raises(WeightsError, match="There is no Inception file .*nowhere"):
        evaluate(
            Protocol(judge=judge, measure=("ssim",), inception=Path("nowhere")),
            *given[1:],
            tmp_path / "out",
            open_systems([f"theirs={given[0] / 'theirs'}"]),
        )
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="FID needs pictures of 75 pixels; raise --size"):
        Protocol(judge=judge, measure=("ssim",), inception=Path("nowhere"), size_px=64)
