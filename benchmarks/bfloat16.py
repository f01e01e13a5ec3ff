"""Measures how much bfloat16 changes a picture, against float32.

python -m benchmarks.bfloat16 --checkpoint=runs/a2k --content=PHOTOS --style=PAINTINGS

Prints the peak signal-to-noise ratio of each pair's clipped picture, in decibels. Contents and
styles are squashed to squares of --size.
"""

import numpy as np
from absl import flags
from PIL import Image

import stya2k_jax
from stya2k_jax.commands import command_line
from stya2k_jax.pictures.arrays import to_float
from stya2k_jax.pictures.reading import find_pictures, read_picture

CHECKPOINT = flags.DEFINE_string("checkpoint", None, "Model directory or run.", required=True)
CONTENT = flags.DEFINE_string("content", None, "Picture or folder.", required=True)
STYLE = flags.DEFINE_string("style", None, "Picture or folder.", required=True)
SIZE = flags.DEFINE_integer("size", 512, "Side in pixels.")


def main(_) -> None:
    """Stylizes every pair in both dtypes."""
    exact, rounded = (
        stya2k_jax.Stylizer(stya2k_jax.load(CHECKPOINT.value, dtype=dtype))
        for dtype in ("float32", "bfloat16")
    )
    for content in find_pictures(CONTENT.value):
        for style in find_pictures(STYLE.value):
            pictures = [square(path) for path in (content, style)]
            error = np.mean((exact(*pictures) - rounded(*pictures)) ** 2)
            print(f"{content.stem} {style.stem}: {-10 * np.log10(error):.1f} dB")


def square(path) -> np.ndarray:
    """Reads a picture as floats `[size, size, 3]`."""
    image = read_picture(path).resize((SIZE.value, SIZE.value), Image.Resampling.BICUBIC)
    return to_float(image)


if __name__ == "__main__":
    command_line.run(main)
