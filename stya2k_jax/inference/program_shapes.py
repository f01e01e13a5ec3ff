"""Which shapes programs are compiled for: few standard ones, so that pictures of many sizes share.

A picture is padded to a shape whose sides are multiples of 64 pixels. So photographs of one camera,
or of one aspect at one short side, need one program, today and at the next start.
"""

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

from stya2k_jax.network.sizes import Size

STEP_PX = 64  # of standard sides, up to ...
_COARSE_PX = 1024  # ... this; from here on the step is a sixteenth of the power of two above
MULTIPLE_PX = 16  # of any shape's sides, so that every halving in the encoder is exact
SMALLEST_PADDED_PX = (
    32  # smallest side that may be padded: its features keep two points at every tap
)
FEW, MOST = 5, 10  # shapes of a plan: as a rule, and where those would pad too much
_WASTE = 1.25  # a shape this many times as large as a picture is still worth using


class Shapes:
    """The shapes for which programs exist, and the choice of one for a picture.

    May be used by several threads.
    """

    def __init__(self, program_px: float):
        """Takes how many pixels are painted in the time that compiling a program takes."""
        self._program_px = program_px
        self._known: set[Size] = set()
        self._chosen: dict[Size, Size] = {}  # by the size of the picture
        self._lock = threading.Lock()

    def choose(self, size: Size) -> Size:
        """Returns the shape in which to paint a picture of this size; makes a new one if need be.

        That is the smallest of the known shapes that cover it with little padding, else the
        standard shape around it. With many known shapes, larger ones will do, and new ones are
        coarser.
        """
        if min(size) < SMALLEST_PADDED_PX:
            return size
        with self._lock:
            if size not in self._chosen:
                self._chosen[size] = self._new_choice(size)
            return self._chosen[size]

    def prepare(self, sizes: Iterable[Size], times: int = 1, apart: bool = False) -> None:
        """Chooses shapes for pictures that are going to come.

        Args:
          sizes: of the pictures.
          times: how often each of them comes.
          apart: the standard shape for each of them, instead of few shapes for all.
        """
        with self._lock:
            new = [s for s in sizes if min(s) >= SMALLEST_PADDED_PX and s not in self._chosen]
            program_px = self._program_px / max(times, 1)
            shapes = set(map(standard_shape, new)) if apart else plan(new, program_px=program_px)
            self._known |= shapes
            for size in set(new):
                self._chosen[size] = _smallest(shapes, size)

    def _new_choice(self, size: Size) -> Size:
        smallest = _smallest(self._known, size)
        many = len(self._known) >= MOST
        if smallest and _area(smallest) <= _area(size) * (2 * _WASTE if many else _WASTE):
            return smallest
        shape = standard_shape(size, coarser=4 if many else 1)
        self._known.add(shape)
        return shape


def plan(sizes: Iterable[Size], *, program_px: float) -> set[Size]:
    """Chooses shapes that cover pictures of these sizes with little padding.

    Begins with one shape around all of them. Adds the standard shape that saves most padding, until
    the next one saves less than a program costs, or there are enough.

    Args:
      sizes: of all pictures, repeated as often as they come.
      program_px: what a shape costs, in padded pixels.
    """
    counts = Counter(standard_shape(size) for size in sizes)
    if not counts:
        return set()
    heights, widths = ({size[axis] for size in counts} for axis in (0, 1))
    candidates = [(height, width) for height in heights for width in widths]
    chosen = {(max(heights), max(widths))}
    exact = sum(_area(size) * count for size, count in counts.items())

    def used(shapes: set[Size]) -> dict[Size, Size]:
        return {size: _smallest(shapes, size) for size in counts}

    def padded(shapes: set[Size]) -> int:
        return sum(counts[size] * _area(shape) for size, shape in used(shapes).items())

    while len(chosen) < MOST:
        best = min(candidates, key=lambda shape: padded(chosen | {shape}))
        before, after = padded(chosen), padded(chosen | {best})
        enough = len(chosen) >= FEW and before <= _WASTE * exact
        if before - after <= program_px or enough:
            break
        chosen = set(used(chosen | {best}).values())
    return chosen


def standard_shape(size: Size, coarser: int = 1) -> Size:
    """Rounds both sides up to standard ones, whose steps may be made coarser."""

    def up(side: int) -> int:
        step = STEP_PX * coarser
        if side > _COARSE_PX:
            step *= 1 << (side - 1).bit_length() - _COARSE_PX.bit_length() + 1
        return -(-side // step) * step

    return up(size[0]), up(size[1])


def covers(shape: Size, size: Size) -> bool:
    """Tells whether a picture of a size can be padded to a shape."""
    return shape[0] >= size[0] and shape[1] >= size[1]


def _smallest(shapes: Iterable[Size], size: Size) -> Any:
    """Returns the smallest shape that covers a size; None where there is none."""
    return min((shape for shape in shapes if covers(shape, size)), key=_area, default=None)


def _area(size: Size) -> int:
    return size[0] * size[1]
