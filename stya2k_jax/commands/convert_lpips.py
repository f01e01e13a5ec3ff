"""Joins published LPIPS weights into one file for `stya2k evaluate --lpips=FILE`."""

from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.conversion.pytorch_files import save_state_dict
from stya2k_jax.errors import WeightsError
from stya2k_jax.metrics.lpips import Lpips, join


def main() -> None:
    """Joins a backbone of torchvision and the heads of the lpips package."""
    backbone = flags.DEFINE_string("backbone", None, "torchvision's AlexNet or VGG-16.")
    heads = flags.DEFINE_string("heads", None, "alex.pth or vgg.pth of the lpips package, v0.1.")
    output = flags.DEFINE_string("output", None, "The .safetensors file to write.")
    flags.mark_flags_as_required(["backbone", "heads", "output"])

    def run(_) -> None:
        state_dict = join(Path(backbone.value), Path(heads.value))
        if Path(output.value).suffix != ".safetensors":
            raise WeightsError(f"--output={output.value} must end in .safetensors.")
        save_state_dict(Path(output.value), state_dict)
        print(f"Wrote LPIPS on {Lpips(state_dict).backbone} to {output.value}")

    command_line.run(run)
