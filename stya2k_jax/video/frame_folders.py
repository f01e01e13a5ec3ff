"""Clips as folders of pictures, one for each frame; read and written as clip files are."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.pictures.arrays import write_png
from stya2k_jax.pictures.reading import find_pictures, read_layers
from stya2k_jax.video.clip_format import ClipFormat, Frame, scaled_size


class FolderReader:
    """Reads the pictures of a folder as frames, in the order of their names: 2 before 10.

    Attributes are those of `video.reading.ClipReader`.
    """

    def __init__(self, path: str | os.PathLike, size_px: int = 0, fps: float | Fraction = 25):
        """Reads the first frame.

        Args:
          path: folder; pictures in folders below it do not count.
          size_px: see `ClipReader`.
          fps: frames per second.

        Raises:
          UserError: no pictures, two of one name but for the suffix, or no possible `fps`.
        """
        self._folder = Path(path)
        if not 0 < fps <= 1000:
            raise UserError(f"fps is {fps}; give frames per second, 0 to 1000, such as 25.")
        files = (file for file in find_pictures(path) if file.parent == self._folder)
        self._files = sorted(files, key=_natural)
        if not self._files:
            raise PictureError(f"{path} holds pictures in folders only; give one of these.")
        twice = [name for name, n in Counter(x.stem for x in self._files).items() if n > 1]
        if twice:
            raise UserError(
                f"{path} has two frames called {twice[0]!r}, of different kinds; remove one."
            )
        self._size_px = size_px
        rate = Fraction(fps).limit_denominator(1001)  # 29.97 and 30000/1001 alike
        height, width, _ = self._read(self._files[0]).shape
        self.format = ClipFormat(height, width, time_base=1 / rate, rate=rate)
        self.expected = len(self._files)
        self.has_sound = False
        self.notes: list[str] = []
        if self._has_alpha:
            self.notes.append(f"{path} has transparency, which the result lacks.")

    def __enter__(self) -> "FolderReader":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def frames(self) -> Iterator[Frame]:
        """Yields the frames.

        Raises:
          UserError: a picture cannot be read, or has another size than the first.
        """
        expected = (self.format.height, self.format.width)
        for i, file in enumerate(self._files):
            pixels = self._read(file)
            if pixels.shape[:2] != expected:
                raise UserError(
                    f"{file} becomes {pixels.shape[1]}x{pixels.shape[0]}, the first frame "
                    f"{expected[1]}x{expected[0]}; frames of a clip have one size."
                )
            yield Frame(pixels, pts=i, duration=1, name=file.stem)

    def _read(self, file: Path) -> np.ndarray:
        image, alpha = read_layers(file)
        self._has_alpha = alpha is not None
        height, width = scaled_size(image.height, image.width, self._size_px)
        return np.asarray(image.resize((width, height)))  # bicubic; a copy where nothing changes


class FolderWriter:
    """Writes every frame as a PNG of its name.

    Attributes:
      written: how many frames.
    """

    def __init__(self, path: str | os.PathLike):
        """Makes the folder with the first frame; PNGs that an earlier run has left are removed."""
        self._folder, self.written = Path(path), 0

    def write(self, frame: Frame) -> None:
        """Writes a frame: the whole file or none."""
        if not self.written:
            for file in self._folder.glob("*.png"):
                file.unlink()
        write_png(self._folder / f"{frame.name}.png", frame.pixels)
        self.written += 1

    def finish(self) -> None:
        """Nothing is left to do."""

    def abandon(self) -> None:
        """Leaves the frames."""


def _natural(file: Path) -> list[str | int]:
    parts = re.split(r"(\d+)", file.name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]
