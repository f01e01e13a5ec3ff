"""Measures how well a distilled encoder predicts VGG-19's features on pictures it never saw.

python -m benchmarks.encoder --student=runs/encoder_mini --teacher=vgg --pictures=HELD_OUT

Prints two numbers for each tap, over all points of all pictures: the correlation between a channel
of VGG-19 and its estimate by the student's head, median over channels; and the share of variance
that the estimates explain.
"""

import jax
import numpy as np
from absl import flags
from flax import nnx

from stya2k_jax.commands import command_line
from stya2k_jax.network.architecture import TAPS
from stya2k_jax.pictures.arrays import to_float
from stya2k_jax.pictures.reading import find_pictures, read_picture
from stya2k_jax.pictures.resizing import crop_square
from stya2k_jax.training.student import load_student
from stya2k_jax.weights.model_files import load_encoder

STUDENT = flags.DEFINE_string("student", None, "Finished run of an encoder.", required=True)
TEACHER = flags.DEFINE_string("teacher", None, "Directory with VGG-19.", required=True)
PICTURES = flags.DEFINE_multi_string("pictures", None, "Pictures or folders.", required=True)
SIZE = flags.DEFINE_integer("size", 256, "Side in pixels of the squares cut out.")


def main(_) -> None:
    """Prints a line for each tap."""
    networks = [load_student(STUDENT.value), load_encoder(TEACHER.value)[0]]
    graphs, states = zip(*map(nnx.split, networks), strict=True)

    @jax.jit
    def sums(states, picture):
        x, y = (nnx.merge(g, s)(picture[None]) for g, s in zip(graphs, states, strict=True))
        axes = (0, 1, 2)
        return {
            t: [v.mean(axes) for v in (x[t], y[t], x[t] ** 2, y[t] ** 2, x[t] * y[t])]
            + [((x[t] - y[t]) ** 2).mean(axes)]
            for t in TAPS
        }

    files = [file for path in PICTURES.value for file in find_pictures(path)]
    total = dict.fromkeys(TAPS, 0.0)
    for file in files:
        found = sums(states, to_float(crop_square(read_picture(file), SIZE.value)))
        for tap in TAPS:
            total[tap] = total[tap] + np.asarray(found[tap], np.float64) / len(files)
    for tap in TAPS:
        x, y, xx, yy, xy, error = total[tap]
        varying = yy - y**2 > 1e-6
        correlation = (xy - x * y) / np.sqrt(np.maximum((xx - x**2) * (yy - y**2), 1e-12))
        explained = 1 - error.sum() / (yy - y**2).sum()
        print(
            f"{tap}: median correlation {np.median(correlation[varying]):.3f}, "
            f"variance explained {explained:.3f}"
        )


if __name__ == "__main__":
    command_line.run(main)
