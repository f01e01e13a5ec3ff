"""The systems of an evaluation: models and folders of stylized pictures, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stya2k_jax.errors import UserError
from stya2k_jax.weights.loading import MINI, MINI_FILE, load
from stya2k_jax.weights.model_files import (
    ARCHITECTURE_FILE,
    ENCODER_FILE,
    PAINTER_FILE,
    read_arrays,
)

# Rows of a report that are no systems.
REFERENCES = ("content unchanged", "style itself")
UNSTYLIZED = "unstylized"


@dataclass(frozen=True)
class System:
    """What is measured.

    Attributes:
      name: in the report, and of its folder of results.
      path: a model directory, a run, a model file or "a2k-mini"; else a folder of pictures.
      is_model: which of the two `path` is.
    """

    name: str
    path: Path
    is_model: bool


def open_systems(
    named: Sequence[str] = (),
    directory: Path | None = None,
    checkpoint: Path | None = None,
    stylized_dir: Path | None = None,
) -> dict[str, System]:
    """Returns the systems to measure, by name.

    Args:
      named: each NAME=PATH, a model or a folder.
      directory: its folders are systems, each a model or a folder of pictures.
      checkpoint: a model, which is called after its directory or file.
      stylized_dir: a folder of pictures, which is called after itself.

    Raises:
      UserError: none at all, two of one name, a name that the results need themselves, or a path
        that is neither a folder nor a model.
    """
    systems: dict[str, System] = {}

    def add(name: str, path: Path) -> None:
        if name in (*REFERENCES, UNSTYLIZED):
            raise UserError(f"a system may not be called {name!r}, as a row of the report is.")
        if "/" in name or name in (".", ".."):
            raise UserError(f"{name!r} names a folder of results too; call that system otherwise.")
        if name in systems:
            raise UserError(
                f"two systems are called {name}, {systems[name].path} and {path}; give each a name "
                "of its own with --system=NAME=PATH."
            )
        systems[name] = System(name, path, _is_model(path))

    for given in named:
        name, _, path = given.partition("=")
        if not (name and path):
            raise UserError(f"--system={given}: give NAME=PATH.")
        if not (Path(path).is_dir() or _is_model(Path(path))):
            raise UserError(f"--system={given}: {path} is neither a folder nor a model.")
        add(name, Path(path))
    if directory is not None:
        for path in sorted(directory.iterdir()):
            if path.is_dir() and not path.name.startswith("."):
                add(path.name, path)
    if checkpoint is not None:
        if not _is_model(checkpoint):
            load(checkpoint)  # says what is wrong with it
        add(checkpoint.resolve().name, checkpoint)
    if stylized_dir is not None:
        if not stylized_dir.is_dir():
            raise UserError(f"--stylized_dir={stylized_dir} is no folder.")
        add(stylized_dir.resolve().name, stylized_dir)
    if not systems:
        advice = "give --checkpoint, --stylized_dir or --system."
        if directory is not None:
            advice = f"--systems_dir={directory} holds no folders."
        raise UserError(f"nothing to measure: {advice}")
    return systems


def own_encoder(systems: Mapping[str, System]) -> Path:
    """Returns the directory of the first model, whose encoder can judge if it is the full VGG-19.

    Raises:
      UserError: there is no model, or its encoder is another one.
    """
    advice = "give --judge=DIRECTORY: convert_vgg.py's VGG-19, which the losses need."
    path = next((system.path for system in systems.values() if system.is_model), None)
    if path is None:
        raise UserError(advice)
    model = MINI_FILE if str(path) == MINI else path
    # Not `load`: the model is timed in another process, while this one has no memory of a device.
    _, architecture = read_arrays(model / ENCODER_FILE if model.is_dir() else model)
    if architecture.width != 1:
        raise UserError(
            f"the losses mean something else on the encoder of {path}, of width "
            f"{architecture.width:g}; {advice}"
        )
    if not model.is_dir():
        raise UserError(f"{model} is one file, whose encoder cannot be the judge; {advice}")
    return model


def _is_model(path: Path) -> bool:
    """Returns whether a path is a model: a directory, a run, a file or "a2k-mini"."""
    return (
        str(path) == MINI
        or path.is_file()
        or any((path / name).is_file() for name in (PAINTER_FILE, ARCHITECTURE_FILE))
    )
