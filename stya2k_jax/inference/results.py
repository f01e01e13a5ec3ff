"""Results of files: where each goes, and what there is to say of it."""

from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from stya2k_jax.inference.style import Style
from stya2k_jax.pictures.names import Pair
from stya2k_jax.pictures.writing import encoded, write_picture


class Output(NamedTuple):
    """Where results go.

    Attributes:
      folder: of results that are called `{content}_stylized_{style}`; made where needed.
      file: of the one result there is, instead of a name of its own.
      stream: takes the one result there is, a picture, instead of a file.
      suffix: the format of pictures in the folder or in the stream.
      quality: 1 to 100, of formats that have one; None: that of `pictures.writing`.
      nothing: True writes no results at all, as for a sheet alone.
    """

    folder: Path = Path()
    file: Path | None = None
    stream: BinaryIO | None = None
    suffix: str = ".png"
    quality: int | None = None
    nothing: bool = False

    @property
    def holds_one(self) -> bool:
        """Whether there is room for one result alone."""
        return self.file is not None or self.stream is not None

    def target(self, subfolder: Path, pair: Pair, suffix: str | None = None) -> Path:
        """Returns the file of a result.

        Args:
          subfolder: below the folder.
          pair: what it is made of.
          suffix: None: that of pictures.
        """
        return self.file or self.folder / subfolder / f"{pair.stem}{suffix or self.suffix}"

    def write(self, target: Path, pixels: np.ndarray, alpha: Image.Image | None) -> None:
        """Writes a picture, uint8 `[H, W, 3]`, whole or not at all.

        Raises:
          UnwritableError: it is too large for the format.
          OSError: it cannot be written.
        """
        if self.nothing:
            return
        if self.stream is None:
            write_picture(target, pixels, alpha, self.quality)
        else:
            self.stream.write(encoded(pixels, self.suffix, alpha, self.quality))
            self.stream.flush()


class Result(NamedTuple):
    """A picture or clip that was stylized and, if it was to be, written.

    Attributes:
      content: its file, or what stands for it, as `-`.
      styles: the same of its style, or of those that are blended.
      pair: their names.
      target: its own file; None: there is none.
      size: height and width in pixels.
      seconds: that painting took; of a clip, with reading and writing.
      frames: of a clip; None: a picture.
      shown: content and result, uint8 `[H, W, 3]`, and the style; of a clip, None.
    """

    content: Path
    styles: tuple[Path, ...]
    pair: Pair
    target: Path | None
    size: tuple[int, int]
    seconds: float
    frames: int | None = None
    shown: tuple[np.ndarray, np.ndarray, Style] | None = None
