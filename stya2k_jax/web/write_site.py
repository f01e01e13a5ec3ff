"""A folder that any static host serves: page, script, stylesheet, programs, examples, manifest."""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.export.halves import Half, halves_of, size_unit
from stya2k_jax.export.manifest import MANIFEST_FILE
from stya2k_jax.export.to_onnx import onnx_converter
from stya2k_jax.files.atomic import whole_directory
from stya2k_jax.files.json_files import write_json
from stya2k_jax.network.convolution import portable_form
from stya2k_jax.network.model import StyA2K
from stya2k_jax.pictures.arrays import to_uint8
from stya2k_jax.reports.page import source
from stya2k_jax.web import examples, runtime
from stya2k_jax.web.shared_weights import WEIGHTS_FILE, share_weights
from stya2k_jax.weights.parameters import fingerprint_of_model

FORMAT = "web"
STYLES_AT_MOST = 3
SCRIPT_PARTS = ("shared.js", "painter.js", "pictures.js", "camera.js", "page.js", "start.js")
SHARED_PARTS = ("compare.js", "camera_switch.js")  # which other pages have too
CHECK_PX, CHECK_STEP = 64, 8
# With these headers browsers allow threads. Some hosts (Netlify, Cloudflare Pages) read this file.
HEADERS_FILE = "_headers"
_HEADERS = """\
/*
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
"""


def write_site(model: StyA2K, output: str | Path, runtime_folder: str | Path | None = None) -> dict:
    """Writes the site, whole or not at all.

    Args:
      model: one that computes in float32.
      output: the folder, new or empty.
      runtime_folder: of the npm package `onnxruntime-web`, whose files are copied into the site;
        None: visitors' browsers load them from a CDN, and check them.

    Returns:
      The manifest, which the page reads.

    Raises:
      UserError: an `output` that is there already, a model that cannot be exported for free sizes,
        a missing ONNX converter, or a folder without the runtime's files.
    """
    output = Path(output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(f"{output} is there already; choose another output, or remove it.")
    copied = {} if runtime_folder is None else runtime.read_runtime(runtime_folder)
    halves = _halves(model)
    convert = onnx_converter()
    with portable_form():
        programs = {name: convert(half) for name, half in halves.items()}
    programs, weights = share_weights(programs)
    pictures = examples.draw_examples()
    base = f"{runtime.FOLDER}/" if copied else runtime.CDN
    contents: dict[str, bytes] = {WEIGHTS_FILE: weights}
    contents |= {f"{name}.onnx": data for name, data in programs.items()}
    contents |= {file: data for kind in pictures.values() for file, data in kind.values()}
    contents |= {f"{runtime.FOLDER}/{name}": data for name, data in copied.items()}
    contents |= _page(base)
    manifest = {
        "format": FORMAT,
        "architecture": model.architecture.as_dict(),
        "fingerprint": fingerprint_of_model(model),
        "unit": size_unit(model.architecture),
        "weights": _file(WEIGHTS_FILE, weights),
        "programs": {
            name: {
                **_file(f"{name}.onnx", programs[name]),
                "inputs": list(half.inputs),
                "outputs": list(half.outputs),
            }
            for name, half in halves.items()
        },
        "check": check_of(model),
        "examples": {
            kind: [{"name": name, "file": file} for name, (file, _) in found.items()]
            for kind, found in pictures.items()
        },
        "runtime": runtime.described(base),
        "versions": {name: version(name) for name in ("stya2k-jax", "jax", "jax2onnx")},
    }
    with whole_directory(output) as directory:
        for name, data in contents.items():
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        write_json(directory / MANIFEST_FILE, manifest)
    return manifest


def check_of(model: StyA2K) -> dict[str, Any]:
    """Returns what the model paints of a drawn picture, in its own style.

    The page paints it too where a graphics card computes, and uses the card only if the two agree.

    Returns:
      `size` in pixels, `step`, and `values`: uint8 RGB of every `step`-th row and column.
    """
    y, x = np.mgrid[:CHECK_PX, :CHECK_PX].astype(np.float32)
    channels = [np.sin(0.37 * x + 0.23 * y * (c + 1) + c) for c in range(3)]
    picture = jnp.asarray(0.5 + 0.5 * np.stack(channels, axis=-1)[None], jnp.float32)
    painted = to_uint8(np.asarray(model(picture, picture))[0])[::CHECK_STEP, ::CHECK_STEP]
    return {"size": CHECK_PX, "step": CHECK_STEP, "values": painted.reshape(-1).tolist()}


def _halves(model: StyA2K) -> dict[str, Half]:
    """Returns `style`, and `content` for one style, `content_2` and `content_3` for blends."""
    halves = halves_of(model, batch=1, padded=True)
    for count in range(2, STYLES_AT_MOST + 1):
        blend = halves_of(model, batch=1, styles=count, padded=True)
        halves[f"content_{count}"] = blend["content"]
    return halves


def _page(base: str) -> dict[str, bytes]:
    """Returns page, script and stylesheet."""
    folder = files("stya2k_jax.web") / "page"
    parts = [(folder / name).read_text("utf-8") for name in SCRIPT_PARTS]
    shared = [source(name) for name in SHARED_PARTS]
    script = "\n".join([*parts[:-1], *shared, parts[-1]])
    origin = "" if base.startswith(runtime.FOLDER) else "/".join(base.split("/")[:3])
    html = (folder / "index.html").read_text("utf-8").replace("CDN_ORIGIN", origin)
    return {
        "index.html": html.encode(),
        "app.js": script.encode(),
        "style.css": source("style.css").encode(),
        HEADERS_FILE: _HEADERS.encode(),
    }


def _file(name: str, data: bytes) -> dict[str, Any]:
    return {"file": name, "bytes": len(data), "integrity": runtime.integrity(data)}
