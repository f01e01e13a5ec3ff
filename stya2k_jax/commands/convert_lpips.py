"""The command `python -m stya2k_jax.convert_lpips`: published LPIPS weights to one file."""

from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.conversion.released_model import StateDict, read_state_dict, save_state_dict
from stya2k_jax.metrics.lpips import Lpips, expected_shapes
from stya2k_jax.weights.model_files import WeightsError

SOURCES = """\
  backbone: https://download.pytorch.org/models/alexnet-owt-7be5be79.pth or vgg16-397923af.pth
  heads: alex.pth or vgg.pth, in lpips/weights/v0.1 of the lpips package (pip download lpips)"""


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


def join(backbone: Path, heads: Path) -> StateDict:
    """Returns all tensors that LPIPS needs, from both files, or none.

    The backbone's classifier is left out.

    Raises:
      WeightsError: a file that is not there, says where both are published; tensors that are
        missing, unexpected, misshaped or not finite.
    """
    missing = [str(path) for path in (backbone, heads) if not path.is_file()]
    if missing:
        raise WeightsError(
            f"No such file: {', '.join(missing)}. LPIPS needs two, published as\n{SOURCES}"
        )
    state_dict = {
        name: array
        for path in (backbone, heads)
        for name, array in read_state_dict(path).items()
        if not name.startswith("classifier.")
    }
    network = Lpips(state_dict, origin=f"{backbone} with {heads}")
    return {name: state_dict[name] for name in expected_shapes(network.backbone)}


if __name__ == "__main__":
    main()
