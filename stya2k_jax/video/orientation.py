"""How a player turns and mirrors the frames of a clip: the display matrix of its video stream.

The matrix has nine integers (a, b, u, c, d, v, x, y, w), 16.16 fixed point: the stored point (x, y)
is shown at (a x + c y, b x + d y).
"""

from collections.abc import Sequence

import numpy as np


def to_upright(stored: np.ndarray, matrix: Sequence[int] | None) -> np.ndarray:
    """Turns a stored frame `[H, W, 3]` as it is shown: `[H, W, 3]`, or `[W, H, 3]`.

    Only quarter turns and mirrors are applied; a matrix that turns by another angle is left to the
    player, and None changes nothing.
    """
    transposed, rows, columns = _turn(matrix)
    turned = stored.swapaxes(0, 1) if transposed else stored
    return turned[::rows, ::columns]


def to_stored(upright: np.ndarray, matrix: Sequence[int] | None) -> np.ndarray:
    """Undoes `to_upright`."""
    transposed, rows, columns = _turn(matrix)
    turned = upright[::rows, ::columns]
    return turned.swapaxes(0, 1) if transposed else turned


def _turn(matrix: Sequence[int] | None) -> tuple[bool, int, int]:
    """Returns whether axes are exchanged, then the steps (1 or -1) along rows and columns."""
    if matrix is None:
        return False, 1, 1
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if b == c == 0 != a * d:
        return False, _sign(d), _sign(a)
    if a == d == 0 != b * c:
        return True, _sign(b), _sign(c)
    return False, 1, 1


def _sign(number: int) -> int:
    return -1 if number < 0 else 1
