"""Writes a model as programs for other runtimes."""

import re
from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.commands.command_line import UsageError
from stya2k_jax.export.export_model import export_model
from stya2k_jax.export.halves import HALVES
from stya2k_jax.export.manifest import FORMATS, MANIFEST_FILE
from stya2k_jax.network.sizes import Size
from stya2k_jax.weights.loading import MINI, load


def main() -> None:
    """Exports a model; see `export.export_model`."""
    checkpoint = flags.DEFINE_string(
        "checkpoint", MINI, "Model of convert_vgg.py, run of train.py, or the small model."
    )
    form = flags.DEFINE_enum("format", "stablehlo", list(FORMATS), "Of the programs.")
    output = flags.DEFINE_string("output", None, "Directory to make.", required=True)
    sizes = {
        f"{half}_size": flags.DEFINE_string(
            f"{half}_size", "", f"Height x width of all {half}s, such as 512x384; or of any."
        )
        for half in HALVES
    }

    def run(_) -> None:
        fixed = {name: parse_size(flag.value, name) for name, flag in sizes.items()}
        model = load(checkpoint.value, dtype="float32")
        manifest = export_model(model, output.value, form.value, **fixed)
        for program in manifest["programs"].values():
            path = Path(output.value, program["file"])
            print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
        print(f"{Path(output.value, MANIFEST_FILE)} says how to run them.")

    command_line.run(run)


def parse_size(text: str, flag: str) -> Size | None:
    """Reads a size such as `512x384`, height first; an empty text gives None.

    Raises:
      UsageError: another text.
    """
    match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", text)
    if text and not match:
        raise UsageError(f"--{flag}={text} is no size; give height x width in pixels, as 512x384.")
    return (int(match[1]), int(match[2])) if match else None
