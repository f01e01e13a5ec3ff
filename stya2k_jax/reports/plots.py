"""Small plots as inline SVG, for reports that are one file."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 300, 60, 46, 14  # of a plot and its margins, in pixels
BELOW = 40  # more room for slanted names
COLOURS = ("#2a6f97", "#c1666b", "#6a994e", "#8d6a9f", "#bc6c25", "#4a4e69", "#d4a017")

Points = Sequence[tuple[float, float]]


def scatter(series: Mapping[str, Points], x_label: str, y_label: str) -> str:
    """Draws points (x, y) of several series, each in its colour, on axes that begin at 0."""
    x_max = _round_up(max((x for points in series.values() for x, _ in points), default=1))
    y_max = _round_up(max((y for points in series.values() for _, y in points), default=1))
    marks = []
    for i, (name, points) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        marks += [_dot(_x(x / x_max), _y(y / y_max), colour) for x, y in points]
        marks.append(_text(WIDTH - 8, TOP + 14 * (i + 1), name, "end", colour))
    ticks = [_text(_x(f), HEIGHT - BOTTOM + 16, _said(f * x_max), "middle") for f in (0, 0.5, 1)]
    return _frame([*marks, *ticks, *_y_ticks(y_max)], x_label, y_label)


def dots_by_group(groups: Mapping[str, Sequence[float]], y_label: str) -> str:
    """Draws each group's values as a column of dots with a line at their mean."""
    y_max = _round_up(max((y for values in groups.values() for y in values), default=1))
    marks = []
    for i, (name, values) in enumerate(groups.items()):
        x = _x((i + 0.5) / len(groups))
        marks += [_dot(x, _y(y / y_max), COLOURS[0]) for y in values]
        mean = _y(sum(values) / len(values) / y_max)
        marks.append(
            f'<line x1="{x - 9:.1f}" x2="{x + 9:.1f}" y1="{mean:.1f}" y2="{mean:.1f}" '
            f'stroke="{COLOURS[1]}" stroke-width="2.5"/>'
        )
        y, shown = HEIGHT - BOTTOM + 14, name if len(name) <= 14 else f"{name[:13]}…"
        marks.append(
            f'<text transform="translate({x + 4:.1f} {y}) rotate(-35)" text-anchor="end" '
            f'fill="#444">{escape(shown)}</text>'
        )
    return _frame([*marks, *_y_ticks(y_max)], "", y_label, BELOW)


def _frame(marks: Sequence[str], x_label: str, y_label: str, below: int = 0) -> str:
    left, right, top, bottom = _x(0), _x(1), _y(1), _y(0)
    axes = (
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#888"/>'
        + _text((left + right) / 2, HEIGHT - 8, x_label, "middle")
        + f'<text transform="translate(14 {(top + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text>'
    )
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT + below}" role="img" '
        f'aria-label="{escape(y_label)} {escape(x_label)}">{axes}{"".join(marks)}</svg>'
    )


def _x(fraction: float) -> float:
    return LEFT + fraction * (WIDTH - LEFT - 16)


def _y(fraction: float) -> float:
    return HEIGHT - BOTTOM - fraction * (HEIGHT - BOTTOM - TOP)


def _y_ticks(y_max: float) -> list[str]:
    return [_text(LEFT - 6, _y(f) + 4, _said(f * y_max), "end") for f in (0, 0.5, 1)]


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}" fill-opacity=".55"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#444") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(text)}</text>"
    )


def _said(value: float) -> str:
    return f"{value:.3g}"


def _round_up(value: float) -> float:
    """Returns the next round number, so that axes end and halve on such."""
    if value <= 0:
        return 1.0
    power = 10.0 ** len(str(int(value))) if value >= 1 else 1.0
    while power / 10 >= value:
        power /= 10
    return next(power * f for f in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0) if power * f >= value)
