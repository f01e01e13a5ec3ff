"""The interface of a collection of pictures, wherever they are kept."""

from abc import abstractmethod
from collections.abc import Sequence

from PIL import Image

from stya2k_jax.data.jpeg_window import Box
from stya2k_jax.pictures.resizing import squash


class Source(Sequence):
    """A collection of pictures; each is read when it is needed.

    It can be pickled, so that worker processes can read from it. `str(source)` is the string that
    opened it.
    """

    @abstractmethod
    def __getitem__(self, index: int) -> Image.Image:
        """Returns a picture as RGB.

        Raises:
          PictureError: names the picture and says why it cannot be read.
          IndexError: there is no such picture.
        """

    def crop(self, index: int, size_px: int, box: Box) -> Image.Image:
        """Returns a part of the picture squashed to a square; errors as `__getitem__`."""
        return squash(self[index], size_px).crop(box)

    @abstractmethod
    def name(self, index: int) -> str:
        """Returns the picture's name for messages."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Returns hex digits that change with the collection; reads no picture."""
