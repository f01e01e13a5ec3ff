"""Loss terms against regular patterns and colored rims, which feature losses hardly see.

Nearest-neighbor enlargement followed by a convolution can leave a weave of two or four pixels in
flat areas, and stylized edges can get halos. The terms compare a stylized picture with its content.
Both are float `[b, H, W, 3]` in [0, 1]. The content passes no gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stya2k_jax.errors import UserError

WAVES = {  # periods in pixels: cycles per pixel down and across
    2: ((0, 1 / 2), (1 / 2, 0), (1 / 2, 1 / 2)),
    4: ((0, 1 / 4), (1 / 4, 0), (1 / 4, 1 / 4), (1 / 4, -1 / 4), (1 / 2, 1 / 4), (1 / 4, 1 / 2)),
}
GREY = (0.299, 0.587, 0.114)
SIGMA = 6.0  # of the Gaussian window, in pixels
REACH = 24  # of the window to each side
STRIDE = 6  # between windows
RING = 5 / 64  # from a wave to its neighbors, in cycles per pixel
FLOOR = 3e-9  # of the power: that of rounding to 8 bits
FLAT = 1e-3  # variance of a content that is half flat

CELL = 16  # one edge is looked at in each square of this side
STRONG_EDGE = 0.04  # grey per pixel, after a blur of 2 pixels: a step of a fifth
INSIDE = tuple(range(-10, 11, 2))  # pixels from the edge, where a rim would be
SIDES = (12, 15, 18, 21, 24)
MARGIN = 0.05  # by which a color may leave the range of the two sides


class PatternTerms(NamedTuple):
    """Unweighted terms of `pattern_terms`.

    Attributes:
      energy: power at the waves of `WAVES`, beyond the content's.
      contrast: how far that power stands out from neighboring frequencies, in natural logarithms,
        beyond the content's.
    """

    energy: jax.Array
    contrast: jax.Array


def pattern_terms(stylized: jax.Array, content: jax.Array) -> PatternTerms:
    """Measures the regular patterns of two and four pixels that the content does not have.

    Red, green, blue and grey are multiplied by a wave, blurred by a Gaussian of deviation 6 without
    padding, and squared.

    `energy` averages that over places and colors and sums over the waves of a period; of each
    period what exceeds the content's own value counts. `contrast` averages over places in
    proportion to how flat the content is there, and takes the logarithm of each wave's power less
    the mean logarithm at eight neighboring frequencies. A weak pattern on an empty ground counts as
    much as a strong one in a busy picture. The neighbors pass no gradient: noise is no way out.

    Raises:
      UserError: pictures that are smaller than a window, 49 pixels.
    """
    if min(stylized.shape[1:3]) <= 2 * REACH:
        raise UserError(f"a crop is smaller than {2 * REACH + 1} pixels; no pattern is seen in it.")
    content = jax.lax.stop_gradient(content)
    flat = _flatness(content)
    ours, theirs = (_patterns(x, flat) for x in (stylized, content))
    energy = contrast = jnp.zeros(len(stylized))
    for period in WAVES:
        energy += jnp.maximum(ours[period].energy - theirs[period].energy, 0)
        # Below 0 the wave stands out of nothing.
        most = jnp.maximum(theirs[period].contrast, 0)
        contrast += jnp.sum(jnp.maximum(ours[period].contrast - most, 0), axis=-1)
    return PatternTerms(jnp.mean(energy), jnp.mean(contrast))


def rim_term(stylized: jax.Array, content: jax.Array) -> jax.Array:
    """Measures colors along strong edges of the content that neither side of the edge has.

    In every 16x16 cell the strongest edge of the content is looked at. Along the line across it,
    colors within 10 pixels are compared with the range of those 12 to 24 pixels away on both sides.
    Returns the mean square of what leaves the range by more than 0.05, beyond the content's own
    value at that edge. The range passes no gradient.
    """
    content = jax.lax.stop_gradient(content)
    row, column, across, strong = _edges(_grey(content))

    def colors(pictures: jax.Array, offsets: tuple[int, ...]) -> jax.Array:
        steps = jnp.asarray(offsets, jnp.float32)[:, None, None]
        at = [
            jnp.clip(jnp.round(start[None] + steps * part[None]), 0, size - 1).astype(jnp.int32)
            for start, part, size in zip((row, column), across, pictures.shape[1:3], strict=True)
        ]
        return pictures[jnp.arange(len(pictures))[None, :, None], at[0], at[1]]

    def rims(pictures: jax.Array) -> jax.Array:
        pictures = _blur(pictures, 1.0)
        sides = jax.lax.stop_gradient(colors(pictures, tuple(-x for x in SIDES) + SIDES))
        low, high = sides.min(0, keepdims=True) - MARGIN, sides.max(0, keepdims=True) + MARGIN
        inside = colors(pictures, INSIDE)
        beyond = jnp.maximum(inside - high, 0) + jnp.maximum(low - inside, 0)
        return jnp.mean(beyond**2, axis=(0, -1))

    excess = jnp.maximum(rims(stylized) - rims(content), 0)
    return jnp.mean(jnp.sum(excess * strong, -1) / jnp.maximum(jnp.sum(strong, -1), 1))


def _patterns(pictures: jax.Array, flat: jax.Array) -> dict[int, PatternTerms]:
    """Returns each picture's terms by period; the contrast by wave and color."""
    pictures = jnp.concatenate([pictures, _grey(pictures)[..., None]], axis=-1)
    near = (-RING, 0.0, RING)
    ring = [(dy, dx) for dy in near for dx in near if dy or dx]
    base = (0.0, 1 / 4, 1 / 2)
    down = tuple(f + d for f in base for d in near)
    right = tuple(f + d for f in (-1 / 4, *base) for d in near)
    rows, columns = (
        _windows(x, f) for x, f in zip(pictures.shape[1:3], (down, right), strict=True)
    )
    waves = jnp.einsum("fph,bhwc->bfpwc", rows, pictures.astype(jnp.complex64))
    waves = jnp.einsum("gqw,bfpwc->bfgpqc", columns, waves)
    power = jnp.square(waves.real) + jnp.square(waves.imag)  # of every place and color
    logs = jnp.log(jnp.einsum("bfgpqc,bpq->bfgc", power, flat) + FLOOR)

    def at(values: jax.Array, y: float, x: float) -> jax.Array:
        return values[:, down.index(y), right.index(x)]

    found = {}
    for period, frequencies in WAVES.items():
        powers = [jnp.mean(at(power, *f), axis=(1, 2, 3)) for f in frequencies]
        contrasts = [
            at(logs, y, x)
            - jax.lax.stop_gradient(sum(at(logs, y + dy, x + dx) for dy, dx in ring) / len(ring))
            for y, x in frequencies
        ]
        found[period] = PatternTerms(
            jnp.sum(jnp.stack(powers), 0), jnp.concatenate(contrasts, axis=-1) / len(contrasts)
        )
    return found


def _flatness(content: jax.Array) -> jax.Array:
    """Returns the weight of every window `[b, rows, columns]`, of sum 1."""
    rows, columns = (jnp.real(_windows(x, (0.0,))[0]) for x in content.shape[1:3])

    def smooth(x: jax.Array) -> jax.Array:
        return jnp.einsum("ph,bhw,qw->bpq", rows, x, columns)

    grey = _grey(content)
    variance = smooth(grey**2) - smooth(grey) ** 2
    weight = FLAT / (FLAT + jnp.maximum(variance, 0))
    return weight / jnp.sum(weight, axis=(1, 2), keepdims=True)


def _windows(size: int, frequencies: tuple[float, ...]) -> jax.Array:
    """Returns Gaussian windows times waves, complex `[frequency, window, size]`."""
    middles = np.arange(REACH, size - REACH, STRIDE)
    away = np.arange(size) - middles[:, None]
    window = np.where(np.abs(away) <= REACH, np.exp(-((away / SIGMA) ** 2) / 2), 0)
    window /= window.sum(1, keepdims=True)
    turns = np.asarray(frequencies)[:, None, None] * np.arange(size)
    return jnp.asarray(window * np.exp(-2j * np.pi * turns), jnp.complex64)


def _edges(grey: jax.Array) -> tuple[jax.Array, jax.Array, tuple[jax.Array, jax.Array], jax.Array]:
    """Finds the strongest edge of each cell: row, column, direction across, and whether it counts.

    All are `[b, cells]`; the direction is a unit vector, down and right.
    """
    down, right = jnp.gradient(_blur(grey[..., None], 2.0)[..., 0], axis=(1, 2))
    length = jnp.sqrt(down**2 + right**2 + 1e-12)
    b, rows, columns = len(grey), grey.shape[1] // CELL, grey.shape[2] // CELL
    cells = length[:, : rows * CELL, : columns * CELL].reshape(b, rows, CELL, columns, CELL)
    best = jnp.argmax(jnp.moveaxis(cells, 2, 3).reshape(b, rows, columns, -1), axis=-1)
    row = (CELL * jnp.arange(rows)[None, :, None] + best // CELL).reshape(b, -1)
    column = (CELL * jnp.arange(columns)[None, None] + best % CELL).reshape(b, -1)
    down, right, length = (x[jnp.arange(b)[:, None], row, column] for x in (down, right, length))
    return row, column, (down / length, right / length), length >= STRONG_EDGE


def _blur(pictures: jax.Array, sigma: float) -> jax.Array:
    """Blurs `[b, H, W, C]` by a Gaussian; edges are repeated."""
    offsets = np.arange(-int(3 * sigma), int(3 * sigma) + 1)
    taps = np.exp(-((offsets / sigma) ** 2) / 2)
    down, right = (
        np.eye(n)[np.clip(np.arange(n)[:, None] + offsets, 0, n - 1)].swapaxes(1, 2) @ taps
        for n in pictures.shape[1:3]
    )
    down, right = (jnp.asarray(x / taps.sum(), pictures.dtype) for x in (down, right))
    return jnp.einsum("ph,bhwc,qw->bpqc", down, pictures, right, precision="highest")


def _grey(pictures: jax.Array) -> jax.Array:
    return pictures @ jnp.asarray(GREY, pictures.dtype)
