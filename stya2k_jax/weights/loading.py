"""Load a model: the bundled a2k-mini, converted weights, or a training run."""

from pathlib import Path
from typing import Any

from flax import nnx

from stya2k_jax.errors import WeightsError
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.model import Painter, StyA2K, assemble, new_painter
from stya2k_jax.weights.model_files import (
    ARCHITECTURE_FILE,
    PAINTER_FILE,
    load_architecture,
    load_encoder,
    load_model_file,
    load_painter,
)

MINI = "a2k-mini"
MINI_FILE = Path(__file__).parent / "pretrained" / "a2k_mini.safetensors"


def load(checkpoint: str | Path = MINI, **changes: Any) -> StyA2K:
    """Loads a model.

    Args:
      checkpoint: a directory of `convert_vgg.py`, a run of `train.py` (at its newest checkpoint), a
        model file of `stya2k pack`, or `"a2k-mini"`, the small model that comes with
        the package.
      **changes: fields of the architecture to override, such as `dtype="bfloat16"`.

    Raises:
      UserError: a field that an architecture does not have, or a value that it cannot have.
      WeightsError: nothing there, an encoder without a painter, damaged files, or another
        network's.
    """
    if str(checkpoint) == MINI:
        checkpoint = MINI_FILE
    directory = Path(checkpoint)
    if directory.is_file():
        return load_model_file(directory, **changes)
    if not directory.is_dir():
        raise WeightsError(
            f"{directory} does not exist; give a directory that convert_vgg.py or train.py has "
            f"made, or {MINI} for the model that comes with the package."
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
    encoder, encoders = load_encoder(directory, **changes)
    for field in ("width", "pooling"):
        ours, theirs = getattr(architecture, field), getattr(encoders, field)
        if ours != theirs:
            raise WeightsError(
                f"{directory}: the painter is for {field}={ours}, the encoder beside it has "
                f"{field}={theirs}; the files are of two models. Make the directory again."
            )
    return assemble(architecture, encoder, painter)


def _newest_painter(directory: Path, architecture: Architecture) -> Painter:
    # Orbax takes seconds to import and only runs need it.
    from stya2k_jax.weights.run_checkpoints import Checkpoints

    graph, template = nnx.split(new_painter(architecture))
    with Checkpoints(directory, read_only=True, unread=["training"]) as checkpoints:
        step = checkpoints.latest()
        if step is None:
            raise WeightsError(f"{directory} has no whole checkpoint yet; train longer.")
        return nnx.merge(graph, checkpoints.restore(step, painter=template)["painter"])
