"""Styles that are encoded once, kept and saved: they paint what their pictures paint, or not."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from stya2k_jax import Stylizer, UserError
from stya2k_jax.inference.style import Style, is_style_file, normalized_weights
from stya2k_jax.network.model import StyA2K, assemble, new_encoder, new_painter
from stya2k_jax.weights.loading import MINI_FILE
from stya2k_jax.weights.parameters import named_arrays, named_leaves, with_arrays
from tests.support.picture_files import noise
from tests.support.small_model import small_model

CONTENT = noise(0, 48, 64, 3)
EXACT, PADDED = noise(1, 48, 48, 3), noise(2, 47, 41, 3)  # the second is padded to the first


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer(small_model()[0])


@pytest.fixture(scope="module")
def style(stylizer):
    return stylizer.encode_style(EXACT)


@pytest.fixture(scope="module")
def padded(stylizer, style):
    found = stylizer.encode_style(PADDED)
    assert any(name.endswith("are_real") for name, _ in named_leaves(found.keys))
    return found


def assert_same_style(found: Style, expected: Style) -> None:
    """Compares everything, to the last bit."""
    for field in dataclasses.fields(Style):
        if field.name not in ("keys", "pictures"):
            assert getattr(found, field.name) == getattr(expected, field.name), field.name
    for ours, theirs in ((found.keys, expected.keys), (found.pictures, expected.pictures)):
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


### In memory


@pytest.mark.parametrize("picture", [EXACT, PADDED], ids=["exact", "padded"])
def test_an_encoded_style_paints_exactly_what_its_picture_paints(stylizer, style, picture):
    encoded = stylizer.encode_style(picture)
    expected = stylizer(CONTENT, picture)
    for _ in range(2):
        np.testing.assert_array_equal(stylizer(CONTENT, encoded), expected)


def test_a_style_knows_its_pictures_and_their_weights(stylizer, style):
    assert len(style) == 1 and style.weights == (1,)
    np.testing.assert_array_equal(style.pictures[0], EXACT[None])
    several = stylizer.encode_style([EXACT, Image.fromarray(PADDED), EXACT[None]], [2, 0, 6])
    assert len(several) == 3 and several.weights == (0.25, 0, 0.75)
    np.testing.assert_array_equal(several.pictures[1], PADDED[None])
    assert stylizer.encode_style((EXACT, EXACT)).weights == (0.5, 0.5)


def test_a_style_may_be_used_by_another_stylizer_of_the_same_model(stylizer, style):
    assert Stylizer(small_model()[0]).fingerprint == stylizer.fingerprint == style.model


def test_a_style_of_another_model_is_refused_by_name(style):
    other = Stylizer(small_model(8)[0])
    with pytest.raises(UserError, match=f"encoded by another model .{style.model[:12]}.*encode it"):
        other(CONTENT, style)


@pytest.mark.parametrize("change", [{"variant": "single_head"}, {"heads": 4}, {"pooling": "avg"}])
def test_a_style_of_the_same_weights_in_another_architecture_is_refused(style, change, tmp_path):
    other = Stylizer(with_architecture(small_model()[0], **change))
    with pytest.raises(UserError, match="another model"):
        other(CONTENT, style)
    style.save(tmp_path / "s.safetensors")
    with pytest.raises(UserError, match="another model"):
        other.load_style(tmp_path / "s.safetensors")


def with_architecture(model: StyA2K, **changes) -> StyA2K:
    """Returns the same numbers in another network."""
    architecture = dataclasses.replace(model.architecture, **changes)
    return assemble(
        architecture,
        with_arrays(new_encoder(architecture), named_arrays(model.encoder), "the encoder"),
        with_arrays(new_painter(architecture), named_arrays(model.painter), "the painter"),
    )


def test_an_unknown_block_policy_is_refused_with_the_choices(stylizer):
    with pytest.raises(UserError, match="'square'; choose one of trained, balanced"):
        stylizer.encode_style(EXACT, block_policy="square")


### Weights


def test_weights_add_up_to_1_whatever_their_scale():
    assert normalized_weights(None, 4) == (0.25,) * 4
    assert normalized_weights([3], 1) == (1,)
    assert normalized_weights(np.array([1, 3]), 2) == (0.25, 0.75)
    for scale in (1e-300, 1.0, 1e300, 1e308):
        np.testing.assert_allclose(normalized_weights([scale, scale], 2), 0.5)


def test_a_blend_paints_each_style_by_its_weight(stylizer, style, padded):
    """More of a style draws the picture towards it, and the blend of blends keeps its parts."""
    alone = [np.float64(stylizer(CONTENT, one)) for one in (style, padded)]

    def distances(weights):
        painted = stylizer(CONTENT, stylizer.encode_style([style, padded], weights))
        return [np.abs(painted - one).mean() for one in alone]

    first, equal, second = distances([9, 1]), distances([1, 1]), distances([1, 9])
    assert first[0] < 0.5 * equal[0] and second[1] < 0.5 * equal[1]


def test_encoded_styles_blend_as_their_pictures_do(stylizer, style, padded):
    pictures = stylizer.encode_style([EXACT, PADDED], [3, 1])
    assert_same_style(stylizer.encode_style([style, PADDED], [3, 1]), pictures)
    assert_same_style(stylizer.encode_style([style, padded], [3, 1]), pictures)


def test_a_blend_of_blends_multiplies_their_weights(stylizer, style, padded):
    half = stylizer.encode_style([style, padded])
    both = stylizer.encode_style([half, style], [1, 3])
    assert both.weights == (0.125, 0.125, 0.75)
    assert len(both.keys) == len(both.pictures) == 3


def test_styles_of_different_block_policies_do_not_blend(stylizer, style):
    balanced = stylizer.encode_style(EXACT, block_policy="balanced")
    with pytest.raises(UserError, match="of one block policy, not of balanced and trained"):
        stylizer.encode_style([style, balanced])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "1 weights for 2 styles; give one for each"),
        ([1, 2, 3], "3 weights for 2 styles"),
        ([], "0 weights for 2 styles"),
        ([1, -1], "must be at least 0, and one above"),
        ([0, 0], "must be at least 0, and one above"),
        ([1, float("nan")], "must be at least 0"),
        ([1, float("inf")], "must be at least 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(stylizer, style, weights, message):
    with pytest.raises(UserError, match=message):
        stylizer.encode_style([EXACT, EXACT], weights)


### Saved


@pytest.mark.parametrize("kind", ["exact", "padded", "batch", "several", "balanced", "one pixel"])
def test_a_saved_style_comes_back_to_the_last_bit(stylizer, style, padded, kind, tmp_path):
    def joined(*styles, **changes):
        fields = {f: sum((getattr(s, f) for s in styles), ()) for f in ("keys", "pictures")}
        return dataclasses.replace(style, **fields, **changes)

    made: dict[str, Callable[[], Style]] = {
        "exact": lambda: style,
        "padded": lambda: padded,
        "batch": lambda: stylizer.encode_style(noise(3, 2, 48, 48, 3)),
        "several": lambda: joined(style, padded, style, weights=(0.1, 0.2, 1 - 0.1 - 0.2)),
        # So small a style has the blocks of training.
        "balanced": lambda: dataclasses.replace(style, block_policy="balanced"),
        "one pixel": lambda: stylizer.encode_style(noise(4, 1, 1, 3)),
    }
    kept = made[kind]()
    kept.save(tmp_path / "new" / "a style.safetensors")
    assert_same_style(stylizer.load_style(str(tmp_path / "new" / "a style.safetensors")), kept)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a style.safetensors"]


def test_a_loaded_style_paints_exactly_what_it_painted_before(stylizer, padded, tmp_path):
    padded.save(tmp_path / "s.safetensors")
    loaded = stylizer.load_style(tmp_path / "s.safetensors")
    np.testing.assert_array_equal(stylizer(CONTENT, loaded), stylizer(CONTENT, padded))


def test_saving_replaces_a_file_whole_and_leaves_it_where_it_fails(
    stylizer, style, padded, tmp_path
):
    path = tmp_path / "s.safetensors"
    style.save(path)
    padded.save(path)
    assert_same_style(stylizer.load_style(path), padded)
    with pytest.raises(TypeError):
        dataclasses.replace(style, weights=object()).save(path)
    assert_same_style(stylizer.load_style(path), padded)
    assert [file.name for file in tmp_path.iterdir()] == ["s.safetensors"]


def test_saved_styles_are_known_by_their_suffix():
    assert is_style_file("a/b.safetensors") and is_style_file(Path("B.SAFETENSORS"))
    assert not is_style_file("b.png") and not is_style_file("safetensors")


### Damaged and foreign files


@pytest.fixture
def style_file(style, tmp_path):
    """A saved style: its path, and a function that writes it with changes."""
    path = tmp_path / "s.safetensors"
    style.save(path)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()

    def rewrite(arrays=None, **fields):
        """Changes arrays by name and fields of the header; None takes one away."""
        changed = {k: v for k, v in (load_file(path) | (arrays or {})).items() if v is not None}
        header = {k: v for k, v in (metadata | fields).items() if v is not None}
        save_file(changed, path, header)
        return path

    return path, rewrite


def test_a_saved_style_of_another_model_is_refused_with_both_names(style, style_file):
    other = Stylizer(small_model(8)[0])
    message = f"s.safetensors is a style of another model .{style.model[:12]}.*"
    with pytest.raises(UserError, match=message + f"this one is {other.fingerprint[:12]}"):
        other.load_style(style_file[0])


def test_a_file_that_was_cut_off_is_refused_at_any_length(stylizer, style_file):
    path, _ = style_file
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 500, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="s.safetensors cannot be read .*encode the style"):
            stylizer.load_style(path)


def test_what_is_no_saved_style_is_refused_by_its_path(stylizer, tmp_path):
    with pytest.raises(UserError, match="none.safetensors does not exist"):
        stylizer.load_style(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="cannot be read"):
        stylizer.load_style(tmp_path)
    (tmp_path / "text.safetensors").write_text("no tensors " * 100)
    with pytest.raises(UserError, match="text.safetensors cannot be read"):
        stylizer.load_style(tmp_path / "text.safetensors")
    with pytest.raises(UserError, match="a2k_mini.safetensors is not a saved style"):
        stylizer.load_style(MINI_FILE)
    save_file({"x": np.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match="foreign.safetensors is not a saved style"):
        stylizer.load_style(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("field", ["model", "architecture", "weights", "block_policy"])
def test_a_header_that_lacks_a_field_is_refused(stylizer, style_file, field):
    with pytest.raises(UserError, match="s.safetensors"):
        stylizer.load_style(style_file[1](**{field: None}))


@pytest.mark.parametrize(
    "weights", ["", "x", "1", "null", "[]", "{}", '["a"]', "[1, 1]", "[NaN]", "[-1]", "[0]"]
)
def test_weights_that_are_none_are_refused(stylizer, style_file, weights):
    with pytest.raises(UserError, match="s.safetensors is damaged"):
        stylizer.load_style(style_file[1](weights=weights))


def test_an_unknown_policy_in_a_file_is_refused(stylizer, style_file):
    with pytest.raises(UserError, match="s.safetensors is damaged"):
        stylizer.load_style(style_file[1](block_policy="square"))


@pytest.mark.parametrize("damage", ["missing", "flat", "shorter", "empty", "of another type"])
def test_a_damaged_array_is_refused(stylizer, style_file, damage):
    path, rewrite = style_file
    for name, array in load_file(path).items():
        changed = {
            "missing": None,
            "flat": array.reshape(-1, 1),
            "shorter": array[..., :-1],
            "empty": array[:0],
            "of another type": array.astype(np.int64 if array.dtype.kind == "f" else np.float32),
        }[damage]
        with pytest.raises(UserError, match="s.safetensors is damaged"):
            stylizer.load_style(rewrite({name: changed}))
        rewrite({name: array})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(stylizer, style_file, value):
    path, rewrite = style_file
    array = load_file(path)["0.relu4_1.distributed.k_hat"]
    array.flat[3] = value
    with pytest.raises(UserError, match="s.safetensors is damaged"):
        stylizer.load_style(rewrite({"0.relu4_1.distributed.k_hat": array}))


@pytest.mark.parametrize("name", ["0.more", "0.relu3_1.all_to_all.k", "1.picture", "more"])
def test_arrays_that_do_not_belong_there_are_refused(stylizer, style_file, name):
    with pytest.raises(UserError, match="s.safetensors is damaged"):
        stylizer.load_style(style_file[1]({name: np.zeros(3, np.float32)}))


def test_keys_of_two_pictures_are_not_taken_for_those_of_one(stylizer, style, style_file):
    two = dataclasses.replace(
        style, keys=style.keys * 2, pictures=style.pictures * 2, weights=(0.5, 0.5)
    )
    two.save(style_file[0])
    with pytest.raises(UserError, match="s.safetensors is damaged"):
        stylizer.load_style(style_file[1](weights=json.dumps([1.0])))
