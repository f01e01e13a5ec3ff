"""Measures how much painting in tiles changes a picture, against painting it whole.

python -m benchmarks.tiles                        # 2048x2048, a2k-mini, three sizes of tiles
python -m benchmarks.tiles --model=full --size=1024 --tiles=256,512
python -m benchmarks.tiles --content=PHOTO --style=PAINTING

Pictures are drawn unless given, and squashed to squares. The content is painted in tiles, with a
style that was encoded whole; in rows "and style" the style is encoded in tiles too. Prints absolute
differences in units of 1/255, of floats and of 8-bit pictures: the largest, and the 99.99th
percentile. Also prints seconds of the second call.
"""

import time

import numpy as np
from absl import flags

from benchmarks.models import open_model
from stya2k_jax import Stylizer
from stya2k_jax.commands import command_line
from stya2k_jax.pictures.arrays import to_float, to_uint8
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.pictures.resizing import squash
from stya2k_jax.pictures.synthetic import draw_content, draw_style
from stya2k_jax.weights.loading import MINI

MODEL = flags.DEFINE_string("model", MINI, "full, or what stya2k_jax.load opens.")
SIZE = flags.DEFINE_integer("size", 2048, "Side of the content in pixels.")
STYLE_SIZE = flags.DEFINE_integer("style_size", 512, "Side of the style in pixels.")
TILES = flags.DEFINE_list("tiles", ["256", "512", "1024"], "Sides of tiles in pixels.")
CONTENT = flags.DEFINE_string("content", "", "Picture; a drawn one by default.")
STYLE = flags.DEFINE_string("style", "", "Picture; a drawn one by default.")


def main(_) -> None:
    """Prints a line for each size of tiles and way to encode the style."""
    model = open_model(MODEL.value)
    content = square(CONTENT.value, draw_content, SIZE.value)
    picture = square(STYLE.value, draw_style, STYLE_SIZE.value)
    whole = Stylizer(model, max_memory=float("inf"))
    style = whole.encode_style(picture)
    expected, seconds = painted(whole, content, style)
    print(
        f"{'painted':27} {'seconds':>8} {'largest':>9} {'99.99 %':>9} {'8-bit largest':>14} "
        f"{'99.99 %':>8}"
    )
    print(f"{'whole':27} {seconds:7.2f}s")
    for tile_px in map(int, TILES.value):
        stylizer = Stylizer(model, max_memory=0, tile_px=tile_px)
        for name, kept in (("", style), (" and style", stylizer.encode_style(picture))):
            found, seconds = painted(stylizer, content, kept)
            exact = differences(found * 255, expected * 255)
            rounded = differences(to_uint8(found), to_uint8(expected))
            print(
                f"{f'in tiles of {tile_px}{name}':27} {seconds:7.2f}s {exact[0]:9.5f} "
                f"{exact[1]:9.5f} {rounded[0]:14.0f} {rounded[1]:8.0f}",
                flush=True,
            )


def square(path: str, draw, side: int) -> np.ndarray:
    """Reads or draws a picture, floats `[side, side, 3]`."""
    return to_float(squash(read_picture(path), side) if path else draw(0, side))


def painted(stylizer: Stylizer, content: np.ndarray, style) -> tuple[np.ndarray, float]:
    """Returns the picture and its seconds, with everything compiled."""
    stylizer(content, style)
    start = time.perf_counter()
    return stylizer(content, style), time.perf_counter() - start


def differences(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Returns the largest absolute difference and the 99.99th percentile."""
    gaps = np.abs(found.astype(np.float32) - expected.astype(np.float32))
    return gaps.max(), np.percentile(gaps, 99.99)


if __name__ == "__main__":
    command_line.run(main)
