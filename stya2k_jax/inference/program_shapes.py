"""Which shapes programs are compiled for: few, so that pictures of many sizes share them."""

import threading
from collections import Counter
from collections.abc import Iterable

from stya2k_jax.network.sizes import Size

MULTIPLE_PX = 16  # of a shape's sides, so that every halving in the encoder is exact
SMALLEST_PADDED_PX = (
    32  # smallest side that may be padded: its features keep two points at every tap
)
MOST_SHAPES = 10
_WASTE = 1.25  # a shape this many times as large as a picture is still worth using
_MOST_COMPARED = 100
_EXACT = 2  # sizes that get a program of their own while later sizes are unknown


class Shapes:
    """The shapes for which programs exist, and the choice of one for a picture.

    A picture whose size is a shape is painted as it is; any other one is padded to a shape. May be
    used by several threads.
    """

    def __init__(self, program_px: float):
        """Takes how many pixels are painted in the time that compiling a program takes."""
        self._program_px = program_px
        self._known: set[Size] = set()
        self._chosen: dict[Size, Size] = {}  # by the size of the picture
        self._lock = threading.Lock()

    def choose(self, size: Size) -> Size:
        """Returns the shape in which to paint a picture of this size; makes a new one if need be.

        The first sizes become shapes themselves. Later ones use a shape that is little larger,
        else make one whose sides are multiples, of 64 pixels at first, of 256 when there are many
        shapes.
        """
        with self._lock:
            if size in self._known or min(size) < SMALLEST_PADDED_PX:
                return size
            if size not in self._chosen:
                self._chosen[size] = self._new_choice(size)
            return self._chosen[size]

    def _new_choice(self, size: Size) -> Size:
        smallest = min(self._around(size), key=_area, default=None)
        many = len(self._known) >= MOST_SHAPES
        if smallest and _area(smallest) <= _area(size) * (2 * _WASTE if many else _WASTE):
            return smallest
        shape = size
        if len(self._known) >= _EXACT:
            shape = _up_to(size, 256 if many else 64)
        self._known.add(shape)
        return shape

    def prepare(self, sizes: Iterable[Size]) -> None:
        """Chooses shapes for pictures that are going to come."""
        with self._lock:
            new = [
                size
                for size in sizes
                if size not in self._known and min(size) >= SMALLEST_PADDED_PX
            ]
            self._known.update(plan(new, program_px=self._program_px))
            for size in set(new) - self._known:
                self._chosen[size] = min(self._around(size), key=_area)

    def _around(self, size: Size) -> list[Size]:
        return [
            shape
            for shape in self._known
            if all(s >= side and s % MULTIPLE_PX == 0 for s, side in zip(shape, size, strict=True))
        ]


def plan(sizes: Iterable[Size], *, program_px: float, most: int = MOST_SHAPES) -> set[Size]:
    """Chooses shapes that cover pictures of these sizes with little padding.

    Begins with a shape for each size and unites those two whose union costs least, as long as there
    are too many or uniting saves more programs than it pads pixels.

    Args:
      sizes: of all pictures, repeated as often as they come.
      program_px: what a shape costs, in padded pixels.
      most: how many shapes at most.

    Returns:
      The shapes. One that serves a single size is that size, so that nothing is padded.
    """
    counts, step = Counter(sizes), MULTIPLE_PX
    while len(counts) > _MOST_COMPARED:  # every pair is compared, again and again
        coarser: Counter[Size] = Counter()
        for size, count in counts.items():
            coarser[_up_to(size, step)] += count
        counts, step = coarser, 2 * step
    groups = list(counts.items())  # a shape, and how many pictures it serves

    def united(a, b):
        largest = max(a[0][0], b[0][0]), max(a[0][1], b[0][1])
        return _up_to(largest, MULTIPLE_PX), a[1] + b[1]

    def added(a, b):
        both = united(a, b)
        return both[1] * _area(both[0]) - a[1] * _area(a[0]) - b[1] * _area(b[0])

    while len(groups) > 1:
        pairs = [(a, b) for i, a in enumerate(groups) for b in groups[:i]]
        a, b = min(pairs, key=lambda pair: added(*pair))
        if len(groups) <= most and added(a, b) > program_px:
            break
        groups = [group for group in groups if group is not a and group is not b] + [united(a, b)]
    return {shape for shape, _ in groups}


def _up_to(size: Size, step: int) -> Size:
    """Rounds both sides up to multiples."""
    height, width = (-(-side // step) * step for side in size)
    return height, width


def _area(size: Size) -> int:
    return size[0] * size[1]
