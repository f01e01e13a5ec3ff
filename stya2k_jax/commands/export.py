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
from stya2k_jax.web.runtime import CDN
from stya2k_jax.web.write_site import FORMAT as WEB
from stya2k_jax.web.write_site import write_site
from stya2k_jax.weights.loading import MINI, load


def main() -> None:
    """Exports a model; see `export.export_model`, and `web.write_site` for a site."""
    checkpoint = flags.DEFINE_string(
        "checkpoint", MINI, "Model of convert_vgg.py, run of train.py, or the small model."
    )
    form = flags.DEFINE_enum(
        "format", "stablehlo", [*FORMATS, WEB], "Of the programs; web: a site that paints."
    )
    output = flags.DEFINE_string("output", None, "Directory to make.", required=True)
    runtime = flags.DEFINE_string(
        "runtime",
        "",
        "With --format=web: folder of the npm package onnxruntime-web, to copy its files into the "
        f"site; or nothing, and browsers load them from {CDN}.",
    )
    sizes = {
        f"{half}_size": flags.DEFINE_string(
            f"{half}_size", "", f"Height x width of all {half}s, such as 512x384; or of any."
        )
        for half in HALVES
    }

    def run(_) -> None:
        fixed = {name: parse_size(flag.value, name) for name, flag in sizes.items()}
        if runtime.value and form.value != WEB:
            raise UsageError("--runtime is only for --format=web.")
        if any(fixed.values()) and form.value == WEB:
            raise UsageError("A site paints any size; leave --content_size and --style_size out.")
        model = load(checkpoint.value, dtype="float32")
        if form.value == WEB:
            write_site(model, output.value, runtime.value or None)
            print(_what_to_do(Path(output.value)))
            return
        manifest = export_model(model, output.value, form.value, **fixed)
        for program in manifest["programs"].values():
            path = Path(output.value, program["file"])
            print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
        print(f"{Path(output.value, MANIFEST_FILE)} says how to run them.")

    command_line.run(run)


def _what_to_do(site: Path) -> str:
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    return (
        f"{site}: {size / 1e6:.2f} MB. Any static host serves it; here:\n"
        f"python -m http.server --directory {site} 8000, then open http://localhost:8000"
    )


def parse_size(text: str, flag: str) -> Size | None:
    """Reads a size such as `512x384`, height first; an empty text gives None.

    Raises:
      UsageError: another text.
    """
    match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", text)
    if text and not match:
        raise UsageError(f"--{flag}={text} is no size; give height x width in pixels, as 512x384.")
    return (int(match[1]), int(match[2])) if match else None
