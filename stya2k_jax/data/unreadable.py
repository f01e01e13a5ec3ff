"""Pictures that cannot be read: the next one replaces each, and too many end the run."""

import logging
from collections.abc import Callable, Iterable, Sequence

from PIL import Image

from stya2k_jax.data.source import Source
from stya2k_jax.errors import PictureError

MOST_PERCENT = 1  # of a collection
NAMED = 3  # in the error

logger = logging.getLogger(__name__)


def read_or_next(
    source: Source, index: int, kind: str, read: Callable[[int], Image.Image]
) -> tuple[Image.Image, int]:
    """Reads picture `index`, or the next one that can be read; returns it and its index.

    Raises:
      PictureError: more pictures in a row cannot be read than `Unreadable` allows in total.
    """
    reasons: list[str] = []
    while not _too_many(len(reasons), source):
        used = (index + len(reasons)) % len(source)
        try:
            return read(used), used
        except PictureError as error:
            reasons.append(str(error))
    raise _refusal(source, kind, reasons)


class Unreadable:
    """Counts a collection's pictures that cannot be read, and logs the name of each once."""

    def __init__(self, source: Source, kind: str):
        self._source, self._kind = source, kind
        self._reasons: dict[int, str] = {}

    def note(self, wanted: Iterable[int], used: Iterable[int]) -> None:
        """Counts the pictures that were skipped between `wanted` and `used`.

        Raises:
          PictureError: more than one percent of the collection cannot be read.
        """
        for first, end in zip(wanted, used, strict=True):
            for i in range((end - first) % len(self._source)):
                self._add((int(first) + i) % len(self._source))

    def _add(self, index: int) -> None:
        if index in self._reasons:
            return
        self._reasons[index] = self._reason(index)
        if _too_many(len(self._reasons), self._source):
            raise _refusal(self._source, self._kind, list(self._reasons.values()))
        logger.warning(
            "config.%s: %s The next picture takes its place. %d of %d cannot be read so far.",
            *(self._kind, self._reasons[index], len(self._reasons), len(self._source)),
        )

    def _reason(self, index: int) -> str:
        try:
            self._source[index]  # another process tried before
        except PictureError as error:
            return str(error)
        return f"{self._source.name(index)} could not be read."


def _too_many(count: int, source: Source) -> bool:
    return 100 * count > MOST_PERCENT * len(source)


def _refusal(source: Source, kind: str, reasons: Sequence[str]) -> PictureError:
    more = "" if len(reasons) <= NAMED else f" And {len(reasons) - NAMED} more."
    return PictureError(
        f"config.{kind}: {len(reasons)} of {len(source)} pictures cannot be read, more than "
        f"{MOST_PERCENT} %: {' '.join(reasons[:NAMED])}{more} Replace or remove such pictures, "
        "then start again."
    )
