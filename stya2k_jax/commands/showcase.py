"""Writes the page of `make demo`: examples in many styles, and the losses of a run."""

from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.demo.showcase import write_showcase
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.weights.loading import MINI, load


def main() -> None:
    """Writes pictures and `demo.html`."""
    output = flags.DEFINE_string("output", None, "Directory for the page.", required=True)
    run = flags.DEFINE_string("run", None, "A run of train.py that the page tells of.")
    checkpoint = flags.DEFINE_string("checkpoint", MINI, "The model that paints.")
    size_px = flags.DEFINE_integer("size", 384, "Side of the pictures in pixels.", lower_bound=16)

    def write(_) -> None:
        directory = Path(output.value)
        stylizer = Stylizer(load(checkpoint.value))
        trained = Path(run.value) if run.value else None
        page = write_showcase(stylizer, checkpoint.value, directory, size_px.value, trained)
        print(f"Open {page}; the pictures are in {directory / 'stylized'}")

    command_line.run(write)
