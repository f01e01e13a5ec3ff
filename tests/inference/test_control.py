"""What the user has in hand: several styles, masks, strength, colors, and threads.

What is expected is said with the plain loops: features of every style apart, blended by hand, then
decoded. Nearly all pictures are of two sizes, because each further one compiles anew.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stya2k_jax import Stylizer, UserError
from stya2k_jax.errors import PictureError
from stya2k_jax.network.sizes import tap_sizes
from stya2k_jax.pictures.colors import keep_luminance, match_color
from stya2k_jax.pictures.masks import reduce_mask
from tests.support import plain_loops as loop
from tests.support.picture_files import noise
from tests.support.small_model import small_model

SIZE, STYLE_SIZE = (48, 64), (48, 48)
CLOSE = 1e-4


def floats(picture: np.ndarray) -> np.ndarray:
    return picture / np.float32(255)


CONTENT = noise(0, *SIZE, 3)
STYLES = [noise(1, *STYLE_SIZE, 3), noise(2, *STYLE_SIZE, 3) // 3]


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer(small_model()[0])


@pytest.fixture(scope="module")
def styles(stylizer):
    return stylizer.encode_style(STYLES, [1, 3])


### The plain statement


@cache
def outputs() -> list[dict[str, np.ndarray]]:
    """Returns O_i = F_cs - F_c of CONTENT in each style, by tap."""
    weights = small_model()[1]
    f_c = loop.encode(weights["vgg"], floats(CONTENT))
    found = []
    for style in STYLES:
        f_s = loop.encode(weights["vgg"], floats(style))
        own = loop.tap_weights(weights).items()
        f_cs = {t: loop.a2k(w, f_c[t], f_s[t], loop.BLOCK_SIZE[t])[0] for t, w in own}
        found.append({tap: f_cs[tap] - f_c[tap] for tap in f_cs})
    return found


def blended(shares: Sequence[float] | Sequence[np.ndarray]) -> np.ndarray:
    """Paints sum_i share_i O_i + F_c, clipped; shares are numbers or masks `[H, W]` of CONTENT."""
    weights = small_model()[1]
    f_c, f_cs = loop.encode(weights["vgg"], floats(CONTENT)), {}
    for tap in outputs()[0]:
        f_cs[tap] = f_c[tap].copy()
        for share, output in zip(shares, outputs(), strict=True):
            if np.ndim(share) == 2:
                share = area_means(share, 2 ** loop.TAPS.index(tap))[:, :, None]
            f_cs[tap] += share * output[tap]
    return np.clip(loop.merge_and_decode(weights, *f_cs.values(), *SIZE), 0, 1)


def area_means(mask: np.ndarray, side: int) -> np.ndarray:
    """Averages a mask over the cells of a layer, as many pixels of each as there are."""
    height, width = mask.shape
    return np.array(
        [
            [mask[y : y + side, x : x + side].mean() for x in range(0, width, side)]
            for y in range(0, height, side)
        ]
    )


def assert_same(out: np.ndarray, expected: np.ndarray) -> None:
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, atol=CLOSE)


### Several styles


def test_a_style_is_painted_as_the_loops_paint_it(stylizer):
    assert_same(stylizer(floats(CONTENT), STYLES[0]), blended([1, 0]))


@pytest.mark.parametrize("weights", [(1, 3), (5, 0), (2, 2)])
def test_several_styles_add_up_what_attention_adds_by_their_weights(stylizer, weights):
    style = stylizer.encode_style(STYLES, weights)
    shares = [w / sum(weights) for w in weights]
    assert_same(stylizer(floats(CONTENT), style), blended(shares))


def test_a_list_of_pictures_is_blended_equally(stylizer):
    for given in (STYLES, tuple(map(Image.fromarray, STYLES))):
        assert_same(stylizer(floats(CONTENT), given), blended([0.5, 0.5]))


def test_a_weight_of_0_leaves_a_style_out(stylizer):
    alone = stylizer(floats(CONTENT), STYLES[1])
    style = stylizer.encode_style(STYLES, [0, 7])
    assert_same(stylizer(floats(CONTENT), style), alone)


def test_no_style_is_refused(stylizer):
    for nothing in ([], ()):
        with pytest.raises(UserError, match="No style is given"):
            stylizer(CONTENT, nothing)


### Masks


@pytest.fixture(scope="module")
def halves():
    """The left two thirds and the rest, whose border lies within cells of all layers."""
    left = np.zeros(SIZE, bool)
    left[:, :43] = True
    return [left, ~left]


def test_hard_masks_give_every_layer_the_share_of_its_area(stylizer, styles, halves):
    out = stylizer(floats(CONTENT), styles, masks=halves)
    assert_same(out, blended([half.astype(float) for half in halves]))


def test_soft_masks_are_divided_by_their_sum(stylizer, styles):
    soft = np.random.default_rng(3).random((2, *SIZE))
    soft[:, :10, :10] = 0  # where no style is asked for, both weigh the same
    total = soft.sum(axis=0)
    shares = np.where(total > 0, soft / np.where(total > 0, total, 1), 0.5)
    assert_same(stylizer(floats(CONTENT), styles, masks=list(soft)), blended(shares))


@pytest.mark.parametrize("size", [(48, 64), (47, 61), (33, 50), (1, 5), (2, 3)])
def test_a_point_of_a_layer_has_the_mean_of_the_pixels_it_spans(size):
    mask = np.random.default_rng(6).random(size)
    for tap, (height, width) in tap_sizes(size).items():
        expected = area_means(mask, 2 ** loop.TAPS.index(tap))
        np.testing.assert_allclose(reduce_mask(mask, height, width), expected, rtol=1e-5)


def test_masks_may_be_of_any_kind_and_size(stylizer, styles, halves, tmp_path):
    expected = stylizer(CONTENT, styles, masks=halves)
    grey = [np.uint8(255) * half for half in halves]
    Image.fromarray(grey[0]).save(tmp_path / "left.png")
    large = Image.fromarray(grey[1].repeat(3, axis=0).repeat(2, axis=1))
    for masks in (
        [tmp_path / "left.png", large],
        (str(tmp_path / "left.png"), grey[1].astype(np.float32) / 255),
        np.stack(grey),
        [jnp.asarray(halves[0]), grey[1]],
    ):
        np.testing.assert_array_equal(stylizer(CONTENT, styles, masks=masks), expected)


def test_strength_beyond_1_scales_what_is_masked_too(stylizer, styles, halves):
    out = stylizer(floats(CONTENT), styles, masks=halves, alpha=1.5)
    assert_same(out, blended([1.5 * half for half in halves]))


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_masks_that_do_not_fit_are_refused_at_any_strength(stylizer, styles, halves, alpha):
    def paint(masks):
        stylizer(CONTENT, styles, masks=masks, alpha=alpha)

    for masks in (halves[:1], [], [*halves, halves[0]]):
        with pytest.raises(UserError, match=f"{len(masks)} masks for 2 styles; give one for each"):
            paint(masks)
    with pytest.raises(UserError, match="mask"):
        paint([halves[0], halves[1] * 2.0])
    with pytest.raises(UserError, match="mask"):
        paint([halves[0], halves[1][0]])
    with pytest.raises(PictureError, match="none.png does not exist"):
        paint([halves[0], "none.png"])


def test_the_mask_of_a_single_style_is_read_too(stylizer):
    with pytest.raises(PictureError, match="none.png does not exist"):
        stylizer(CONTENT, STYLES[0], masks=["none.png"])
    assert_same(stylizer(floats(CONTENT), STYLES[0], masks=[np.ones(SIZE)]), blended([1, 0]))


### Strength


@pytest.mark.parametrize("color", ["none", "luminance", "match"])
def test_strength_0_is_the_content_to_the_last_bit(stylizer, color):
    for content in (CONTENT, floats(CONTENT), np.stack([CONTENT, CONTENT[::-1]])):
        out = stylizer(content, STYLES[0], alpha=0, preserve_color=color)
        assert out.dtype == content.dtype
        np.testing.assert_array_equal(out, content)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.999])
def test_strength_between_0_and_1_blends_pixels(stylizer, styles, alpha):
    for style, shares in ((STYLES[0], [1, 0]), (styles, [0.25, 0.75])):
        out = stylizer(floats(CONTENT), style, alpha=alpha)
        assert_same(out, alpha * blended(shares) + (1 - alpha) * floats(CONTENT))


@pytest.mark.parametrize("alpha", [1.3, 3])
def test_strength_beyond_1_scales_what_attention_adds(stylizer, styles, alpha):
    assert_same(stylizer(floats(CONTENT), STYLES[0], alpha=alpha), blended([alpha, 0]))
    assert_same(stylizer(floats(CONTENT), styles, alpha=alpha), blended([alpha / 4, 3 * alpha / 4]))


def test_strength_is_continuous_at_1(stylizer):
    below, at, beyond = (
        stylizer(floats(CONTENT), STYLES[0], alpha=alpha) for alpha in (1 - 1e-6, 1, 1 + 1e-6)
    )
    np.testing.assert_allclose(below, at, atol=2e-5)
    np.testing.assert_allclose(beyond, at, atol=2e-5)


@pytest.mark.parametrize("alpha", [-0.1, 3.01, float("nan"), float("inf"), -float("inf")])
def test_a_strength_that_is_none_is_refused(stylizer, alpha):
    with pytest.raises(UserError, match="is not a strength; use 0 .* to 3, usually 1"):
        stylizer(CONTENT, STYLES[0], alpha=alpha)


### Colors


def test_luminance_takes_lightness_from_the_result_and_colors_from_the_content(stylizer):
    out = stylizer(floats(CONTENT), STYLES[0], preserve_color="luminance")
    expected = keep_luminance(blended([1, 0]), floats(CONTENT))
    np.testing.assert_allclose(out, expected, atol=1e-3)
    half = stylizer(floats(CONTENT), STYLES[0], preserve_color="luminance", alpha=0.5)
    np.testing.assert_allclose(half, (out + floats(CONTENT)) / 2, atol=CLOSE)


def test_match_gives_each_style_the_contents_colors_before_it_paints(stylizer, styles):
    content = floats(CONTENT) ** 2
    recolored = [match_color(floats(style), content) for style in STYLES]
    out = stylizer(content, STYLES[0], preserve_color="match")
    assert_same(out, stylizer(content, recolored[0]))
    out = stylizer(content, styles, preserve_color="match")
    assert_same(out, stylizer(content, stylizer.encode_style(recolored, [1, 3])))


def test_match_gives_each_of_a_batch_its_own_style_and_its_own_colors(stylizer):
    contents = np.stack([floats(CONTENT), floats(CONTENT) ** 3])
    out = stylizer(contents, np.stack(STYLES), preserve_color="match")
    for i in range(2):
        assert_same(out[i], stylizer(contents[i], STYLES[i], preserve_color="match"))


def test_an_unknown_way_to_preserve_color_is_refused_with_the_choices(stylizer):
    for color in ("luma", "", None, True):
        with pytest.raises(UserError, match="choose one of none, luminance, match"):
            stylizer(CONTENT, STYLES[0], preserve_color=color)


### What stays as it is


def test_where_the_content_mask_is_white_pixels_are_the_contents(stylizer):
    stylized = stylizer(CONTENT, STYLES[0])
    assert (np.abs(stylized.astype(int) - CONTENT).max(axis=2) > 0).mean() > 0.9
    mask = np.random.default_rng(4).random(SIZE) > 0.5
    for alpha, color in ((1.0, "none"), (0.7, "luminance")):
        choices = dict(alpha=alpha, preserve_color=color)
        out = stylizer(CONTENT, STYLES[0], content_mask=mask, **choices)
        np.testing.assert_array_equal(out[mask], CONTENT[mask])
        free = stylizer(CONTENT, STYLES[0], **choices)
        np.testing.assert_array_equal(out[~mask], free[~mask])


def test_a_grey_content_mask_mixes(stylizer):
    mask = np.random.default_rng(5).random(SIZE).astype(np.float32)
    out = stylizer(floats(CONTENT), STYLES[0], content_mask=mask)
    mask = mask[:, :, None]
    assert_same(out, mask * floats(CONTENT) + (1 - mask) * blended([1, 0]))


def test_a_content_mask_may_be_of_any_size(stylizer):
    left = np.zeros((6, 4), np.uint8)
    left[:, :2] = 255
    out = stylizer(CONTENT, STYLES[0], content_mask=Image.fromarray(left))
    np.testing.assert_array_equal(out[:, :24], CONTENT[:, :24])  # away from its soft edge
    np.testing.assert_array_equal(out[:, 40:], stylizer(CONTENT, STYLES[0])[:, 40:])


def test_a_content_mask_that_is_none_is_refused(stylizer):
    with pytest.raises(UserError, match="mask ranges from -1 to -1"):
        stylizer(CONTENT, STYLES[0], content_mask=np.zeros(SIZE) - 1)
    with pytest.raises(PictureError, match="none.png does not exist"):
        stylizer(CONTENT, STYLES[0], content_mask="none.png")


### Threads


def test_threads_that_share_a_stylizer_get_what_one_alone_gets(stylizer):
    contents = [CONTENT, CONTENT[:46, :60], CONTENT[:, ::-1], CONTENT[2:, 3:]]
    jobs = [(content, style) for content in contents for style in (*STYLES, STYLES[0][::-1])]
    shared = Stylizer(small_model()[0])  # nothing is compiled yet
    shared.prepare(content.shape[:2] for content in contents)

    def paint(stylizer, content, style):
        return stylizer(floats(content), stylizer.encode_style(style))

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda job: paint(shared, *job), jobs))
    for job, out in zip(jobs, found, strict=True):
        assert_same(out, paint(stylizer, *job))
