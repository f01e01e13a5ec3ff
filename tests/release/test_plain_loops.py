"""Two independent readings of the description agree: NumPy loops and PyTorch with masks."""

import numpy as np
import pytest

from tests.support import plain_loops as loop
from tests.support.reference_weights import load_golden, needs_reference, recipe_weights

torch = pytest.importorskip("torch")

from tests.support import torch_reference as ref  # noqa: E402  (it imports torch)

pytestmark = pytest.mark.parity

WIDTH = 0.125
TIGHT = 1e-9  # of the largest value; both sides are float64
SIZES = [  # content, style
    ((45, 61), (70, 33)),
    ((64, 64), (64, 64)),
    ((32, 96), (17, 15)),
    ((1, 1), (1, 1)),
    ((2, 3), (1, 40)),
    ((1, 40), (2, 3)),
    ((3, 1), (40, 21)),
    ((40, 21), (1, 1)),
]


@pytest.fixture(scope="module")
def weights():
    return recipe_weights(width=WIDTH)


def picture(seed, size, channels=3):
    return np.random.default_rng(seed).random((*size, channels))


def nchw(x):
    return ref.from_nhwc(x[None], torch.float64)


def hwc(x):
    return ref.to_nhwc(x)[0]


def assert_close(got, expected, tolerance=TIGHT):
    """Compares with the largest value of what is expected."""
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize("size", [(45, 61), (1, 1), (2, 3), (1, 40), (40, 1), (17, 34)])
def test_both_encoders_agree_at_any_size(size, pooling, weights):
    image = picture(0, size)
    taps = ref.Encoder(weights["vgg"], pooling).double()(nchw(image))
    expected = loop.encode(weights["vgg"], image, pooling)
    assert set(taps) == set(expected)
    for tap in loop.TAPS:
        assert_close(hwc(taps[tap]), expected[tap])


@pytest.mark.parametrize("variant", ref.VARIANTS)
@pytest.mark.parametrize(
    ("content", "style", "block_size"),
    [
        ((8, 8), (8, 8), 4),
        ((11, 6), (5, 13), 4),
        ((3, 9), (17, 10), 8),
        ((1, 1), (9, 2), 4),
        ((9, 7), (1, 1), 4),
        ((2, 2), (3, 3), 8),
        ((7, 12), (10, 1), 2),
    ],
)
@torch.no_grad()
def test_both_attentions_agree_at_any_size(content, style, block_size, variant, weights):
    own = loop.tap_weights(weights)["relu4_1"]
    channels = own["q.bias"].size
    f_c, f_s = picture(1, content, channels) - 0.3, picture(2, style, channels) - 0.3
    expected, expected_index, _ = loop.a2k(own, f_c, f_s, block_size, variant=variant)
    module = ref.A2K(own, block_size, variant=variant).double()
    out, index = module.with_index(nchw(f_c), nchw(f_s))
    assert_close(hwc(out), expected)
    if expected_index is None:
        assert variant in ("no_pa", "all_to_all")
    else:
        np.testing.assert_array_equal(index[0].numpy(), expected_index)


@pytest.mark.parametrize(("content", "style"), SIZES)
@torch.no_grad()
def test_both_models_agree_at_any_size(content, style, weights):
    content, style = picture(3, content), picture(4, style)
    expected, _ = loop.forward(weights, content, style)
    assert expected.shape == content.shape
    out = ref.build(weights, torch.float64)(nchw(content), nchw(style))
    assert_close(hwc(out), expected)


@pytest.mark.parametrize("variant", ref.VARIANTS[1:])
@torch.no_grad()
def test_both_models_agree_in_every_variant(variant, weights):
    content, style = picture(5, (45, 61)), picture(6, (70, 33))
    expected, _ = loop.forward(weights, content, style, variant=variant)
    out = ref.build(weights, torch.float64, variant=variant)(nchw(content), nchw(style))
    assert_close(hwc(out), expected)


@pytest.mark.parametrize("norm", ["mse", "l2"])
@pytest.mark.parametrize(("content", "style"), SIZES)
@torch.no_grad()
def test_both_losses_agree_at_any_size(content, style, norm, weights):
    images = [picture(7, content), picture(8, content), picture(9, style)]
    taps = [loop.encode(weights["vgg"], image) for image in images]
    targets = loop.a2k_targets(*taps[1:])
    expected = loop.losses(*taps, targets, norm)

    encoder = ref.Encoder(weights["vgg"]).double()
    taps_cs, taps_c, taps_s = (encoder(nchw(image)) for image in images)
    torch_targets = ref.a2k_targets(taps_c, taps_s)
    for tap, target in targets.items():
        assert_close(hwc(torch_targets[tap]), target)
    got = {
        "global": ref.loss_global(taps_cs, taps_s, norm),
        "a2k": ref.loss_a2k(taps_cs, torch_targets, norm),
        "content": ref.loss_content(taps_cs, taps_c),
    }
    for name, value in got.items():
        np.testing.assert_allclose(value.item(), expected[name], rtol=1e-9, atol=1e-15)


def test_losses_of_several_pictures_are_means_of_each(weights):
    encoder = ref.Encoder(weights["vgg"]).double()
    batch = [
        np.stack([picture(i, size), picture(i + 1, size)])
        for i, size in ((10, (19, 24)), (12, (19, 24)), (14, (33, 16)))
    ]
    for norm in ("mse", "l2"):
        each = [
            loop.losses(*(loop.encode(weights["vgg"], image[i]) for image in batch), norm=norm)
            for i in range(2)
        ]
        taps_cs, taps_c, taps_s = (encoder(ref.from_nhwc(x, torch.float64)) for x in batch)
        got = ref.loss_a2k(taps_cs, ref.a2k_targets(taps_c, taps_s), norm).item()
        np.testing.assert_allclose(got, np.mean([losses["a2k"] for losses in each]), rtol=1e-9)
        got = ref.loss_global(taps_cs, taps_s, norm).item()
        np.testing.assert_allclose(got, np.mean([losses["global"] for losses in each]), rtol=1e-9)


def test_the_blocks_chosen_can_be_forced(weights):
    own = loop.tap_weights(weights)["relu5_1"]
    f_c, f_s = picture(16, (6, 9), 64), picture(17, (8, 8), 64)
    free, index, scores = loop.a2k(own, f_c, f_s, 4)
    np.testing.assert_array_equal(index, scores.argmax(2))
    np.testing.assert_array_equal(loop.a2k(own, f_c, f_s, 4, choose=index)[0], free)
    other = loop.a2k(own, f_c, f_s, 4, choose=(index + 1) % scores.shape[2])[0]
    assert np.abs(other - free).max() > 1e-3


@needs_reference
def test_the_loops_give_the_golden_attention():
    golden = load_golden("a2k_relu5.npz")
    own = loop.tap_weights(recipe_weights())["relu5_1"]
    f_c, f_s = (golden[key][0].astype(np.float64) for key in ("content", "style"))
    out, index, scores = loop.a2k(own, f_c, f_s, loop.BLOCK_SIZE["relu5_1"])
    np.testing.assert_array_equal(index, golden["pa_index"][0])
    first, second = np.sort(scores, axis=2)[:, :, :-3:-1].transpose(2, 0, 1)
    assert (first - second).min() > 1e-5 * np.abs(scores).max()  # no near tie decides this test
    assert_close(out, golden["out"][0], 2e-7)
