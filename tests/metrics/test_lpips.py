"""LPIPS against plain NumPy, PyTorch and the lpips package, and the file that holds its weights."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from stya2k_jax.conversion.pytorch_files import read_state_dict, save_state_dict
from stya2k_jax.errors import WeightsError
from stya2k_jax.metrics.lpips import BACKBONES, Lpips, expected_shapes, join, load_lpips
from tests.support.metric_networks import lpips_weights
from tests.support.numpy_layers import numpy_convolution, numpy_pooling
from tests.support.paths import reference_path
from tests.support.reference_weights import needs_reference
from tests.support.small_model import pictures

REAL = ("weights", "alexnet_lpips.safetensors")
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


# Index in torchvision's `features`: what happens there. Written out again, not taken from ours.
ALEXNET = "0 c11/4+2, tap, pool3, 3 c5+2, tap, pool3, 6 c3+1, tap, 8 c3+1, tap, 10 c3+1, tap"
VGG16 = (
    "0 c3+1, 2 c3+1, tap, pool2, 5 c3+1, 7 c3+1, tap, pool2, 10 c3+1, 12 c3+1, 14 c3+1, tap, pool2,"
    " 17 c3+1, 19 c3+1, 21 c3+1, tap, pool2, 24 c3+1, 26 c3+1, 28 c3+1, tap"
)


def numpy_taps(description, weights, picture):
    x = (2 * picture.astype(np.float64) - 1 - np.array(SHIFT)) / np.array(SCALE)
    taps = []
    for word in description.split(", "):
        if word == "tap":
            taps.append(x)
        elif word.startswith("pool"):
            x = numpy_pooling(x, int(word[4:]))
        else:
            key, kind = word.split(" c")
            side_and_stride, padding = kind.split("+")
            stride = int((side_and_stride.split("/") + ["1"])[1])
            w, b = weights[f"features.{key}.weight"], weights[f"features.{key}.bias"]
            x = np.maximum(numpy_convolution(x, w, b, stride, int(padding)), 0)
    return taps


def numpy_distance(taps_x, taps_y, weights):
    total = 0.0
    for i, (x, y) in enumerate(zip(taps_x, taps_y, strict=True)):
        head, values = weights[f"lin{i}.model.1.weight"].ravel(), []
        for row in range(x.shape[0]):
            for column in range(x.shape[1]):
                a, b = x[row, column], y[row, column]
                a, b = (v / (np.sqrt((v**2).sum()) + 1e-10) for v in (a, b))
                values.append((head * (a - b) ** 2).sum())
        total += np.mean(values)
    return total


@pytest.mark.parametrize(("backbone", "description"), [("alexnet", ALEXNET), ("vgg16", VGG16)])
def test_distance_is_that_of_numpy_loops(backbone, description):
    weights = lpips_weights(backbone)
    network = Lpips(weights)
    assert network.backbone == backbone
    x, y = pictures(0, (35, 34), (35, 34))
    ours = network.distance(network.features(x), network.features(y))
    taps = [numpy_taps(description, weights, picture[0]) for picture in (x, y)]
    np.testing.assert_allclose(ours, [numpy_distance(*taps, weights)], rtol=1e-4)


def test_pictures_of_a_batch_are_compared_one_by_one():
    network = Lpips(lpips_weights("alexnet"))
    x, y = pictures(1, (40, 40), (40, 40), batch=3)
    together = network.distance(network.features(x), network.features(y))
    for i in range(3):
        alone = network.distance(network.features(x[i : i + 1]), network.features(y[i : i + 1]))
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-5)
    np.testing.assert_array_equal(
        network.distance(network.features(x), network.features(x)), np.zeros(3)
    )


@pytest.mark.parity
@pytest.mark.parametrize("real", [False, pytest.param(True, marks=needs_reference)])
def test_distance_is_that_of_pytorch(real):
    torch = pytest.importorskip("torch")
    weights = read_state_dict(reference_path(*REAL)) if real else lpips_weights("alexnet", 1)
    f = torch.nn.functional
    tensors = {name: torch.from_numpy(array).double() for name, array in weights.items()}
    x, y = pictures(2, (96, 101), (96, 101), batch=2)
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in (SHIFT, SCALE))

    def taps(picture):
        h, found = torch.from_numpy(picture).double().permute(0, 3, 1, 2) * 2 - 1, []
        h = (h - shift) / scale
        for key, stride, padding, pool in ((0, 4, 2, 0), (3, 1, 2, 3), (6, 1, 1, 3), (8, 1, 1, 0)):
            h = f.max_pool2d(h, pool, 2) if pool else h
            h = f.conv2d(h, *parameters(key), stride=stride, padding=padding).relu()
            found.append(h)
        return [*found, f.conv2d(h, *parameters(10), padding=1).relu()]

    def parameters(key):
        return tensors[f"features.{key}.weight"], tensors[f"features.{key}.bias"]

    total = 0
    for i, (a, b) in enumerate(zip(taps(x), taps(y), strict=True)):
        a, b = (v / (v.pow(2).sum(1, keepdim=True).sqrt() + 1e-10) for v in (a, b))
        head = tensors[f"lin{i}.model.1.weight"]
        total = total + f.conv2d((a - b) ** 2, head).mean((2, 3))[:, 0]
    network = Lpips(weights)
    ours = network.distance(network.features(x), network.features(y))
    np.testing.assert_allclose(ours, total.numpy(), rtol=1e-5)


def torch_features(backbone, torch):
    """Lays out torchvision's `features`, which the lpips package cuts into its five slices."""
    description = {"alexnet": ALEXNET, "vgg16": VGG16}[backbone].replace(", tap", "")
    layers = []
    for word in description.split(", "):
        if word.startswith("pool"):
            layers.append(torch.nn.MaxPool2d(int(word[4:]), 2))
            continue
        key, kind = word.split(" c")
        assert len(layers) == int(key)
        d, c, side, _ = expected_shapes(backbone)[f"features.{key}.weight"]
        stride, padding = int((kind.split("+")[0].split("/") + ["1"])[1]), int(kind.split("+")[1])
        layers += [torch.nn.Conv2d(c, d, side, stride, padding), torch.nn.ReLU(inplace=True)]
    return torch.nn.Sequential(*layers)


@pytest.fixture
def package(monkeypatch):
    """The lpips package, on a torchvision that has nothing but the layers of both networks."""
    torch = pytest.importorskip("torch")
    models = ModuleType("torchvision.models")
    for name in ("alexnet", "vgg16"):
        network = SimpleNamespace(features=torch_features(name, torch))
        setattr(models, name, lambda pretrained, network=network: network)
    torchvision = ModuleType("torchvision")
    torchvision.models = models
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    yield pytest.importorskip("lpips", reason="needs lpips: pip install --no-deps lpips")
    for name in [name for name in sys.modules if name.partition(".")[0] == "lpips"]:
        del sys.modules[name]  # it holds on to the torchvision of this test


@pytest.mark.parity
@pytest.mark.parametrize(
    ("backbone", "net", "real"),
    [
        ("alexnet", "alex", False),
        ("vgg16", "vgg", False),
        pytest.param("alexnet", "alex", True, marks=needs_reference),
    ],
)
def test_distance_is_that_of_the_lpips_package(package, backbone, net, real, tmp_path):
    import torch

    drawn = read_state_dict(reference_path(*REAL)) if real else lpips_weights(backbone, 2)
    convolutions = {name: array for name, array in drawn.items() if name.startswith("features")}
    save_state_dict(tmp_path / "backbone.safetensors", convolutions)
    heads = Path(package.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    weights = join(tmp_path / "backbone.safetensors", heads)
    if real:  # the file's heads are the package's
        for name in drawn:
            np.testing.assert_array_equal(weights[name], drawn[name], err_msg=name)
    theirs = package.LPIPS(net=net, version="0.1", verbose=False)
    slices = [getattr(theirs.net, f"slice{i}") for i in range(1, 6)]
    for name, layer in (item for part in slices for item in part.named_children()):
        if hasattr(layer, "weight"):
            layer.weight.copy_(torch.tensor(weights[f"features.{name}.weight"]))
            layer.bias.copy_(torch.tensor(weights[f"features.{name}.bias"]))
    noise, other = pictures(3, (96, 101), (96, 101), batch=2)
    smooth = np.cumsum(noise - 0.5, axis=1).clip(0, 1)  # and something less alike in its places
    for x, y in ((noise, other), (noise, smooth), (noise, noise)):
        tensors = (torch.from_numpy(z).permute(0, 3, 1, 2) for z in (x, y))
        with torch.no_grad():
            expected = theirs(*tensors, normalize=True).numpy().reshape(-1)
        network = Lpips(weights)
        ours = network.distance(network.features(x), network.features(y))
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)


### Files


@pytest.fixture
def published(tmp_path):
    """The two files as they are published: a classifier comes along with the backbone."""
    weights = lpips_weights("alexnet")
    backbone = {name: array for name, array in weights.items() if name.startswith("features")}
    heads = {name: array for name, array in weights.items() if name.startswith("lin")}
    backbone["classifier.1.weight"] = np.zeros((4, 4), np.float32)
    save_state_dict(tmp_path / "backbone.safetensors", backbone)
    save_state_dict(tmp_path / "heads.safetensors", heads)
    return tmp_path / "backbone.safetensors", tmp_path / "heads.safetensors"


def test_the_command_joins_backbone_and_heads(published, tmp_path):
    output = tmp_path / "new" / "lpips.safetensors"
    command = [sys.executable, "-m", "stya2k_jax", "convert-lpips", f"--backbone={published[0]}"]
    done = subprocess.run(
        [*command, f"--heads={published[1]}", f"--output={output}"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "Wrote LPIPS on alexnet" in done.stdout, done.stderr
    (x,) = pictures(3, (40, 40))
    for ours, given in zip(
        load_lpips(output).features(x), Lpips(lpips_weights("alexnet")).features(x), strict=True
    ):
        np.testing.assert_array_equal(ours, given)


def test_files_that_are_missing_are_named_with_where_they_are_published(published, tmp_path):
    with pytest.raises(WeightsError, match="(?s)No such file: .*alex.pth.*download.pytorch.org"):
        join(published[0], tmp_path / "alex.pth")
    with pytest.raises(WeightsError, match="There is no LPIPS file .*convert-lpips --backbone"):
        load_lpips(tmp_path / "lpips.safetensors")


def test_heads_of_another_network_are_refused_tensor_by_tensor(published, tmp_path):
    weights = lpips_weights("vgg16")
    heads = {name: array for name, array in weights.items() if name.startswith("lin")}
    heads["extra"] = np.zeros(1, np.float32)
    del heads["lin4.model.1.weight"]
    save_state_dict(tmp_path / "vgg.safetensors", heads)
    with pytest.raises(WeightsError) as error:
        join(published[0], tmp_path / "vgg.safetensors")
    for line in ("missing: lin4", "unexpected: extra", r"shape of lin1.model.1.weight: (1, 128"):
        assert line in str(error.value)


def test_a_file_of_neither_network_is_refused(tmp_path):
    save_state_dict(tmp_path / "other.safetensors", {"features.0.weight": np.zeros((2, 3, 4, 4))})
    with pytest.raises(WeightsError, match=r"features.0.weight has shape \(2, 3, 4, 4\); expected"):
        load_lpips(tmp_path / "other.safetensors")


@needs_reference
def test_the_reference_file_opens_and_its_heads_are_not_negative():
    weights = read_state_dict(reference_path(*REAL))
    assert load_lpips(reference_path(*REAL)).backbone == "alexnet"
    for i in range(len([layer for layer in BACKBONES["alexnet"] if layer.tap])):
        assert weights[f"lin{i}.model.1.weight"].min() >= 0
