"""Convolutions of stride 1 in the forms that XLA's CPU backend runs fastest, gradients included.

Shapes: x `[b, H, W, c]`, kernels `[k, k, c, d]`, outputs and their gradients `[b, ., ., d]`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_PACKED_CHANNELS = 16  # with more, the wider product costs more than it saves
_CHANNELS_FOR_WINOGRAD = 256  # with fewer, moving the tiles costs more than it saves
_TILES_FOR_WINOGRAD = 64
_NUMBERS_FOR_WINOGRAD = 2**25  # of x; the tiles take four times the memory
_CHANNELS_FOR_CHUNKS = 64
_POINTS_PER_CHUNK = 2048  # of the gradient by the kernel: what fits a cache


@jax.custom_vjp
def same(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves with zero padding (`"SAME"`); the kernel's gradient is written by hand."""
    few, many = sorted(kernel.shape[2:])
    if kernel.shape[0] == 3 and few < _PACKED_CHANNELS >= many:
        return _packed(x, kernel)
    return convolve(x, kernel, "SAME")


def _packed(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves as `same`, four columns of results at a time.

    With few channels, XLA spends its time on moving points. Here a point is moved half as often,
    for a product that is four times as wide.
    """
    b, height, width, _ = x.shape
    columns, d = 4, kernel.shape[3]
    kernels = [
        jnp.pad(kernel, ((0, 0), (i, columns - 1 - i), (0, 0), (0, 0))) for i in range(columns)
    ]
    after = 1 + -width % columns
    y = lax.conv_general_dilated(
        x,
        jnp.concatenate(kernels, axis=3),
        (1, columns),
        ((1, 1), (1, after)),
        dimension_numbers=_LAYOUT,
    )
    return y.reshape(b, height, -1, d)[:, :, :width]


def winograd_pays(x: jax.Array, kernel: jax.Array) -> bool:
    """Returns whether `winograd` is faster than `same` for a map and a 3x3 kernel."""
    b, height, width, c = x.shape
    tiles = b * -(-height // 2) * -(-width // 2)
    return (
        x.dtype == jnp.float32
        and min(c, kernel.shape[3]) >= _CHANNELS_FOR_WINOGRAD
        and tiles >= _TILES_FOR_WINOGRAD
        and x.size <= _NUMBERS_FOR_WINOGRAD
    )


@jax.custom_vjp
def winograd(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves `[b, H + 2, W + 2, c]`, no padding, with a 3x3 kernel: -> [b, H, W, d].

    Lavin and Gray's F(2x2, 3x3): tiles of 2x2 results from 4x4 points with 16 products instead of
    36. The products of all tiles at one place make one matrix product.
    """
    b, height, width, c = x.shape
    rows, columns = (height - 1) // 2, (width - 1) // 2  # of tiles, a last partial one included
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    x = x.reshape(b, rows + 1, 2, columns + 1, 2, c)

    def point(i: int, j: int) -> jax.Array:  # [b, rows, columns, c]: point (i, j) of every tile
        return x[:, i // 2 : i // 2 + rows, i % 2, j // 2 : j // 2 + columns, j % 2]

    points = _on_both_axes(_points_transform, [[point(i, j) for j in range(4)] for i in range(4)])
    taps = _on_both_axes(_kernel_transform, [[kernel[i, j] for j in range(3)] for i in range(3)])
    products = [
        [jnp.einsum("bHWc,cd->bHWd", v, u) for v, u in zip(vs, us, strict=True)]
        for vs, us in zip(points, taps, strict=True)
    ]
    (y00, y01), (y10, y11) = _on_both_axes(_result_transform, _apart(products))
    y = jnp.stack([jnp.stack([y00, y01], axis=3), jnp.stack([y10, y11], axis=3)], axis=2)
    return y.reshape(b, 2 * rows, 2 * columns, -1)[:, : height - 2, : width - 2]


def _points_transform(d0, d1, d2, d3):
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _kernel_transform(g0, g1, g2):
    return g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2


def _result_transform(m0, m1, m2, m3):
    return m0 + m1 + m2, m1 - m2 - m3


def _on_both_axes(transform, cells: Sequence[Sequence[jax.Array]]) -> list[list[jax.Array]]:
    """Applies a transform to the columns of a square of arrays, then to its rows."""
    columns = [transform(*column) for column in zip(*cells, strict=True)]
    return _apart([transform(*row) for row in zip(*columns, strict=True)])


def _apart(cells: Sequence[Sequence[jax.Array]]) -> list[list[jax.Array]]:
    # The barrier prevents fusion, which would compute a cell again for each of its uses.
    return [[lax.optimization_barrier(cell) for cell in row] for row in cells]


def _same_backward(saved, gradient):
    x, kernel = saved
    _, transpose = jax.vjp(lambda x: convolve(x, kernel, "SAME"), x)
    before, after = (kernel.shape[0] - 1) // 2, kernel.shape[0] // 2
    padded = jnp.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    return *transpose(gradient), _kernel_gradient(padded, gradient, kernel)


def _winograd_backward(saved, gradient):
    x, kernel = saved
    padded = jnp.pad(gradient, ((0, 0), (2, 2), (2, 2), (0, 0)))
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return winograd(padded, turned), _kernel_gradient(x, gradient, kernel)


def _kernel_gradient(x: jax.Array, gradient: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the gradient by the kernel, for x `[b, H + k - 1, W + k - 1, c]` without padding.

    Every tap of the kernel is a matrix product of gradient and shifted map over all points. Strips
    of rows that fit a cache, one after the other, are two to four times as fast as XLA's form,
    which convolves with the gradient as a kernel of the map's size.
    """
    side, _, c, d = kernel.shape
    if min(c, d) < _CHANNELS_FOR_CHUNKS:
        _, transpose = jax.vjp(lambda kernel: convolve(x, kernel, "VALID"), kernel)
        return transpose(gradient)[0]
    b, height, width, _ = gradient.shape
    rows = min(height, max(1, _POINTS_PER_CHUNK // (b * width)))
    strips = -(-height // rows)
    widths = ((0, 0), (0, strips * rows - height), (0, 0), (0, 0))
    x, gradient = jnp.pad(x, widths), jnp.pad(gradient, widths)
    taps = [(i, j) for i in range(side) for j in range(side)]

    def add(strip, totals):
        x_strip = lax.dynamic_slice_in_dim(x, strip * rows, rows + side - 1, axis=1)
        g_strip = lax.dynamic_slice_in_dim(gradient, strip * rows, rows, axis=1)
        return [
            total + _over_points(x_strip[:, i : i + rows, j : j + width], g_strip)
            for total, (i, j) in zip(totals, taps, strict=True)
        ]

    # A total for each picture, so that pictures on several devices meet only once.
    totals = lax.fori_loop(0, strips, add, [jnp.zeros((b, c, d))] * len(taps))
    return jnp.stack(totals).sum(axis=1).reshape(kernel.shape).astype(kernel.dtype)


def _over_points(x: jax.Array, gradient: jax.Array) -> jax.Array:
    b = x.shape[0]
    x, gradient = x.reshape(b, -1, x.shape[3]), gradient.reshape(b, -1, gradient.shape[3])
    return jnp.einsum("bpc,bpd->bcd", x, gradient, preferred_element_type=jnp.float32)


def convolve(x: jax.Array, kernel: jax.Array, padding: str) -> jax.Array:
    """Convolves as XLA does it, with padding `"SAME"` or `"VALID"`."""
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=_LAYOUT)


same.defvjp(lambda x, kernel: (same(x, kernel), (x, kernel)), _same_backward)
winograd.defvjp(lambda x, kernel: (winograd(x, kernel), (x, kernel)), _winograd_backward)
