"""The measure of rims on drawn edges."""

import numpy as np
import pytest

from stya2k_jax.metrics.rims import rims

SIDE = 96


def step(dark=(50, 50, 50), bright=(190, 190, 190), *, rim=None, width: int = 6) -> np.ndarray:
    """Returns dark beside bright, perhaps with a line of another color on the dark side."""
    picture = np.empty((SIDE, SIDE, 3), np.uint8)
    picture[:, : SIDE // 2], picture[:, SIDE // 2 :] = dark, bright
    if rim is not None:
        picture[:, SIDE // 2 - width : SIDE // 2] = rim
    return picture


def test_an_edge_has_no_rim_whatever_its_colors():
    for stylized in (step(), step((200, 20, 20), (20, 20, 200)), step((90, 90, 90), (90, 90, 90))):
        assert rims(stylized, step()) == 0
        assert rims(stylized.transpose(1, 0, 2), step().transpose(1, 0, 2)) == 0


@pytest.mark.parametrize("rim", [(50, 255, 255), (255, 255, 255), (0, 0, 0)])
def test_a_planted_rim_is_its_share_of_the_zone(rim):
    for width in (4, 8):
        found = rims(step(rim=rim, width=width), step())
        # Of 12 pixels to each side of two; the blur may take one.
        assert abs(found - width / 26) < 1.01 / 26


def test_a_line_of_a_color_between_the_sides_is_no_rim():
    assert rims(step(rim=(120, 120, 120)), step()) == 0


def test_a_rim_far_from_edges_does_not_count():
    stylized = step()
    stylized[:, 4:10] = (255, 0, 255)
    assert rims(stylized, step()) == 0


def test_a_slanted_edge_is_crossed_at_right_angles():
    y, x = np.mgrid[:SIDE, :SIDE]
    away = (x - y) / np.sqrt(2)
    content = np.where(away > 0, 190, 50).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    stylized = content.copy()
    assert rims(stylized, content) == 0
    stylized[(away < 0) & (away > -6)] = (0, 255, 255)
    assert abs(rims(stylized, content) - 6 / 25) < 0.06


def test_a_content_without_edges_has_no_rims_and_sizes_must_agree():
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert rims(noise, np.full((SIDE, SIDE, 3), 99, np.uint8)) == 0
    with pytest.raises(ValueError, match="differ"):
        rims(noise, noise[:9])
