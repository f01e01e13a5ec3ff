"""Small plots as inline SVG, for reports that are one file; drawn by Matplotlib."""

import io
import warnings
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from markupsafe import Markup

from stya2k_jax.errors import require
from stya2k_jax.files.digests import digest_of_bytes

INCHES = (5.6, 3.0)
ROOM = dict(left=0.1, bottom=0.16, top=0.95, right=0.76)  # of the axes, in parts of the picture
ROOM_BELOW = 0.9  # inches for slanted names
NAME_LENGTH = 18  # of series and groups; longer names are cut
STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "svg.fonttype": "none",  # texts stay texts
    "svg.hashsalt": "stya2k",  # equal plots are equal files
}
DOTS = dict(marker="o", linestyle="", markersize=4, markeredgewidth=0, alpha=0.55)

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"

Points = Sequence[tuple[float, float]]


def check_library() -> None:
    """Checks that plots can be drawn, before hours of measuring.

    Raises:
      UserError: Matplotlib is not installed.
    """
    require("matplotlib.figure", "evaluate", "A report's plots")


def scatter(series: Mapping[str, Points], x_label: str, y_label: str) -> Markup:
    """Draws points (x, y) of several series, each in its color, on axes that begin at 0."""

    def draw(figure) -> None:
        axes = figure.add_subplot()
        for i, (name, points) in enumerate(series.items()):
            axes.plot([x for x, _ in points], [y for _, y in points], color=f"C{i}", **DOTS)
            place = dict(x=1.03, y=1 - 0.07 * i, va="top", transform=axes.transAxes)
            axes.text(s=_short(name), color=f"C{i}", parse_math=False, **place)
        axes.set(xlabel=x_label, ylabel=y_label, xlim=(0, None), ylim=(0, None))

    return _drawn(draw, INCHES, ROOM, f"{y_label} over {x_label}")


def lines(series: Mapping[str, Points], x_label: str, y_label: str) -> Markup:
    """Draws several series as smoothed lines over their pale values, on axes that begin at 0."""

    def draw(figure) -> None:
        axes = figure.add_subplot()
        for i, (name, points) in enumerate(series.items()):
            x, y = [x for x, _ in points], [y for _, y in points]
            axes.plot(x, y, color=f"C{i}", linewidth=0.6, alpha=0.35)
            axes.plot(
                x, smoothed(y), color=f"C{i}", linewidth=1.8, marker="." if len(x) < 3 else ""
            )
            place = dict(x=1.03, y=1 - 0.07 * i, va="top", transform=axes.transAxes)
            axes.text(s=_short(name), color=f"C{i}", parse_math=False, **place)
        axes.set(xlabel=x_label, ylabel=y_label, xlim=(0, None), ylim=(0, None))

    return _drawn(draw, INCHES, ROOM, f"{y_label} over {x_label}")


def smoothed(values: Sequence[float]) -> list[float]:
    """Returns the mean of each value and its neighbours, an eighth of all; fewer at the ends."""
    reach = len(values) // 16
    means = []
    for i in range(len(values)):
        near = values[max(0, i - reach) : i + reach + 1]
        means.append(sum(near) / len(near))
    return means


def dots_by_group(groups: Mapping[str, Sequence[float]], y_label: str) -> Markup:
    """Draws each group's values as a column of dots with a line at their mean."""
    height = INCHES[1] + ROOM_BELOW
    room = ROOM | dict(right=0.98, bottom=ROOM_BELOW / height)

    def draw(figure) -> None:
        axes = figure.add_subplot()
        for i, values in enumerate(groups.values()):
            axes.plot([i] * len(values), values, color="C0", **DOTS)
            axes.plot(i, sum(values) / len(values), "_", color="C3", ms=12, mew=2.5)
        slanted = dict(rotation=35, ha="right", rotation_mode="anchor", parse_math=False)
        axes.set_xticks(range(len(groups)), map(_short, groups), **slanted)
        axes.set(ylabel=y_label, xlim=(-0.6, len(groups) - 0.4), ylim=(0, None))

    return _drawn(draw, (INCHES[0], height), room, f"{y_label} by group")


def _drawn(draw, inches: tuple[float, float], room: Mapping[str, float], said: str) -> Markup:
    matplotlib = require("matplotlib", "evaluate", "A plot")
    figure_of = require("matplotlib.figure", "evaluate", "A plot").Figure
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the browser's font has it, not Matplotlib's
        figure = figure_of(figsize=inches)
        figure.subplots_adjust(**room)
        draw(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _inline(buffer.getvalue(), said)


def _inline(svg: bytes, said: str) -> Markup:
    """Returns an SVG to stand among others in a page: none of its ids is another one's."""
    ElementTree.register_namespace("", _SVG[1:-1])
    ElementTree.register_namespace("xlink", _LINK[1:-5])
    root, prefix = ElementTree.fromstring(svg), digest_of_bytes(svg)[:8]
    root.remove(root.find(f"{_SVG}metadata"))
    for element in root.iter():
        if "id" in element.attrib:
            element.set("id", f"{prefix}-{element.get('id')}")
        if _LINK in element.attrib:
            element.set(_LINK, f"#{prefix}-{element.get(_LINK)[1:]}")
        if "clip-path" in element.attrib:
            element.set("clip-path", element.get("clip-path").replace("#", f"#{prefix}-"))
    for size in ("width", "height"):
        del root.attrib[size]  # the stylesheet says it
    root.attrib |= {"class": "plot", "role": "img", "aria-label": said}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _short(name: str) -> str:
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return printable if len(name) <= NAME_LENGTH else f"{printable[: NAME_LENGTH - 1]}…"
