"""Opening a model: converted weights or a training run, one function for both."""

from pathlib import Path
from typing import Any

from stya2k_jax.model import StyA2K
from stya2k_jax.weights import (
    ARCHITECTURE_FILE,
    PAINTER_FILE,
    WeightsError,
    assemble,
    load_architecture,
    load_encoder,
    load_painter,
    new_painter,
)


def load(directory: str | Path, **changes: Any) -> StyA2K:
    """Opens a model directory of `convert_vgg.py`, or a run of `train.py` at its newest checkpoint.

    Args:
      directory: the directory.
      **changes: fields of the architecture to override, such as `dtype="bfloat16"`.

    Raises:
      WeightsError: nothing there, an encoder without a painter, damaged files, or another
        network's.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise WeightsError(
            f"{directory} is not a directory; give one that convert_vgg.py or train.py has made."
        )
    if (directory / PAINTER_FILE).is_file():
        painter, architecture = load_painter(directory, **changes)
    elif (directory / ARCHITECTURE_FILE).is_file():
        architecture = load_architecture(directory, **changes)
        painter = _newest_painter(directory, architecture)
    else:
        raise WeightsError(
            f"{directory} holds no model: neither {PAINTER_FILE}, which convert_vgg.py writes when "
            "--stya2k is given, nor a training run."
        )
    encoder, _ = load_encoder(directory, **changes)
    return assemble(architecture, encoder, painter)


def _newest_painter(directory: Path, architecture):
    from flax import nnx  # Orbax takes seconds to import and only runs need it

    from stya2k_jax.checkpoint import Checkpoints

    graph, template = nnx.split(new_painter(architecture))
    with Checkpoints(directory, read_only=True) as checkpoints:
        step = checkpoints.latest()
        if step is None:
            raise WeightsError(f"{directory} has no checkpoint yet; train longer.")
        return nnx.merge(graph, checkpoints.restore(step, painter=template)["painter"])
