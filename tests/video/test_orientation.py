"""Display matrices: frames are turned as players turn them, and back."""

import numpy as np
import pytest

from stya2k_jax.video.orientation import to_stored, to_upright

ONE, W = 1 << 16, 1 << 30
PICTURE = np.arange(2 * 3 * 3).reshape(2, 3, 3)


def matrix(a: int, b: int, c: int, d: int) -> tuple[int, ...]:
    return (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, W)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (matrix(1, 0, 0, 1), PICTURE),
        (matrix(-1, 0, 0, -1), np.rot90(PICTURE, 2)),
        (matrix(0, 1, -1, 0), np.rot90(PICTURE, -1)),  # clockwise, as a phone held upright has it
        (matrix(0, -1, 1, 0), np.rot90(PICTURE)),
        (matrix(-1, 0, 0, 1), PICTURE[:, ::-1]),
        (matrix(1, 0, 0, -1), PICTURE[::-1]),
        (matrix(0, 1, 1, 0), PICTURE.swapaxes(0, 1)),
        (matrix(0, -1, -1, 0), np.rot90(PICTURE, 2).swapaxes(0, 1)),
        (None, PICTURE),
    ],
)
def test_quarter_turns_and_mirrors_are_applied_and_undone(turn, expected):
    np.testing.assert_array_equal(to_upright(PICTURE, turn), expected)
    np.testing.assert_array_equal(to_stored(expected, turn), PICTURE)


def test_the_points_go_where_the_matrix_says():
    points = np.random.default_rng(0).uniform(size=(4, 5, 1))
    for a, b, c, d in [(1, 0, 0, -1), (-1, 0, 0, 1), (0, 1, -1, 0), (0, -1, -1, 0)]:
        shown = to_upright(points, matrix(a, b, c, d))
        for y in range(4):
            for x in range(5):
                right, down = a * x + c * y, b * x + d * y
                # Negative coordinates count from the far edge: -0 is the last point.
                right = right if a + c > 0 else right - 1
                down = down if b + d > 0 else down - 1
                assert shown[down, right] == points[y, x]


def test_other_angles_are_left_to_the_player():
    slanted = (46341, 46341, 0, -46341, 46341, 0, 0, 0, W)
    np.testing.assert_array_equal(to_upright(PICTURE, slanted), PICTURE)
    np.testing.assert_array_equal(to_stored(PICTURE, slanted), PICTURE)
