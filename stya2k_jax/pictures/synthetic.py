"""Pictures that the project draws itself, so that a first run needs no files.

Contents are simple landscapes and still lifes; styles differ in colors and marks. Every picture is
a function of its index alone. `draw` finds it by a name, such as `waves` or `landscape_2`.
"""

import re

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.pictures.arrays import to_uint8

CONTENTS = ("landscape", "still_life")
STYLES = ("hatching", "mosaic", "ink_wash", "stained_glass", "waves")


def draw(name: str, size_px: int = 256) -> np.ndarray:
    """Draws a content or a style by its name: uint8 `[size, size, 3]`.

    Args:
      name: one of `CONTENTS` and `STYLES`; `waves_2`, `waves_3` and so on are the same kind with
        other shapes and colors.
      size_px: side in pixels.

    Raises:
      UserError: no such name.
    """
    found = re.fullmatch(r"([a-z_]+?)(?:_([2-9]|[1-9]\d{1,3}))?", name)
    kind, again = (found[1], int(found[2] or 1) - 1) if found else ("", 0)
    if kind in CONTENTS:
        return draw_content(CONTENTS.index(kind) + again * len(CONTENTS), size_px)
    if kind in STYLES:
        return draw_style(STYLES.index(kind) + again * len(STYLES), size_px)
    raise UserError(
        f"There is no drawn picture {name!r}; choose one of {', '.join(CONTENTS + STYLES)}, or "
        f"such a name with a number, as {STYLES[-1]}_2."
    )


def draw_content(index: int, size_px: int = 256) -> np.ndarray:
    """Draws a landscape or a still life: uint8 `[size, size, 3]`."""
    rng = np.random.default_rng([1, index])
    x, y = _coordinates(size_px)
    picture = _landscape(rng, x, y) if index % 2 == 0 else _still_life(rng, x, y)
    return to_uint8(picture + rng.normal(0, 0.01, picture.shape))


def draw_style(index: int, size_px: int = 256) -> np.ndarray:
    """Draws abstract marks in a palette of their own: uint8 `[size, size, 3]`."""
    rng = np.random.default_rng([2, index])
    x, y = _coordinates(size_px)
    kind = STYLES[index % len(STYLES)]
    draw = dict(zip(STYLES, (_hatching, _mosaic, _ink_wash, _stained_glass, _waves), strict=True))
    return to_uint8(draw[kind](rng, x, y, _palette(rng)))


def _coordinates(size_px: int) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(size_px) + 0.5) / size_px
    return axis[None, :], axis[:, None]


def _palette(rng: np.random.Generator, colors: int = 5) -> np.ndarray:
    """Returns colors `[n, 3]` from dark to light around two hues."""
    hue = rng.uniform(0, 1) + np.where(np.arange(colors) % 2, rng.uniform(0.3, 0.6), 0)
    light = np.linspace(0.12, 0.92, colors)
    tint = 0.5 + 0.5 * np.cos(2 * np.pi * (hue[:, None] + np.array([0, 1 / 3, 2 / 3])))
    return np.clip(light[:, None] * (0.45 + 0.75 * tint), 0, 1)


def _noise(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, scale: float) -> np.ndarray:
    """Returns smooth noise of about unit size with features of 1 / scale of the picture."""
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape))
    for _ in range(8):
        fx, fy = rng.normal(0, scale, 2)
        total = total + np.sin(2 * np.pi * (fx * x + fy * y + rng.uniform()))
    return total / 2


def _mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return a + (b - a) * np.clip(weight, 0, 1)[..., None]


def _landscape(rng, x, y):
    sky = _mix(rng.uniform(0.3, 0.7, 3) + [0, 0.1, 0.3], rng.uniform(0.7, 1, 3), y + 0 * x)
    sun = np.hypot(x - rng.uniform(0.2, 0.8), y - rng.uniform(0.1, 0.3))
    picture = _mix(sky, np.array([1, 0.95, 0.8]), (0.08 - sun) * 60)
    for depth in range(4):
        ridge = 0.4 + 0.14 * depth + 0.07 * _noise(rng, x, 0 * x, 2 + depth)
        hill = rng.uniform(0.1, 0.5, 3) * (1.2 - 0.2 * depth)
        shade = hill * (0.8 + 0.2 * _noise(rng, x, y, 9)[..., None])
        picture = _mix(picture, shade, (y - ridge) * 80)
    return picture


def _still_life(rng, x, y):
    wall, table = rng.uniform(0.4, 0.9, 3), rng.uniform(0.2, 0.6, 3)
    picture = _mix(wall * (0.7 + 0.3 * (x + 0 * y))[..., None], table, (y - 0.65) * 80)
    for _ in range(rng.integers(3, 7)):
        cx, cy, radius = rng.uniform(0.15, 0.85), rng.uniform(0.35, 0.8), rng.uniform(0.07, 0.2)
        u, v = (x - cx) / radius, (y - cy) / radius / rng.uniform(0.7, 1.4)
        square = rng.uniform() < 0.4
        inside = 1 - (np.maximum(abs(u), abs(v)) if square else np.hypot(u, v))
        light = 0.55 + 0.45 * np.clip(1 - np.hypot(u + 0.4, v + 0.4) / 1.4, -0.6, 1)
        picture = _mix(picture, rng.uniform(0.2, 1, 3) * light[..., None], inside * radius * 100)
    return picture


def _hatching(rng, x, y, palette):
    tone = 0.5 + 0.35 * _noise(rng, x, y, 1.5)
    ink = np.zeros_like(tone)
    for level in range(3):
        angle = rng.uniform(0, np.pi)
        wobble = 0.3 * _noise(rng, x, y, 4)
        lines = np.sin(2 * np.pi * 28 * (x * np.cos(angle) + y * np.sin(angle)) + wobble)
        ink = np.maximum(ink, (lines > 0.3) * (tone < 0.8 - 0.25 * level))
    return _mix(palette[4] + 0 * ink[..., None], palette[0], ink)


def _mosaic(rng, x, y, palette):
    tiles = rng.integers(14, 22)
    shift = 0.04 * _noise(rng, x, y, 1.5)
    i, j = np.floor((x + shift) * tiles), np.floor((y + shift) * tiles)
    pick = (
        _noise(rng, i / tiles, j / tiles, 1.5)
        + rng.normal(0, 0.5, (40, 40))[j.astype(int) % 40, i.astype(int) % 40]
    )
    color = palette[1:][np.clip((pick + 1) * 2, 0, 3).astype(int)]
    edge = np.maximum(abs((x + shift) * tiles - i - 0.5), abs((y + shift) * tiles - j - 0.5))
    return _mix(color, palette[0], (edge - 0.4) * 20)


def _ink_wash(rng, x, y, palette):
    warp = 0.15 * _noise(rng, x, y, 2)
    wash = 0.5 + 0.5 * np.sin(3 * _noise(rng, x + warp, y - warp, 1.2))
    paper = palette[4] * (1 - 0.03 * abs(_noise(rng, x, y, 60)))[..., None]
    picture = _mix(paper, palette[1], 0.85 * wash**2)
    rim = np.exp(-(((wash - 0.6) / 0.05) ** 2))
    return _mix(picture, palette[0], 0.6 * rim)


def _stained_glass(rng, x, y, palette):
    centres = rng.uniform(-0.1, 1.1, (45, 2))
    distance = np.hypot(x[..., None] - centres[:, 0], y[..., None] - centres[:, 1])
    order = np.argsort(distance, axis=-1)[..., :2]
    nearest = np.take_along_axis(distance, order, axis=-1)
    color = palette[1 + rng.integers(0, 4, 45)][order[..., 0]]
    glow = 0.85 + 0.15 * _noise(rng, x, y, 3)
    return _mix(
        color * glow[..., None], 0.04 * np.ones(3), (0.014 - np.diff(nearest)[..., 0]) * 200
    )


def _waves(rng, x, y, palette):
    flow = y * rng.uniform(8, 12) + 0.7 * _noise(rng, x, y, 1.2) + np.sin(2 * np.pi * x)
    band = flow - np.floor(flow)
    color = palette[np.floor(flow).astype(int) % 4 + 1]
    stroke = 0.85 + 0.15 * np.sin(2 * np.pi * (flow * 5 + _noise(rng, x, y, 3)))
    return _mix(color * stroke[..., None], palette[0], (0.12 - band) * 12)
