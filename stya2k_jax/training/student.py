"""The narrow encoder in training, with heads that map its taps to VGG-19's channels."""

from functools import partial
from pathlib import Path

import jax
from flax import nnx

from stya2k_jax.errors import WeightsError
from stya2k_jax.network.architecture import TAPS, Architecture
from stya2k_jax.network.encoder import Encoder
from stya2k_jax.network.layers import Conv1x1
from stya2k_jax.network.model import new_encoder
from stya2k_jax.weights.model_files import load_encoder, read_arrays
from stya2k_jax.weights.parameters import with_arrays

HEADS_FILE = "heads.safetensors"


class Student(nnx.Module):
    """A small encoder with a head, a 1x1 convolution, on each tap.

    Called like an encoder, it estimates the teacher's taps with the teacher's channels.
    """

    def __init__(self, encoder: Encoder, channels: dict[str, tuple[int, int]], *, rngs: nnx.Rngs):
        """Puts heads on an encoder; `channels` are each tap's, the student's and the teacher's."""
        self.encoder = encoder
        init = jax.nn.initializers.lecun_normal()
        head = partial(Conv1x1, kernel_init=init, rngs=rngs)
        self.heads = nnx.Dict({tap: head(*channels[tap]) for tap in TAPS})

    def __call__(self, image: jax.Array) -> dict[str, jax.Array]:
        """Maps images `[b, H, W, 3]` in [0, 1] to the five taps, in the teacher's channels."""
        return {tap: self.heads[tap](x) for tap, x in self.encoder(image).items()}


def new_student(architecture: Architecture, teacher: Architecture, seed: int | None) -> Student:
    """Returns a student: random from a seed, or shapes only (None)."""
    channels = {tap: (architecture.channels(tap), teacher.channels(tap)) for tap in TAPS}

    def make():
        encoder = new_encoder(architecture, seed=seed or 0)
        return Student(encoder, channels, rngs=nnx.Rngs((seed or 0) + 1))

    return nnx.eval_shape(make) if seed is None else make()


def load_student(directory: str | Path, dtype: str = "float32") -> Student:
    """Loads a finished run of `distil`: encoder and heads. The encoder computes in `dtype`.

    Raises:
      WeightsError: the run is not finished, or a file is damaged.
    """
    directory = Path(directory)
    if not (directory / HEADS_FILE).is_file():
        raise WeightsError(
            f"{directory} has no {HEADS_FILE}; only a finished run of a config with "
            'task="encoder", such as configs/encoder_mini.py, is a surrogate.'
        )
    encoder, architecture = load_encoder(directory, dtype=dtype)
    arrays, teacher = read_arrays(directory / HEADS_FILE)
    student = new_student(architecture, teacher, None)
    student.encoder = encoder
    student.heads = with_arrays(student.heads, arrays, str(directory / HEADS_FILE))
    return student
