"""What stands in the padding of a larger array never reaches a real point.

Arrays have one static shape here, their real part any size, and the padding holds numbers that are
larger than any real one. What is expected is computed of the real part alone.
"""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stya2k_jax.network import convolution, cpu_convolution
from stya2k_jax.network.a2k import A2K, RealBlocks
from stya2k_jax.network.architecture import STYLED_TAPS, TAPS, VARIANTS
from stya2k_jax.network.layers import Conv3x3
from stya2k_jax.network.normalization import mean_and_std, normalize
from stya2k_jax.network.pooling import avg_pool, max_pool
from stya2k_jax.network.sizes import Extent
from tests.support import plain_loops as loop
from tests.support.small_model import small_model

FORMS = ("cpu", "winograd", "accelerator")
GARBAGE = 30.0  # standard deviations of what is real

few = settings(max_examples=25, deadline=None, derandomize=True)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def among_garbage(real: np.ndarray, height: int, width: int, seed: int = 99) -> np.ndarray:
    """Puts maps `[b, h, w, c]` into the top left corner of larger ones full of large numbers."""
    x = GARBAGE * normal(seed, len(real), height, width, real.shape[3])
    x[:, : real.shape[1], : real.shape[2]] = real
    return x


def crop(x: jax.Array, height: int, width: int) -> np.ndarray:
    return np.asarray(x)[:, :height, :width]


def in_form(form: str, function: Callable) -> Callable:
    """Compiles a function with the convolutions of the CPU, of Winograd, or of accelerators."""

    def traced(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(convolution, "on_cpu", lambda: form != "accelerator")
            patch.setattr(cpu_convolution, "winograd_pays", lambda *_: form == "winograd")
            return function(*arguments)

    return jax.jit(traced)


### Lengths


@few
@given(height=st.integers(1, 999), width=st.integers(1, 999))
def test_an_extent_halves_as_pooling_does(height, width):
    assert Extent(height, width).halved() == (len(range(0, height, 2)), len(range(0, width, 2)))


def test_inside_is_the_top_left_corner():
    inside = np.zeros((5, 4), bool)
    inside[:3, :2] = True
    np.testing.assert_array_equal(Extent(3, 2).inside(5, 4), inside)
    np.testing.assert_array_equal(jax.jit(lambda e: e.inside(5, 4))(Extent(3, 2)), inside)


### Convolutions

KERNEL, BIAS = normal(1, 3, 3, 3, 4), normal(2, 4)


def reflected_conv(x: np.ndarray) -> np.ndarray:
    """Convolves maps with KERNEL in float64, reflecting their border."""
    weights = {"0.weight": KERNEL.transpose(3, 2, 0, 1), "0.bias": BIAS}
    return np.stack([loop.conv(weights, "0", one.astype(np.float64)) for one in x])


def assert_near(out: np.ndarray, expected: np.ndarray) -> None:
    """Allows the rounding of sums in which the garbage took part until it was taken out again."""
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=2e-6 * GARBAGE)


@cache
def convolve(form: str) -> Callable:
    return in_form(form, lambda x, e: convolution.conv3x3(x, KERNEL, BIAS, e))


@pytest.mark.parametrize("form", FORMS)
@few
@given(height=st.integers(2, 9), width=st.integers(2, 10))
def test_a_convolution_reflects_the_border_of_the_real_part(form, height, width):
    real = normal(0, 2, height, width, 3)
    out = convolve(form)(among_garbage(real, 9, 10), Extent(height, width))
    assert_near(crop(out, height, width), reflected_conv(real))


def test_an_extent_of_plain_numbers_is_as_good_as_one_that_is_traced():
    x = among_garbage(normal(0, 1, 5, 6, 3), 9, 10)
    plain = convolution.conv3x3(
        jnp.asarray(x), jnp.asarray(KERNEL), jnp.asarray(BIAS), Extent(5, 6)
    )
    traced = convolve("cpu")(x, Extent(5, 6))
    np.testing.assert_allclose(crop(plain, 5, 6), crop(traced, 5, 6), atol=2e-6 * GARBAGE)


@cache
def upsample_and_convolve(form: str, height: int, width: int) -> Callable:
    return in_form(
        form, lambda x, e: convolution.upsample_conv3x3(x, KERNEL, BIAS, height, width, e)
    )


@pytest.mark.parametrize("whole", [(10, 12), (9, 11)])  # the CPU doubles even maps its own way
@pytest.mark.parametrize("form", FORMS)
@few
@given(data=st.data())
def test_a_doubled_map_is_convolved_at_any_real_size_even_or_odd(form, whole, data):
    height, width = (data.draw(st.integers(2, side)) for side in whole)
    real = normal(0, 2, -(-height // 2), -(-width // 2), 3)
    doubled = real.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    x = among_garbage(real, -(-whole[0] // 2), -(-whole[1] // 2))
    out = upsample_and_convolve(form, *whole)(x, Extent(height, width))
    assert_near(crop(out, height, width), reflected_conv(doubled))


@cache
def convolve_beside(form: str) -> Callable:
    conv = Conv3x3(3, 4, rngs=nnx.Rngs(0))
    conv.kernel[...], conv.bias[...] = jnp.asarray(KERNEL), jnp.asarray(BIAS)
    return in_form(form, conv.after_upsample_beside)


@pytest.mark.parametrize("form", FORMS)
@few
@given(height=st.integers(2, 10), width=st.integers(2, 12))
def test_a_map_beside_a_doubled_one_is_convolved_at_any_real_size(form, height, width):
    real, skip = normal(0, 1, -(-height // 2), -(-width // 2), 2), normal(3, 1, height, width, 1)
    doubled = real.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    out = convolve_beside(form)(
        among_garbage(real, 5, 6), among_garbage(skip, 10, 12), Extent(height, width)
    )
    expected = reflected_conv(np.concatenate([doubled, skip], axis=3))
    assert_near(crop(out, height, width), expected)


### Pooling and statistics


@cache
def pool(name: str) -> Callable:
    return jax.jit({"max": max_pool, "avg": avg_pool}[name])


@pytest.mark.parametrize("whole", [(8, 10), (9, 11)])
@pytest.mark.parametrize("pooling", ["max", "avg"])
@few
@given(data=st.data())
def test_a_partial_window_of_the_real_part_pools_what_it_has(pooling, whole, data):
    height, width = (data.draw(st.integers(2, side)) for side in whole)
    real = normal(0, 1, height, width, 3)
    out = pool(pooling)(among_garbage(real, *whole), Extent(height, width))
    expected = loop.pool(real[0], pooling)
    np.testing.assert_allclose(crop(out, *expected.shape[:2])[0], expected, rtol=1e-5, atol=1e-6)


@few
@given(height=st.integers(1, 9), width=st.integers(1, 10))
def test_statistics_are_those_of_the_real_part(height, width):
    real = 3 + normal(0, 2, height, width, 3)
    x, extent = among_garbage(real, 9, 10), Extent(height, width)
    mean, std = (np.asarray(m)[:, 0, 0] for m in jax.jit(mean_and_std)(x, extent=extent))
    out = crop(jax.jit(normalize)(x, extent=extent), height, width)
    for i, one in enumerate(real.astype(np.float64)):
        expected = loop.mean_and_std(one)
        np.testing.assert_allclose((mean[i], std[i]), expected, rtol=1e-5)
        np.testing.assert_allclose(out[i], loop.normalize(one), rtol=1e-4, atol=1e-3)


def test_not_even_infinity_in_the_padding_changes_the_statistics():
    x = np.full((1, 4, 4, 2), np.inf, np.float32)
    x[:, :2, :3] = normal(0, 1, 2, 3, 2)
    expected = mean_and_std(x[:, :2, :3])
    np.testing.assert_allclose(mean_and_std(x, extent=Extent(2, 3)), expected, rtol=1e-6)


def test_given_moments_take_the_place_of_the_maps_own():
    x, moments = normal(0, 1, 4, 5, 2), (np.full((1, 1, 1, 2), 3.0), np.full((1, 1, 1, 2), 2.0))
    np.testing.assert_allclose(normalize(x, moments=moments), (x - 3) / 2, rtol=1e-6)


### Encoder, decoder and attention

# The first two in the form of accelerators; the CPU's is what tests/test_programs.py runs whole.

WHOLE = (48, 64)
SIZES = [(48, 64), (33, 47), (17, 18), (40, 63), (47, 20)]


@cache
def encoder() -> Callable:
    graph, state = nnx.split(small_model()[0].encoder)
    run = in_form("accelerator", lambda state, x, e: nnx.merge(graph, state)(x, extent=e))
    return lambda x, extent: run(state, x, extent)


@pytest.mark.parametrize("size", SIZES)
def test_every_tap_of_the_encoder_is_that_of_the_real_picture(size):
    real = np.random.default_rng(0).random((1, *size, 3), np.float32)
    taps = encoder()(among_garbage(real, *WHOLE), Extent(*size))
    expected = loop.encode(small_model()[1]["vgg"], real[0])
    for tap in TAPS:
        out = crop(taps[tap], *expected[tap].shape[:2])[0]
        np.testing.assert_allclose(out, expected[tap], atol=1e-4 * expected[tap].max())


@cache
def decoder() -> Callable:
    graph, state = nnx.split(small_model()[0].painter.decoder)

    def decode(state, f_cs, extent):
        return nnx.merge(graph, state)(f_cs, *WHOLE, extent=extent)

    run = in_form("accelerator", decode)
    return lambda f_cs, extent: run(state, f_cs, extent)


@pytest.mark.parametrize("size", SIZES)
def test_the_decoder_paints_what_the_real_features_say(size):
    model, weights = small_model()
    real, padded = {}, {}
    for i, tap in enumerate(TAPS):
        if tap in STYLED_TAPS:
            small, large = ([-(-side // 2**i) for side in whole] for whole in (size, WHOLE))
            real[tap] = normal(i, 1, *small, model.architecture.channels(tap))
            padded[tap] = among_garbage(real[tap], *large)
    out = crop(decoder()(padded, Extent(*size)), *size)[0]
    expected = loop.merge_and_decode(weights, *(x[0] for x in real.values()), *size)
    np.testing.assert_allclose(out, expected, atol=1e-5 * GARBAGE)


C, BLOCK = 16, 4
CONTENT_MAP, STYLE_MAP = (10, 13), (13, 9)  # partial blocks at both ends of both


def real_blocks(height: int, width: int) -> RealBlocks:
    """Lists the blocks of STYLE_MAP with real points, then the first one over and over."""
    rows, columns = (-(-side // BLOCK) for side in STYLE_MAP)
    cells = np.ndindex(rows, columns)
    real = [r * columns + c for r, c in cells if r * BLOCK < height and c * BLOCK < width]
    order = np.zeros(rows * columns + 1, np.int32)
    order[: len(real)] = real
    return RealBlocks(Extent(height, width), order, len(real))


@cache
def attention(variant: str) -> tuple[Callable, dict[str, np.ndarray]]:
    """Returns A2K on padded maps, compiled, and its weights by PyTorch names."""
    module = A2K(C, block_size=BLOCK, heads=4, variant=variant, rngs=nnx.Rngs(0))
    weights = {"sim_alpha": np.float32(0.8), "sim_beta": np.float32(-0.3)}
    for i, (path, names) in enumerate(
        {
            "distributed": ("q", "k", "v", "fusion1"),
            "all_to_all": ("q", "k", "v", "fusion1"),
            "progressive": ("q2", "k2", "v2", "fusion2"),
        }.items()
    ):
        if path not in module.paths:
            continue
        ours = module.paths[path]
        for j, (conv, name) in enumerate(
            zip((ours.query, ours.key, ours.value, ours.fuse), names, strict=True)
        ):
            kernel, bias = normal(10 * i + j, C, C) / 4, normal(50 + 10 * i + j, C)
            conv.kernel[...], conv.bias[...] = jnp.asarray(kernel), jnp.asarray(bias)
            weights |= {f"{name}.weight": kernel.T[:, :, None, None], f"{name}.bias": bias}
    if "distributed" in module.paths:
        module.paths["distributed"].alpha[...] = jnp.asarray(weights["sim_alpha"])
        module.paths["distributed"].beta[...] = jnp.asarray(weights["sim_beta"])
    graph, state = nnx.split(module)

    @jax.jit
    def run(f_c, f_s, extent, real):
        module = nnx.merge(graph, state)
        return module(f_c, module.keys(f_s, real=real), extent)

    return run, weights


@pytest.mark.parametrize("variant", VARIANTS)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    content=st.tuples(*(st.integers(2, side) for side in CONTENT_MAP)),
    style=st.tuples(*(st.integers(2, side) for side in STYLE_MAP)),
)
def test_attention_sees_real_points_of_content_and_style_only(variant, content, style):
    run, weights = attention(variant)
    f_c, f_s = normal(0, 1, *content, C), normal(1, 1, *style, C)
    heads = 1 if variant == "single_head" else 4
    expected, _, scores = loop.a2k(weights, f_c[0], f_s[0], BLOCK, heads, variant)
    if scores is not None and scores.shape[2] > 1:
        first, second = np.sort(scores, axis=2)[:, :, :-3:-1].transpose(2, 0, 1)
        assume((first - second).min() > 1e-4 * np.abs(scores).max())  # no near tie
    out = run(
        among_garbage(f_c, *CONTENT_MAP),
        among_garbage(f_s, *STYLE_MAP),
        Extent(*content),
        real_blocks(*style),
    )
    np.testing.assert_allclose(crop(out, *content)[0], expected, atol=2e-4)
