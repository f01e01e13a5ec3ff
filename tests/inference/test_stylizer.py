"""The public verb as users call it: what goes in comes out, painted, or is refused by name.

Nearly all pictures here are of the same two sizes: each further size is compiled anew.
"""

import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stya2k_jax import Stylizer, UserError
from stya2k_jax.errors import PictureError
from tests.support import rounding
from tests.support.picture_files import noise, saved
from tests.support.small_model import small_model

HEIGHT, WIDTH = 16, 24


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer(small_model()[0])


CONTENT, STYLE = noise(0, HEIGHT, WIDTH, 3), noise(1, HEIGHT, HEIGHT, 3)


@pytest.fixture(scope="module")
def allowed():
    """How far rounding may move what is expected."""
    return rounding.of_pictures(
        small_model()[0], *(x[None] / np.float32(255) for x in (CONTENT, STYLE))
    )


@pytest.fixture(scope="module")
def expected():
    """What the model itself paints of CONTENT in STYLE, clipped."""
    content, style = (x[None] / np.float32(255) for x in (CONTENT, STYLE))
    model = small_model()[0]
    painted = np.asarray(jax.jit(lambda *pictures: model(*pictures))(content, style)[0])
    assert painted.min() < 0 and painted.max() > 1  # there is something to clip
    return np.clip(painted, 0, 1)


### Kinds


def test_8_bits_in_is_8_bits_out_rounded_and_clipped(stylizer, expected):
    out = stylizer(CONTENT, STYLE)
    assert isinstance(out, np.ndarray) and out.dtype == np.uint8 and out.shape == CONTENT.shape
    np.testing.assert_allclose(out, 255 * expected, atol=0.51)  # rounded, not cut off


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_floats_in_are_floats_out_between_0_and_1(stylizer, expected, allowed, dtype):
    content = (CONTENT / 255).astype(jnp.dtype(dtype))
    out = stylizer(content, STYLE)
    assert out.dtype == content.dtype and out.shape == CONTENT.shape
    assert 0 <= out.min() and out.max() <= 1
    assert 1e-6 < allowed < 1e-4
    atol = {"float16": 2e-3, "bfloat16": 2e-2}.get(dtype, allowed)
    np.testing.assert_allclose(out.astype(np.float32), expected, atol=atol)


def test_a_jax_array_may_be_given(stylizer, expected):
    out = stylizer(jnp.asarray(CONTENT), jnp.asarray(STYLE))
    assert out.dtype == jnp.uint8 and out.shape == CONTENT.shape
    np.testing.assert_allclose(out, 255 * expected, atol=0.51)


def test_pil_images_and_paths_give_a_pil_image(stylizer, tmp_path):
    content, style = saved(tmp_path / "c.png", CONTENT), saved(tmp_path / "s.png", STYLE)
    array = stylizer(CONTENT, STYLE)
    for given in (content, str(content), Image.fromarray(CONTENT)):
        for other in (style, Image.fromarray(STYLE), STYLE):
            out = stylizer(given, other)
            assert isinstance(out, Image.Image) and out.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(out), array)


def test_a_pil_image_of_another_mode_is_converted(stylizer):
    grey = Image.fromarray(CONTENT[..., 0])
    rgb = np.repeat(CONTENT[..., :1], 3, axis=2)
    np.testing.assert_array_equal(np.asarray(stylizer(grey, STYLE)), stylizer(rgb, STYLE))


def test_a_batch_is_painted_picture_by_picture_each_in_its_style(stylizer):
    contents, styles = noise(2, 2, HEIGHT, WIDTH, 3), noise(3, 2, HEIGHT, HEIGHT, 3)
    out = stylizer(contents, styles).astype(int)
    for i in range(2):
        alone = stylizer(contents[i], styles[i])
        assert np.abs(out[i] - alone).max() <= 1
    assert np.abs(out[0] - stylizer(contents[0], styles[1])).max() > 1


def test_one_style_serves_a_whole_batch(stylizer):
    contents = noise(2, 2, HEIGHT, WIDTH, 3)
    for style in (STYLE, STYLE[None]):
        out = stylizer(contents, style).astype(int)
        assert out.shape == contents.shape
        for i in range(2):
            assert np.abs(out[i] - stylizer(contents[i], STYLE)).max() <= 1


def test_a_batch_of_one_stays_a_batch(stylizer):
    np.testing.assert_array_equal(stylizer(CONTENT[None], STYLE)[0], stylizer(CONTENT, STYLE))


@pytest.mark.parametrize("sizes", [((1, 1), (17, 9)), ((19, 5), (1, 1))])
def test_any_size_of_content_and_of_style_comes_out_in_the_contents_size(stylizer, sizes):
    content, style = (noise(4, *size, 3) for size in sizes)
    assert stylizer(content, style).shape == content.shape


def test_what_is_given_is_not_changed(stylizer):
    content = CONTENT.astype(np.float32) / 255
    before = content.copy()
    stylizer(content, STYLE)
    np.testing.assert_array_equal(content, before)


### Refusals


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((16, 24), np.uint8), r"content has shape \(16, 24\); expected \[height, width"),
        (np.zeros((16, 24, 4), np.uint8), r"content has shape \(16, 24, 4\)"),
        (np.zeros((3, 16, 24), np.uint8), r"content has shape \(3, 16, 24\)"),
        (np.zeros((0, 24, 3), np.uint8), r"content has shape \(0, 24, 3\)"),
        (np.zeros((1, 1, 16, 24, 3), np.uint8), "content has shape"),
        (np.zeros((16, 24, 3), np.int64), "content is of int64; expected uint8, or floats"),
        (np.zeros((16, 24, 3), bool), "content is of bool"),
        (CONTENT.astype(np.float32), "content ranges from 0 to 255; expected floats in"),
        (CONTENT / 127.5 - 1, "content ranges from -1 to 1; expected floats in"),
        (np.full((16, 24, 3), np.nan), "content ranges from nan to nan"),
        (CONTENT.tolist(), "content is a list; expected a path, a PIL image or an array"),
        (None, "content is a NoneType"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(stylizer, content, message):
    with pytest.raises(UserError, match=message):
        stylizer(content, STYLE)
    with pytest.raises(UserError, match=message.replace("content", "style")):
        stylizer(CONTENT, content)


def test_a_little_overshoot_of_floats_is_clipped(stylizer):
    content = CONTENT / np.float32(255) * 1.1 - 0.05
    assert stylizer(content, STYLE).max() <= 1


@pytest.mark.parametrize(("contents", "styles"), [(3, 2), (1, 2)])
def test_batches_that_do_not_pair_up_are_refused(stylizer, contents, styles):
    with pytest.raises(ValueError, match=f"{contents} contents and {styles} styles"):
        stylizer(noise(0, contents, 32, 32, 3), noise(0, styles, 32, 32, 3))


def test_a_file_that_cannot_be_read_is_named(stylizer, tmp_path):
    with pytest.raises(PictureError, match="nowhere.jpg does not exist"):
        stylizer(tmp_path / "nowhere.jpg", STYLE)
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(PictureError, match="text.jpg is not a picture"):
        stylizer(CONTENT, tmp_path / "text.jpg")


def test_a_size_is_compiled_once(stylizer, caplog):
    stylizer(CONTENT, STYLE)
    with jax.log_compiles():
        stylizer(CONTENT[::-1], STYLE[::-1])
        assert "paint" not in caplog.text
        stylizer(CONTENT[:2, :2], STYLE[:2, :2])
        assert "paint" in caplog.text


### As an object


def test_a_stylizer_that_was_pickled_paints_the_same(stylizer):
    again = pickle.loads(pickle.dumps(stylizer))
    assert again.fingerprint == stylizer.fingerprint
    np.testing.assert_array_equal(again(CONTENT, STYLE), stylizer(CONTENT, STYLE))
    assert pickle.loads(pickle.dumps(stylizer.encode_style(STYLE))).model == stylizer.fingerprint


def test_stylizers_and_styles_are_shown_in_a_line(stylizer):
    assert repr(stylizer).startswith("Stylizer(Architecture(") and len(repr(stylizer)) < 300
    style = stylizer.encode_style([STYLE, STYLE], [3, 1])
    assert repr(style).startswith("Style(0.75 of 1x16x16x3, 0.25 of 1x16x16x3; trained blocks")
    assert len(repr(dataclasses.replace(style, **{f: getattr(style, f) * 50 for f in MANY}))) < 200


MANY = ("keys", "weights", "pictures")


@pytest.mark.parametrize("alpha", ["0.5", None, [0.5], np.array([0.5, 1])])
def test_a_strength_that_is_no_number_is_refused(stylizer, alpha):
    with pytest.raises(UserError, match="is not a strength; use 0"):
        stylizer(CONTENT, STYLE, alpha=alpha)


def test_transparency_of_a_pil_image_and_of_a_path_is_kept(stylizer, tmp_path):
    clear = noise(7, HEIGHT, WIDTH, 1)
    image = Image.fromarray(np.concatenate([CONTENT, clear], axis=2))
    image.save(tmp_path / "a.png")
    for content in (image, tmp_path / "a.png"):
        out = stylizer(content, STYLE)
        assert out.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(out)[..., 3:], clear)
    opaque = image.copy()
    opaque.putalpha(255)
    assert stylizer(opaque, STYLE).mode == "RGB"


def test_a_photograph_on_its_side_is_the_same_as_a_path_and_as_an_open_image(stylizer, tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned right by a quarter
    Image.fromarray(CONTENT.swapaxes(0, 1)).save(tmp_path / "a.png", exif=exif)
    mask = np.zeros((WIDTH, HEIGHT), np.uint8)
    mask[:5] = 255
    Image.fromarray(mask).save(tmp_path / "m.png", exif=exif)
    by_path = stylizer(tmp_path / "a.png", STYLE, content_mask=tmp_path / "m.png")
    with Image.open(tmp_path / "a.png") as image, Image.open(tmp_path / "m.png") as white:
        by_image = stylizer(image, STYLE, content_mask=white)
    assert by_path.size == by_image.size == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(np.asarray(by_path), np.asarray(by_image))


def test_a_batch_counts_in_the_memory(monkeypatch):
    width = small_model()[0].architecture.width
    one = 1200 * width * HEIGHT * WIDTH * 4  # of a picture of twice these sides
    stylizer = Stylizer(small_model()[0], max_memory=1.5 * one)
    batch = noise(5, 2, 2 * HEIGHT, 2 * WIDTH, 3)
    shapes = []
    programs = stylizer._model.programs
    paint = programs.paint

    def recorded(content, *rest):
        shapes.append(content.shape[0])
        return paint(content, *rest)

    monkeypatch.setattr(programs, "paint", recorded)
    together = stylizer(batch, STYLE)
    assert shapes == [1, 1]
    np.testing.assert_array_equal(together[1], stylizer(batch[1], STYLE))
