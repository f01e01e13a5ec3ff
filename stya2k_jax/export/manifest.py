"""The manifest beside exported programs: names, shapes, the model and how to run them."""

import re
from importlib.metadata import version
from typing import Any

import jax

from stya2k_jax.export.halves import Half, Specs, size_unit
from stya2k_jax.files.digests import digest_of_bytes
from stya2k_jax.network.model import StyA2K
from stya2k_jax.weights.parameters import fingerprint_of_model

FORMATS = {"stablehlo": "jax_export", "onnx": "onnx"}  # and the suffix of the programs' files
MANIFEST_FILE = "manifest.json"
_DIMENSIONS = {
    "b": "contents, and a style for each",
    "h": "height of the contents / {unit}",
    "w": "width of the contents / {unit}",
    "hs": "height of the styles / {unit}",
    "ws": "width of the styles / {unit}",
    "m": "hs * ws",
}
_HOW_TO_RUN = {
    "stablehlo": (
        "import jax.export, pathlib; style, content = (jax.export.deserialize("
        "pathlib.Path(f'{half}.jax_export').read_bytes()) for half in ('style', 'content'))",
        "keys = style.call({'picture': painting})",
        "stylized = content.call({'picture': photo, **keys})['stylized']",
    ),
    "onnx": (
        "import onnxruntime; style, content = (onnxruntime.InferenceSession("
        "f'{half}.onnx') for half in ('style', 'content'))",
        "keys = dict(zip((x.name for x in style.get_outputs()), "
        "style.run(None, {'picture': painting})))",
        "stylized, = content.run(['stylized'], {'picture': photo, **keys})",
    ),
}


def manifest_of(
    model: StyA2K, format: str, halves: dict[str, Half], programs: dict[str, bytes]
) -> dict:
    """Returns the manifest of `export_model`; `programs` are the files' bytes, by half."""
    unit = size_unit(model.architecture)
    packages = ["stya2k-jax", "jax"] + (["jax2onnx"] if format == "onnx" else [])
    return {
        "format": format,
        "programs": {
            name: {
                "file": f"{name}.{FORMATS[format]}",
                "sha256": digest_of_bytes(programs[name]),
                "inputs": _described(half.inputs),
                "outputs": _described(half.outputs),
            }
            for name, half in halves.items()
        },
        "dimensions": {symbol: text.format(unit=unit) for symbol, text in _DIMENSIONS.items()},
        "architecture": model.architecture.as_dict(),
        "fingerprint": fingerprint_of_model(model),
        "versions": {name: version(name) for name in packages},
        "run": list(_HOW_TO_RUN[format]),
    }


def _described(specs: Specs) -> list[dict]:
    return [
        {"name": name, "shape": shape_of(spec), "dtype": str(spec.dtype)}
        for name, spec in specs.items()
    ]


def shape_of(spec: jax.ShapeDtypeStruct) -> list[int | str]:
    """Returns the shape of an input or output; symbols become text, such as `64*h`."""
    return [side if isinstance(side, int) else str(side) for side in spec.shape]


def factor_of(side: Any) -> int:
    """Returns the number at the beginning of a side: 100 of 100, 64 of 64*h, 1 of b."""
    return int(re.match(r"\d*", str(side))[0] or 1)
