"""Convolutions as the system means them, in the form that is fastest on the machine at hand.

Each docstring starts with the definition; GPU and TPU compute small maps exactly that way. On the
CPU, wide kernels use Winograd's method. XLA runs zero-padded ("SAME") convolutions several times as
fast as "VALID" ones. So the CPU convolves a reflected copy as "SAME" and cuts the border off; a
border that is mended after the convolution saves a few percent of the time and takes five times as
long to compile. Accelerators do mend the border of large maps, which they could not copy as fast.
Shapes: x `[b, H, W, c]`, kernels `[3, 3, c, d]` or `[c, d]`, bias `[d]`, outputs `[b, ., ., d]`.
With an `extent`, only that part of a map is real, and borders are those of the real part.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from stya2k_jax.network import cpu_convolution
from stya2k_jax.network.picking import pick_reflected
from stya2k_jax.network.sizes import Extent, Length, line, with_line

_portable = ContextVar("portable", default=False)
_NUMBERS_TO_OVERWRITE = 2**24  # of a map; the border of a smaller one costs more than a padded copy


def conv1x1(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Multiplies every point's channels by `kernel` `[c, d]` and adds `bias`."""
    return jnp.einsum("bHWc,cd->bHWd", x, kernel) + _everywhere(bias)


def conv3x3(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    extent: Extent | None = None,
    *,
    relu: bool = False,
) -> jax.Array:
    """Convolves with stride 1 and reflection padding 1 (an axis of length 1 repeats its edge).

    With `relu`, negative results become 0.
    """
    finish = partial(_finished, bias=bias, relu=relu)
    if on_cpu() and cpu_convolution.winograd_pays(x, kernel):
        return finish(cpu_convolution.winograd(pad_reflect(x, extent), kernel))
    if on_cpu() and min(x.shape[1:3]) > 1:
        return finish(cpu_convolution.same(pad_reflect(x, extent), kernel)[:, 1:-1, 1:-1])
    if _is_large(x):
        return _zero_padded_then_overwritten(x, kernel, extent, finish)
    return finish(cpu_convolution.convolve(pad_reflect(x, extent), kernel, "VALID"))


def upsample(x: jax.Array, height: int, width: int) -> jax.Array:
    """Doubles a map by repeating points, then crops it at the bottom and right to H x W."""
    b, h, w, c = x.shape
    if not (h == -(-height // 2) and w == -(-width // 2)):
        raise ValueError(f"upsample: a map of {h}x{w} does not double to {height}x{width}.")
    doubled = jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c))
    return doubled.reshape(b, 2 * h, 2 * w, c)[:, :height, :width]


def upsample_conv3x3(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    height: int,
    width: int,
    extent: Extent | None = None,
    *,
    relu: bool = False,
) -> jax.Array:
    """Convolves `upsample(x, height, width)` as `conv3x3` does; `extent` is of the doubled map.

    Several taps of the kernel fall on copies of one point. So the result is four interleaved 2x2
    convolutions of the small map, with 4/9 of the multiplications. The CPU uses this form unless
    the doubled map is cropped, because a cropped map reflects another point at its edge.
    """
    if on_cpu() and (height, width) == (2 * x.shape[1], 2 * x.shape[2]):
        return _finished(_interleaved_2x2(x, kernel, extent), bias, relu)
    return conv3x3(upsample(x, height, width), kernel, bias, extent, relu=relu)


def pad_reflect(x: jax.Array, extent: Extent | None = None) -> jax.Array:
    """Adds one reflected point on each side; an axis of length 1 repeats its only point."""
    if extent is not None:
        return pick_reflected(x, extent) if is_portable() else _bordered(x, extent, back=2)
    if on_cpu() and min(x.shape[1:3]) > 1:
        return _with_border(x, 2)
    return _joined_with_border(x, 2)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _with_border(x: jax.Array, back: int) -> jax.Array:
    """Does what `_bordered` does where all is real. Its gradient is that of the joined lines."""
    return _bordered(x, Extent(*x.shape[1:3]), back)


def _with_border_backward(back: int, _: None, gradient: jax.Array) -> tuple[jax.Array]:
    # The gradient of picked lines would add each number to its place, one by one.
    b, height, width, c = gradient.shape
    x = jax.ShapeDtypeStruct((b, height - 2, width - 2, c), gradient.dtype)
    return tuple(jax.linear_transpose(partial(_joined_with_border, back=back), x)(gradient))


_with_border.defvjp(lambda x, back: (_with_border(x, back), None), _with_border_backward)


def _joined_with_border(x: jax.Array, back: int) -> jax.Array:
    """Adds one point on each side; `back` as `_bordered` takes it."""
    for axis in (1, 2):
        length = x.shape[axis]
        before, after = (back - 1, length - back) if length > 1 else (0, 0)
        # Three operations, where `jnp.pad` makes ten of it: exported programs hold them all.
        ends = [lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (before, after)]
        x = lax.concatenate([ends[0], x, ends[1]], axis)
    return x


def _bordered(x: jax.Array, extent: Extent, back: int) -> jax.Array:
    """Adds one point on each side of the real part: `back` 1, the border again; 2, a reflection."""
    for axis, length in zip((1, 2), extent, strict=True):
        places = jnp.arange(-1, x.shape[axis] + 1)
        places = jnp.where(places < 0, back - 1, jnp.where(places < length, places, length - back))
        # One copy. Lines that are cut out and written one by one compile half as long again.
        x = jnp.asarray(x).at[(slice(None),) * axis + (places,)].get(mode="promise_in_bounds")
    return x


def _is_large(x: jax.Array) -> bool:
    sizes = x.shape
    if not all(isinstance(size, int) for size in sizes):
        return False  # symbolic sizes, of a program to be exported
    return min(sizes[1:3]) > 1 and x.size >= _NUMBERS_TO_OVERWRITE


def _zero_padded_then_overwritten(
    x: jax.Array,
    kernel: jax.Array,
    extent: Extent | None,
    finish: Callable[[jax.Array], jax.Array],
) -> jax.Array:
    # Call `finish` before the border is written: a GPU library then does both in one pass.
    y = finish(cpu_convolution.convolve(x, kernel, "SAME"))
    sizes = extent or Extent(*x.shape[1:3])
    for axis, length in zip((1, 2), sizes, strict=True):
        strips = [
            jnp.concatenate([line(x, i, axis), line(x, j, axis), line(x, i, axis)], axis)
            for i, j in ((1, 0), (length - 2, length - 1))
        ]  # the line and its neighbours, twice the inner one
        padded = _reflected_along(jnp.concatenate(strips), 3 - axis, sizes[2 - axis])
        lines = finish(cpu_convolution.convolve(padded, kernel, "VALID"))
        for value, index in zip(jnp.split(lines, 2), (0, length - 1), strict=True):
            y = with_line(y, value, index, axis)
    return y


def _reflected_along(x: jax.Array, axis: int, length: Length) -> jax.Array:
    """Adds the points before and after those of an axis, of which `length` are real."""
    all_real = isinstance(length, int) and length == x.shape[axis]
    widths = [(1, 1) if i == axis else (0, 0) for i in range(4)]
    x = jnp.pad(x, widths, mode="reflect")
    return x if all_real else with_line(x, line(x, length - 1, axis), length + 1, axis)


def _interleaved_2x2(x: jax.Array, kernel: jax.Array, extent: Extent | None = None) -> jax.Array:
    # Rows of the doubled map around an even row 2i are x[i-1], x[i], x[i]; around 2i+1 they are
    # x[i], x[i], x[i+1]. So two taps fall together: kernel rows (0, 1+2) and (0+1, 2).
    def fold(k, axis):
        k0, k1, k2 = jnp.split(k, 3, axis=axis)
        even = jnp.concatenate([k0, k1 + k2], axis)
        odd = jnp.concatenate([k0 + k1, k2], axis)
        return even, odd

    phases = [cell for rows in fold(kernel, 0) for cell in fold(rows, 1)]
    b, h, w, _ = x.shape
    d = kernel.shape[3]
    # In the doubled map, reflection repeats the border point: that is edge padding here.
    if extent is None:
        padded = _with_border(x, 1)
    else:
        padded = _bordered(x, extent.halved(), back=1)
    y = cpu_convolution.same(padded, jnp.concatenate(phases, axis=3))
    y = y.reshape(b, h + 2, w + 2, 4, d)
    cells = [
        y[:, i : h + i, j : w + j, 2 * i + j] for i in (0, 1) for j in (0, 1)
    ]  # each [b, h, w, d]
    top, bottom = jnp.stack(cells[:2], axis=3), jnp.stack(cells[2:], axis=3)  # [b, h, w, 2, d]
    y = jnp.stack([top, bottom], axis=2).reshape(b, 2 * h, 2 * w, d)
    return y if extent is None else _with_last_lines(y, x, kernel, extent)


def _with_last_lines(y: jax.Array, x: jax.Array, kernel: jax.Array, extent: Extent) -> jax.Array:
    # On an odd side, edge padding repeated the last point where reflection needs the one before it.
    # On an even side the lines are right already.
    for axis, length in zip((1, 2), extent, strict=True):
        before, last = (
            jnp.repeat(line(x, (length - i) // 2, axis), 2, 3 - axis) for i in (2, 1)
        )  # of the doubled map
        strip = _reflected_along(
            jnp.concatenate([before, last, before], axis), 3 - axis, extent[2 - axis]
        )
        y = with_line(y, cpu_convolution.convolve(strip, kernel, "VALID"), length - 1, axis)
    return y


def _finished(y: jax.Array, bias: jax.Array, relu: bool) -> jax.Array:
    y = y + _everywhere(bias)
    return jax.nn.relu(y) if relu else y


def _everywhere(bias: jax.Array) -> jax.Array:
    return bias[None, None, None, :]


def on_cpu() -> bool:
    """Returns whether JAX computes on the CPU by default; False inside `portable_form`."""
    return jax.default_backend() == "cpu" and not is_portable()


def is_portable() -> bool:
    """Returns whether a program is traced inside `portable_form`."""
    return _portable.get()


@contextmanager
def portable_form() -> Iterator[None]:
    """Makes programs traced inside follow the definitions, without the CPU's fast forms."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)
