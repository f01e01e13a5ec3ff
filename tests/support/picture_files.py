"""Noise of 8 bits, and pictures as files."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

ORIENTATION = 274  # the EXIF tag
UNDO = {  # what a viewer does to the stored pixels, by the EXIF standard
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x, 1),
}


def noise(seed: int, *shape: int) -> np.ndarray:
    """Draws uniform noise, uint8 of this shape."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> Path:
    """Writes a picture and returns its path; makes the folder if need be.

    Args:
      path: the suffix chooses the format.
      pixels: as `Image.fromarray` takes them.
      mode: of Pillow, to convert to before writing.
      **options: of Pillow's `save`.
    """
    image = Image.fromarray(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """Returns what a file of a kind holds, such as "PNG"; options are of Pillow's `save`."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
