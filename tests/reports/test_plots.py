"""Plots hold every point, inside their frame, and can stand side by side in one page."""

import re
from xml.etree import ElementTree

import pytest

from stya2k_jax.reports import plots

pytest.importorskip("matplotlib")
SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"


def dots(svg: str) -> list[tuple[float, float]]:
    """Returns where marks are; ticks are marks too, but without a clip path."""
    clipped = [g for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if "clip-path" in g.attrib]
    found = [use for g in clipped for use in g.iter(f"{SVG}use")]
    return [(float(use.get("x")), float(use.get("y"))) for use in found]


def frame(svg: str) -> tuple[float, float, float, float]:
    """Returns left, right, top and bottom of the axes."""
    rectangle = next(ElementTree.fromstring(svg).iter(f"{SVG}rect")).attrib
    x, y, width, height = (float(rectangle[name]) for name in ("x", "y", "width", "height"))
    return x, x + width, y, y + height


@pytest.mark.parametrize("scale", [1e-4, 0.03, 0.999, 1, 7, 9.99, 10, 23.4, 1e5])
def test_every_point_lies_in_the_frame_and_the_largest_fills_a_good_part(scale):
    points = [(0.0, 0.0), (0.5 * scale, scale), (scale, 0.3 * scale)]
    svg = plots.scatter({"<ours>": points}, "x & y", "y")
    found, (left, right, top, bottom) = dots(svg), frame(svg)
    assert len(found) == 3
    for x, y in found:
        assert left - 0.01 <= x <= right and top <= y <= bottom + 0.01
    largest = max(x for x, _ in found) - left
    assert largest > 0.39 * (right - left)


def test_groups_stand_side_by_side_with_their_values_and_means():
    found = dots(plots.dots_by_group({"a": [1.0, 3.0], "b": [2.0]}, "loss"))
    assert len(found) == 5
    low, high, mean, alone, its_mean = found
    assert low[0] == high[0] == mean[0] < alone[0]
    assert high[1] < mean[1] < low[1] and alone == its_mean  # larger values are higher up
    assert mean[1] == pytest.approx((low[1] + high[1]) / 2)


@pytest.mark.parametrize(
    "name",
    [
        "<ours>",
        "$\\frac",
        "a$b$c",
        '" id="x',
        "_hidden",
        "--><script>",
        "漢字",
        "\x1b\x01",
        "\udcff",
    ],
)
def test_names_are_shown_as_they_are(name):
    for svg in (
        plots.scatter({name: [(1.0, 1.0)]}, "x", "y"),
        plots.dots_by_group({name: [1.0]}, "y"),
    ):
        texts = [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
        assert "".join(c if c.isprintable() else "\ufffd" for c in name) in texts


def test_a_smoothed_line_averages_neighbours_and_keeps_a_constant():
    assert plots.smoothed([]) == [] and plots.smoothed([3.0]) == [3.0]
    assert plots.smoothed([2.0] * 40) == [2.0] * 40
    values = [0.0] * 32
    values[16] = 5.0
    smooth = plots.smoothed(values)  # two neighbours on each side
    assert smooth[14:19] == [1.0] * 5 and sum(smooth) == pytest.approx(5)


def test_no_values_are_an_empty_plot():
    assert dots(plots.scatter({}, "x", "y")) == []


def test_plots_of_one_page_share_no_ids():
    one, other = (plots.scatter({"a": [(1.0, y)]}, "x", "y") for y in (1.0, 2.0))
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0] and not ids[0] & ids[1]
    for svg, own in zip((one, other), ids, strict=True):
        references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
        assert references and {a or b for a, b in references} <= own
    assert one == plots.scatter({"a": [(1.0, 1.0)]}, "x", "y")  # to the last byte
