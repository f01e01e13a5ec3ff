"""Layers of networks in NumPy, point by point, in float64."""

import numpy as np


def numpy_convolution(x, weight, bias, stride, padding):
    """Convolves `[H, W, c]` with a kernel `[d, c, k, k]`; zeros surround the map."""
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    side = weight.shape[2]
    rows, columns = ((n - side) // stride + 1 for n in x.shape[:2])
    out = np.empty((rows, columns, weight.shape[0]))
    for i in range(rows):
        for j in range(columns):
            window = x[i * stride : i * stride + side, j * stride : j * stride + side]
            out[i, j] = np.tensordot(weight, window, ((2, 3, 1), (0, 1, 2))) + bias
    return out


def numpy_pooling(x, side):
    """Returns the largest of windows two points apart; the last ones must fit whole."""
    rows, columns = ((n - side) // 2 + 1 for n in x.shape[:2])
    out = np.empty((rows, columns, x.shape[2]))
    for i in range(rows):
        for j in range(columns):
            out[i, j] = x[2 * i : 2 * i + side, 2 * j : 2 * j + side].max((0, 1))
    return out
