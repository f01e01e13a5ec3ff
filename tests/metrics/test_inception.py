"""ArtFID's Inception-v3 against PyTorch's layers, and the file that holds its weights."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from stya2k_jax.conversion.pytorch_files import save_state_dict
from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.metrics.inception import Inception, _convolutions, expected_shapes, load_inception
from tests.support.metric_networks import inception_weights
from tests.support.small_model import pictures


@pytest.fixture(scope="module")
def weights():
    return inception_weights()


def test_it_has_the_parameters_of_inception_v3_without_its_classifiers():
    shapes = expected_shapes()
    assert len(_convolutions()) == 94
    learned = {name: shape for name, shape in shapes.items() if ".running_" not in name}
    # torchvision's 27,161,264 less 2,049,000 of the classifier and 3,326,696 of the auxiliary one
    assert sum(np.prod(shape) for shape in learned.values()) == 21_785_568


def test_pictures_of_a_batch_have_their_own_features(weights):
    network = Inception(weights)
    x = np.concatenate(pictures(0, (80, 91), (80, 91)))
    together = network(x)
    assert together.shape == (2, 2048)
    np.testing.assert_allclose(together[1:], network(x[1:]), rtol=1e-4, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3


@pytest.mark.parity
@pytest.mark.parametrize("size", [(75, 75), (128, 101)])
def test_features_are_those_of_the_art_fid_package(weights, size):
    torch = pytest.importorskip("torch")
    package = importlib.util.find_spec("art_fid")
    if package is None:
        pytest.skip("needs art-fid: pip install --no-deps art-fid")
    # The file alone: the package itself imports torchvision.
    path = Path(package.submodule_search_locations[0], "inception.py")
    spec = importlib.util.spec_from_file_location("art_inception", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    theirs = module.Inception3(init_weights=False)
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    missing, unexpected = theirs.load_state_dict(tensors, strict=False)
    assert not unexpected
    assert not [x for x in missing if not x.startswith(("AuxLogits", "fc")) and "num_b" not in x]
    (x,) = pictures(1, size, batch=2)
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(x).permute(0, 3, 1, 2), return_features=True)
    np.testing.assert_allclose(Inception(weights)(x), expected.numpy(), rtol=1e-3, atol=1e-4)


### Files


def test_a_file_is_opened_and_classifiers_in_it_are_passed_over(weights, tmp_path):
    more = {"fc1.weight": np.zeros((2, 2048), np.float32), "Mixed_7c.extra": np.zeros(1)}
    save_state_dict(tmp_path / "art.safetensors", weights | more)
    (x,) = pictures(2, (75, 75))
    np.testing.assert_array_equal(
        load_inception(tmp_path / "art.safetensors")(x), Inception(weights)(x)
    )


def test_a_file_that_is_missing_or_anothers_is_refused_with_where_it_is_published(
    weights, tmp_path
):
    with pytest.raises(WeightsError, match="There is no Inception file .*huggingface.co/matthias"):
        load_inception(tmp_path / "art.safetensors")
    other = weights | {"Mixed_5b.branch1x1.conv.weight": np.zeros((64, 3, 1, 1), np.float32)}
    del other["Mixed_7c.branch_pool.bn.running_var"]
    with pytest.raises(WeightsError) as error:
        Inception(other)
    for line in ("missing: Mixed_7c.branch_pool.bn.running_var (192,)", "Mixed_5b.branch1x1.conv"):
        assert line in str(error.value)


def test_a_picture_that_is_too_small_is_refused(weights):
    with pytest.raises(UserError, match=r"75 pixels a side; got \(74, 80\)"):
        Inception(weights)(np.zeros((1, 74, 80, 3), np.float32))
