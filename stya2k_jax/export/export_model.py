"""A model as two programs that do not need this package: `stya2k export`.

They are the halves of `Painter`, so that a style is encoded once and kept. `style` maps `picture`,
styles `[b, H', W', 3]`, to the arrays that attention needs. `content` maps `picture`, contents
`[b, H, W, 3]`, and those arrays to `stylized`, of the contents' shape. Inputs and outputs have
names. Pictures are float32 RGB in [0, 1]; stylized ones are not clipped. The weights are inside.

StableHLO runs on every backend of JAX, whose versions read it for at least six months:

    exported = ExportedModel("DIRECTORY")
    stylized = exported.content(photo, exported.style(painting))

or by `jax.export` alone, as the directory's manifest.json says. ONNX runs in any ONNX runtime:

    style, content = (onnxruntime.InferenceSession(f"{half}.onnx") for half in HALVES)
    names = [output.name for output in style.get_outputs()]
    keys = dict(zip(names, style.run(names, {"picture": painting})))
    (stylized,) = content.run(["stylized"], {"picture": photo, **keys})
"""

from pathlib import Path

import jax
from jax import export

from stya2k_jax.errors import UserError
from stya2k_jax.export.halves import Half, halves_of
from stya2k_jax.export.manifest import FORMATS, MANIFEST_FILE, manifest_of
from stya2k_jax.export.to_onnx import onnx_converter
from stya2k_jax.files.atomic import whole_directory
from stya2k_jax.files.json_files import write_json
from stya2k_jax.network.convolution import portable_form
from stya2k_jax.network.model import StyA2K
from stya2k_jax.network.sizes import Size

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def export_model(
    model: StyA2K,
    output: str | Path,
    format: str = "stablehlo",
    *,
    content_size: Size | None = None,
    style_size: Size | None = None,
) -> dict:
    """Writes a model's programs and `manifest.json` as a directory, whole or not at all.

    Args:
      model: one that computes in float32.
      output: the directory, new or empty.
      format: `"stablehlo"` or `"onnx"`.
      content_size: height and width of all contents in pixels; None: each call may choose
        multiples of `size_unit`. If both sizes are fixed, large attention is computed in parts;
        otherwise at once, with H·W / 16 · H'·W' / 1024 float32 weights for each head.
      style_size: the same for styles.

    Returns:
      The manifest: names, shapes and dtypes, the model, and how to run its programs.

    Raises:
      UserError: an unknown format, an `output` that is there already, a model in bfloat16, one that
        needs fixed sizes, or a missing ONNX converter.
    """
    output = Path(output)
    if format not in FORMATS:
        raise UserError(f"format={format!r} does not exist; choose one of {', '.join(FORMATS)}.")
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(f"{output} is there already; choose another output, or remove it.")
    convert = _to_stablehlo if format == "stablehlo" else onnx_converter()
    halves = halves_of(model, content_size, style_size)
    with portable_form():
        programs = {name: convert(half) for name, half in halves.items()}
    manifest = manifest_of(model, format, halves, programs)
    with whole_directory(output) as directory:
        for name, data in programs.items():
            (directory / manifest["programs"][name]["file"]).write_bytes(data)
        write_json(directory / MANIFEST_FILE, manifest)
    return manifest


def _to_stablehlo(half: Half) -> bytes:
    return bytes(export.export(jax.jit(half.run), platforms=PLATFORMS)(half.inputs).serialize())
