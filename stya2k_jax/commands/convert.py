"""Converts PyTorch weights to ours and back; in a checkout also `python convert_vgg.py`."""

from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.commands.command_line import UsageError
from stya2k_jax.conversion.normalized_vgg import normalize_encoder
from stya2k_jax.conversion.pytorch_files import read_state_dict, save_state_dict
from stya2k_jax.conversion.released_model import (
    RELEASED_FILES,
    model_from_release,
    read_release,
    release_from_model,
    released_files,
    verify_release,
)
from stya2k_jax.conversion.vgg import VGG_KEYS, encoder_from_vgg, is_beyond_conv5_1
from stya2k_jax.errors import UserError
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.encoder import Encoder
from stya2k_jax.pictures.arrays import to_float
from stya2k_jax.pictures.reading import find_pictures, read_picture
from stya2k_jax.pictures.resizing import crop_square
from stya2k_jax.weights.loading import load
from stya2k_jax.weights.model_files import save_encoder, save_model

PHOTOGRAPH_PX = 256  # side of the squares of photographs that are shown to the network


def main() -> None:
    """Converts VGG-19 and the released StyA2K weights, or exports a checkpoint of ours."""
    text = flags.DEFINE_string
    vgg = text("vgg", None, "VGG-19 weights: .pth or .safetensors.")
    vgg_format = flags.DEFINE_enum(
        "vgg_format", "normalised", list(VGG_KEYS), "Whose file --vgg is."
    )
    photographs = text(
        "photographs",
        None,
        "Picture, or folder of pictures, over which every channel of VGG-19 is rescaled to a mean "
        "activation of 1. Needed for torchvision's weights.",
    )
    stya2k = text("stya2k", None, f"Directory with {', '.join(f for f, _ in released_files())}.")
    verify = flags.DEFINE_bool("verify", False, "Check that --stya2k holds the authors' files.")
    export = text("export_pytorch", None, "Checkpoint of ours to write in the released format.")
    output = text("output", None, "Directory to write.")
    flags.mark_flag_as_required("output")

    def run(_) -> None:
        if (vgg.value is None) == (export.value is None):
            raise UsageError("give either --vgg=FILE to convert, or --export_pytorch=CHECKPOINT.")
        if export.value is not None:
            export_model(Path(export.value), Path(output.value))
            return
        if verify.value:
            if stya2k.value is None:
                raise UsageError("--verify checks the released files; give --stya2k=DIRECTORY.")
            verify_release(Path(stya2k.value))
        encoder, architecture = _read_vgg(Path(vgg.value), vgg_format.value, photographs.value)
        if stya2k.value is None:
            save_encoder(Path(output.value), encoder, architecture)
            print(f"Wrote the encoder (width {architecture.width:g}) to {output.value}")
        else:
            model = model_from_release(encoder, architecture, read_release(Path(stya2k.value)))
            save_model(Path(output.value), model)
            print(f"Wrote the model (width {architecture.width:g}) to {output.value}")

    command_line.run(run)


def export_model(checkpoint: Path, directory: Path) -> None:
    """Writes the three released files' format from a checkpoint of ours."""
    model = load(checkpoint)
    for module, state_dict in release_from_model(model).items():
        save_state_dict(directory / RELEASED_FILES[module][0], state_dict)
    print(f"Wrote {', '.join(name for name, _ in released_files())} to {directory}")
    if model.architecture.width != 1:
        print(f"Note: at width {model.architecture.width:g} the released code needs its sizes set.")


def _read_vgg(path: Path, vgg_format: str, photographs: str | None) -> tuple[Encoder, Architecture]:
    if vgg_format == "torchvision" and photographs is None:
        raise UserError(
            "torchvision's VGG-19 is not normalized; give --photographs=FOLDER, over which every "
            "channel is rescaled to a mean activation of 1 (a few dozen photographs will do)."
        )
    state_dict = read_state_dict(path)
    encoder, architecture = encoder_from_vgg(state_dict, vgg_format, origin=str(path))
    unused = sum(is_beyond_conv5_1(name, vgg_format) for name in state_dict)
    print(
        f"{path}: {unused} tensors beyond conv5_1 are not used"
        if unused
        else f"{path}: up to conv5_1"
    )
    if photographs is not None:
        files = find_pictures(photographs)
        pictures = (to_float(crop_square(read_picture(f), PHOTOGRAPH_PX)) for f in files)
        encoder, _ = normalize_encoder(encoder, pictures)
        print(f"Rescaled every channel to a mean activation of 1 over {len(files)} pictures")
    return encoder, architecture
