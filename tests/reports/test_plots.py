"""Plots hold every point, inside their frame."""

import re

import pytest

from stya2k_jax.reports import plots


def circles(svg: str) -> list[tuple[float, float]]:
    found = re.findall(r'<circle cx="([\d.-]+)" cy="([\d.-]+)"', svg)
    return [(float(x), float(y)) for x, y in found]


@pytest.mark.parametrize("scale", [1e-4, 0.03, 0.999, 1, 7, 9.99, 10, 23.4, 1e5])
def test_every_point_lies_in_the_frame_and_the_largest_fills_a_good_part(scale):
    points = [(0.0, 0.0), (0.5 * scale, scale), (scale, 0.3 * scale)]
    found = circles(plots.scatter({"<ours>": points}, "x & y", "y"))
    assert len(found) == 3
    for x, y in found:
        assert plots.LEFT <= x <= plots.WIDTH and plots.TOP <= y <= plots.HEIGHT - plots.BOTTOM
    largest = max(x for x, _ in found) - plots.LEFT
    assert largest > 0.39 * (plots.WIDTH - plots.LEFT)


def test_groups_stand_side_by_side_with_their_values():
    found = circles(plots.dots_by_group({"a": [1.0, 3.0], "b": [2.0]}, "loss"))
    assert len(found) == 3 and found[0][0] == found[1][0] < found[2][0]
    heights = [y for _, y in found]
    assert heights[1] < heights[2] < heights[0]  # larger values are higher up


def test_names_are_escaped_and_no_values_are_an_empty_plot():
    assert "&lt;ours&gt;" in plots.scatter({"<ours>": [(1.0, 1.0)]}, "x", "y")
    assert circles(plots.scatter({}, "x", "y")) == []
