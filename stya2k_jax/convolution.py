"""Convolutions as the system means them, in the form that is fastest on the machine at hand.

Each public function says what it means first; on GPU and TPU it is computed just so. On the CPU,
wide kernels are computed by Winograd's method. For the others, XLA runs zero-padded ("SAME")
convolutions three to four times as fast as "VALID" ones, so the border of a "SAME" convolution is
mended afterwards.
Shapes: x `[b, H, W, c]`, kernels `[3, 3, c, d]` or `[c, d]`, bias `[d]`, outputs `[b, ., ., d]`.
"""

import jax
import jax.numpy as jnp

from stya2k_jax import cpu_convolution


def conv1x1(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Multiplies every point's channels by `kernel` `[c, d]` and adds `bias`."""
    return jnp.einsum("bHWc,cd->bHWd", x, kernel) + _everywhere(bias)


def conv3x3(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Convolves with stride 1 and reflection padding 1 (an axis of length 1 repeats its edge)."""
    if on_cpu() and cpu_convolution.winograd_pays(x, kernel):
        return cpu_convolution.winograd(pad_reflect(x), kernel) + _everywhere(bias)
    if on_cpu() and min(x.shape[1:3]) > 1:
        return _zero_padded_then_mended(x, kernel) + _everywhere(bias)
    return cpu_convolution.convolve(pad_reflect(x), kernel, "VALID") + _everywhere(bias)


def upsample(x: jax.Array, height: int, width: int) -> jax.Array:
    """Doubles a map by repeating points, then crops it at the bottom and right to H x W."""
    b, h, w, c = x.shape
    if not (h == -(-height // 2) and w == -(-width // 2)):
        raise ValueError(f"upsample: a map of {h}x{w} does not double to {height}x{width}.")
    doubled = jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c))
    return doubled.reshape(b, 2 * h, 2 * w, c)[:, :height, :width]


def upsample_conv3x3(
    x: jax.Array, kernel: jax.Array, bias: jax.Array, height: int, width: int
) -> jax.Array:
    """Convolves `upsample(x, height, width)` as `conv3x3` does.

    Between doubled points several taps of the kernel meet the same point, so the result is four
    interleaved 2x2 convolutions of the small map: 4/9 of the multiplications. The CPU does that
    where the doubled map is not cropped (a cropped one reflects another point at its edge).
    """
    if on_cpu() and (height, width) == (2 * x.shape[1], 2 * x.shape[2]):
        return _interleaved_2x2(x, kernel) + _everywhere(bias)
    return conv3x3(upsample(x, height, width), kernel, bias)


def pad_reflect(x: jax.Array) -> jax.Array:
    """Adds one reflected point on each side; an axis of length 1 repeats its only point."""
    for axis in (1, 2):
        widths = [(0, 0)] * 4
        widths[axis] = (1, 1)
        x = jnp.pad(x, widths, mode="reflect" if x.shape[axis] > 1 else "edge")
    return x


def _zero_padded_then_mended(x: jax.Array, kernel: jax.Array) -> jax.Array:
    # Where zeros stood for reflected points, add what those would have given: a row of the padded
    # map (corners with it) above and below, a column (corners without) left and right.
    def along(lines, taps):  # two lines [2, b, L + 2, c] and their [2, 3, c, d] -> [2, b, L, d]
        length = lines.shape[2] - 2
        shifted = jnp.concatenate([lines[:, :, i : i + length] for i in range(3)], axis=3)
        return jnp.einsum("kblc,kcd->kbld", shifted, taps.reshape(2, -1, taps.shape[3]))

    widths = ((0, 0), (0, 0), (1, 1), (0, 0))
    rows = jnp.pad(jnp.stack([x[:, 1], x[:, -2]]), widths, mode="reflect")
    columns = jnp.pad(jnp.stack([x[:, :, 1], x[:, :, -2]]), widths)
    top, bottom = along(rows, kernel[::2])
    left, right = along(columns, kernel[:, ::2].swapaxes(0, 1))
    y = cpu_convolution.same(x, kernel)
    y = y.at[:, 0].add(top).at[:, -1].add(bottom)
    return y.at[:, :, 0].add(left).at[:, :, -1].add(right)


def _interleaved_2x2(x: jax.Array, kernel: jax.Array) -> jax.Array:
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
    # Reflection at the border of the doubled map meets the same point again: edge padding here.
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    y = cpu_convolution.same(padded, jnp.concatenate(phases, axis=3))
    y = y.reshape(b, h + 2, w + 2, 4, d)
    cells = [
        y[:, i : h + i, j : w + j, 2 * i + j] for i in (0, 1) for j in (0, 1)
    ]  # each [b, h, w, d]
    top, bottom = jnp.stack(cells[:2], axis=3), jnp.stack(cells[2:], axis=3)  # [b, h, w, 2, d]
    return jnp.stack([top, bottom], axis=2).reshape(b, 2 * h, 2 * w, d)


def _everywhere(bias: jax.Array) -> jax.Array:
    return bias[None, None, None, :]


def on_cpu() -> bool:
    """Tells whether JAX computes on the CPU by default."""
    return jax.default_backend() == "cpu"
