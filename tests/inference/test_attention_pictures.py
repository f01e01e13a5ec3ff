"""Attention pictures show the maps: every value at its place, larger ones brighter."""

import os

import numpy as np
import pytest

from stya2k_jax import UserError
from stya2k_jax.inference.attention_maps import (
    AllToAllMaps,
    AttentionMaps,
    DistributedMaps,
    ProgressiveMaps,
)
from stya2k_jax.inference.attention_pictures import (
    CELL_PX,
    attention_pictures,
    heat_colors,
    save_attention,
)
from stya2k_jax.pictures.colors import srgb_to_lab
from stya2k_jax.pictures.reading import read_picture

HEADS, POINT_PX, BLOCK = 8, 8, 8  # of relu4_1
BLOCK_PX = POINT_PX * BLOCK
GREY = 0.299, 0.587, 0.114


def drawn_maps(content_size=(150, 200), style_size=(130, 275), position=(70, 149), seed=0, **paths):
    """Draws maps with distributed and progressive attention; `paths` replaces some."""
    rng = np.random.default_rng(seed)
    points = tuple(-(-side // POINT_PX) for side in style_size)
    blocks = tuple(-(-side // BLOCK) for side in points)
    chosen = np.stack([rng.integers(0, n, HEADS) for n in blocks], axis=1)
    weights = np.zeros((HEADS, *points))
    for head, (i, j) in enumerate(chosen * BLOCK):
        block = weights[head, i : i + BLOCK, j : j + BLOCK]
        block[...] = rng.dirichlet(np.ones(block.size)).reshape(block.shape)
    flat = rng.dirichlet(np.ones(blocks[0] * blocks[1]), HEADS)
    found = dict(
        distributed=DistributedMaps(rng.normal(size=(HEADS, *blocks)), flat.reshape(-1, *blocks)),
        progressive=ProgressiveMaps(rng.normal(size=(HEADS, *blocks)), chosen, weights),
        all_to_all=None,
    )
    point = tuple(i // POINT_PX for i in position)
    sizes = (tuple(content_size), tuple(style_size))
    return AttentionMaps("relu4_1", position, point, BLOCK, *sizes, **(found | paths))


def drawn_pictures(maps, seed=1):
    """Draws a style and a content of the sizes of the maps, uint8."""
    rng = np.random.default_rng(seed)
    sizes = maps.style_size, maps.content_size
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def cells_of(picture, cell_px):
    """Returns each cell's color `[rows, columns, 3]`; a cell must be of one color."""
    height, width = picture.shape[:2]
    cells = picture[::cell_px, ::cell_px]
    for (i, j), _ in np.ndenumerate(cells[..., 0]):
        rows = slice(i * cell_px, min((i + 1) * cell_px, height))
        columns = slice(j * cell_px, min((j + 1) * cell_px, width))
        assert (picture[rows, columns] == cells[i, j]).all()
    return cells


def shares(maps):
    """Returns the share of heads that chose each block."""
    counts = np.zeros(maps.progressive.scores.shape[1:])
    for row, column in maps.progressive.chosen:
        counts[row, column] += 1
    return counts / HEADS


def test_larger_means_over_the_heads_are_brighter_at_their_place():
    maps = drawn_maps()
    style, content = np.full((130, 275, 3), 128, np.uint8), drawn_pictures(maps)[1]
    pictures = attention_pictures(maps, style, content)
    for name, values, cell_px in (
        ("da_before", maps.distributed.logits.mean(axis=0), BLOCK_PX),
        ("da_after", maps.distributed.weights.mean(axis=0), BLOCK_PX),
        ("pa_region_before", maps.progressive.scores.mean(axis=0), BLOCK_PX),
        ("pa_region_after", shares(maps), BLOCK_PX),
    ):
        brightness = (cells_of(pictures[name], cell_px) @ GREY).ravel()
        order = np.argsort(values, axis=None, kind="stable")
        assert (np.diff(brightness[order]) >= -1).all()  # neighbours are rounded
        larger = np.diff(values.ravel()[order]) > 0.02 * np.ptp(values)
        assert larger.any() and (np.diff(brightness[order])[larger] > 0).all()


def test_points_are_shown_where_they_are_and_chosen_blocks_are_framed():
    weights = np.zeros((HEADS, 17, 35))
    chosen = np.array([(0, 0)] * 5 + [(1, 2)] * 3)
    weights[:5, 3, 4], weights[5:, 9, 20] = 1, 1
    progressive = ProgressiveMaps(np.zeros((HEADS, 3, 5)), chosen, weights)
    maps = drawn_maps(progressive=progressive)
    style, content = np.full((130, 275, 3), 128, np.uint8), drawn_pictures(maps)[1]
    picture = attention_pictures(maps, style, content)["pa_position"]
    dark = picture[100, 50]
    brightest = picture[3 * 8 : 4 * 8, 4 * 8 : 5 * 8]
    lesser = picture[9 * 8 : 10 * 8, 20 * 8 : 21 * 8]
    assert (brightest == brightest[0, 0]).all() and (lesser == lesser[0, 0]).all()
    assert brightest[0, 0] @ GREY > lesser[0, 0] @ GREY > dark @ GREY
    assert (picture[63, 128:192] == dark).all(axis=-1).sum() == 0  # frame, above the second block
    assert (picture[64:128, 128:192] != dark).any(axis=-1).sum() == 64  # in it one point, no frame
    assert (picture[0, :64] == 255).all()  # the first one's frame, inside the picture


def test_what_is_drawn_darkest_is_the_least_before_and_nothing_after():
    maps = drawn_maps()
    logits = np.full((HEADS, 3, 5), 2.0)
    logits[:, 1, 1], logits[:, 2, 2] = -1, 5
    weights = np.full((HEADS, 3, 5), 0.1)
    weights[:, 1, 1], weights[:, 2, 2] = 0, 0.2
    maps = maps._replace(distributed=DistributedMaps(logits, weights))
    style, content = np.zeros((130, 275, 3), np.uint8), drawn_pictures(maps)[1]
    pictures = attention_pictures(maps, style, content)
    ramp = heat_colors() / heat_colors().max()
    for name in ("da_before", "da_after"):  # both times the rest is half-way
        cells = cells_of(pictures[name], BLOCK_PX) / pictures[name].max()
        for place, step in (((1, 1), 0), ((2, 2), 255), ((0, 0), 128)):
            np.testing.assert_allclose(cells[place], ramp[step], atol=0.01)


def test_the_style_shows_through():
    maps = drawn_maps()
    style, content = drawn_pictures(maps)
    style[:, :, 1] = np.where(np.arange(275) % 2, 250, 5)[None]  # stripes
    pictures = attention_pictures(maps, style, content)
    for name in ("da_before", "da_after", "pa_region_before", "pa_region_after"):
        brightness = pictures[name] @ GREY
        assert (brightness[:, 1:64:2].mean(axis=1) > brightness[:, 0:64:2].mean(axis=1) + 20).all()


@pytest.mark.parametrize("size", [(150, 200), (64, 64), (40, 300)])
def test_the_content_keeps_its_brightness_in_the_block_alone(size):
    position = size[0] - 1, size[1] // 2
    maps = drawn_maps(content_size=size, position=position)
    style, content = drawn_pictures(maps)
    picture = attention_pictures(maps, style, content)["content_point"]
    top, left = (i // BLOCK_PX * BLOCK_PX for i in position)
    is_block = np.zeros(size, bool)
    is_block[top : top + BLOCK_PX, left : left + BLOCK_PX] = True
    same = (picture == content).all(axis=-1)
    dimmed = (np.abs(picture - content / 2) <= 1).all(axis=-1)
    framed = ~same & ~dimmed
    assert (dimmed | framed)[~is_block].all() and (same | framed)[is_block].all()
    assert 60 < framed.sum() < 8 * BLOCK_PX + 8 * 4 * POINT_PX  # lines, not areas
    centre = tuple(i // POINT_PX * POINT_PX + POINT_PX // 2 for i in position)
    assert not framed[min(centre[0], size[0] - 2), centre[1]]  # the point itself stays visible


def test_without_blocks_only_the_point_is_marked():
    maps = drawn_maps(progressive=None)
    style, content = drawn_pictures(maps)
    picture = attention_pictures(maps, style, content)["content_point"]
    same = (picture == content).all(axis=-1)
    np.testing.assert_array_equal(np.argwhere(same).min(axis=0), (64, 144))  # pixel 70, 149
    np.testing.assert_array_equal(np.argwhere(same).max(axis=0), (71, 151))


def test_the_heat_colors_are_even_steps_from_dark_to_light_that_srgb_can_show():
    lab = srgb_to_lab(heat_colors())
    assert lab.shape == (256, 3)
    lightness = lab[:, 0]
    assert (np.diff(lightness) > 0).all() and lightness[0] < 12 and lightness[-1] > 92
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    assert np.ptp(steps) < 0.05 * steps.mean()  # clipped colors would make short ones


def test_a_variant_shows_what_it_has():
    rng = np.random.default_rng(2)
    everywhere = AllToAllMaps(rng.normal(size=(HEADS, 17, 35)), rng.random((HEADS, 17, 35)))
    nothing = dict(distributed=None, progressive=None)
    no_match = drawn_maps().progressive._replace(scores=None)
    da, pa = {"da_before", "da_after"}, {"pa_region_after", "pa_position", "pa_blocks"}
    for paths, names in (
        ({}, da | pa | {"pa_region_before"}),
        (dict(distributed=None), pa | {"pa_region_before"}),
        (dict(progressive=None), da),
        (dict(progressive=no_match), da | pa),
        (nothing | dict(all_to_all=everywhere), {"all_before", "all_after"}),
    ):
        maps = drawn_maps(**paths)
        pictures = attention_pictures(maps, *drawn_pictures(maps))
        assert set(pictures) == names | {"content_point", "contact_sheet"}
        for name, picture in pictures.items():
            assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
            if name in names - {"pa_blocks"}:
                assert picture.shape == (130, 275, 3)


def test_the_contact_sheet_holds_every_picture():
    size = 240, CELL_PX  # so that none is resized
    maps = drawn_maps(content_size=size, style_size=size)
    style, content = drawn_pictures(maps)
    pictures = attention_pictures(maps, style, content)
    sheet = pictures.pop("contact_sheet")
    pictures.pop("pa_blocks")  # of a size of its own
    for picture in (style, *pictures.values()):
        starts = np.argwhere((sheet[: -size[0], : -size[1]] == picture[0, 0]).all(axis=-1))
        assert any(
            (sheet[top : top + size[0], left : left + size[1]] == picture).all()
            for top, left in starts
        )


def test_chosen_blocks_are_enlarged_without_resampling():
    chosen = np.array([(0, 1)] * 4 + [(2, 4)] * 4)  # a whole one and one of 2 by 19 pixels
    progressive = drawn_maps().progressive._replace(chosen=chosen)
    maps = drawn_maps(progressive=progressive)
    pictures = attention_pictures(maps, *drawn_pictures(maps))
    blocks, source = pictures["pa_blocks"], pictures["pa_position"]
    factor = np.flatnonzero((blocks != blocks[:, :1]).any(axis=(0, 2)))[0]
    whole = blocks[: BLOCK_PX * factor : factor, : BLOCK_PX * factor : factor]
    inner = np.s_[4:-4, 4:-4]  # whatever frames lie there
    np.testing.assert_array_equal(whole[inner], source[0:64, 64:128][inner])


@pytest.mark.parametrize("content", [(1, 1), (2, 3), (1, 900), (700, 1)])
@pytest.mark.parametrize("style", [(1, 1), (1, 40), (3, 2), (900, 1)])
def test_pictures_of_any_size_have_pictures(content, style):
    position = tuple(side - 1 for side in content)
    maps = drawn_maps(content_size=content, style_size=style, position=position)
    pictures = attention_pictures(maps, *drawn_pictures(maps))
    assert pictures["content_point"].shape == (*content, 3)
    assert pictures["pa_position"].shape == (*style, 3)


def test_floats_and_8_bits_give_the_same():
    maps = drawn_maps()
    style, content = drawn_pictures(maps)
    copies = style.copy(), content.copy()
    expected = attention_pictures(maps, style, content)
    got = attention_pictures(maps, style.astype(np.float32) / 255, content / 255)
    for name, picture in expected.items():
        np.testing.assert_array_equal(got[name], picture)
    for ours, before in zip((style, content), copies, strict=True):
        np.testing.assert_array_equal(ours, before)  # nothing is drawn into what was given


@pytest.mark.parametrize(
    ("style", "content", "message"),
    [
        ((130, 274, 3), (150, 200, 3), "style_picture has shape .130, 274, 3.; .* of 130x275 pix"),
        ((130, 275, 3), (200, 150, 3), "content_picture has shape"),
        ((1, 130, 275, 3), (150, 200, 3), "style_picture has shape"),
        ((130, 275), (150, 200, 3), "style_picture has shape"),
    ],
)
def test_a_picture_of_another_size_is_refused(style, content, message):
    with pytest.raises(UserError, match=message):
        attention_pictures(drawn_maps(), np.zeros(style), np.zeros(content))


def test_floats_of_the_range_of_8_bits_are_refused():
    style, content = drawn_pictures(drawn_maps())
    with pytest.raises(UserError, match="style_picture ranges from 0 to 255; expected floats"):
        attention_pictures(drawn_maps(), style.astype(np.float32), content)


def test_all_pictures_are_written_as_they_are(tmp_path):
    maps = drawn_maps()
    pictures = attention_pictures(maps, *drawn_pictures(maps))
    (tmp_path / "out").mkdir()  # an empty directory will do
    files = save_attention(tmp_path / "out", pictures)
    assert files == [tmp_path / "out" / f"{name}.png" for name in pictures]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(file.name for file in files)
    for file, picture in zip(files, pictures.values(), strict=True):
        np.testing.assert_array_equal(np.asarray(read_picture(file)), picture)


def test_what_cannot_be_written_whole_leaves_nothing(tmp_path):
    pictures = {"good": np.zeros((2, 2, 3), np.uint8), "bad": np.zeros((2, 2, 2, 2, 3), np.uint8)}
    with pytest.raises((TypeError, ValueError)):
        save_attention(tmp_path / "out", pictures)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["full", "file", "file/below"])
def test_a_place_that_is_taken_is_refused_and_left_as_it_is(tmp_path, place):
    (tmp_path / "full").mkdir()
    for name in ("full/mine.txt", "file"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{place} (exists and is not empty|cannot be written)"):
        save_attention(tmp_path / place, {"one": np.zeros((2, 2, 3), np.uint8)})
    assert sorted(os.listdir(tmp_path)) == ["file", "full"]
    assert os.listdir(tmp_path / "full") == ["mine.txt"]
    assert (tmp_path / "file").read_text() == "mine"
