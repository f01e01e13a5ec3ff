"""The files of ONNX Runtime Web: from a CDN, or copied beside the page.

One version is pinned. Browsers compare each file with its digest, wherever it comes from.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from stya2k_jax.errors import UserError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"  # of npm; MIT license
CDN = f"https://cdn.jsdelivr.net/npm/{PACKAGE}@{VERSION}/dist/"
FOLDER = "runtime"
# By what computes: the module that the page's worker imports, the module that this one imports,
# and the program.
FILES = {
    "wasm": {
        "ort.wasm.min.mjs": (
            "sha384-SfFfy/pvthiOsgaw3KX0bV5TfQ6Iq+oY9KutMe4SxIuHH4cl+DCSD4rTsYOoG1tJ"
        ),
        "ort-wasm-simd-threaded.mjs": (
            "sha384-XcXA/MtAf0WpB8e023xQH9CM7RIjiugakT7x99DIwpFf7k56BIFFcAPerIF7FDad"
        ),
        "ort-wasm-simd-threaded.wasm": (
            "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM"
        ),
    },
    "webgpu": {
        "ort.webgpu.min.mjs": (
            "sha384-FPQBMbud8ICuP0Ii+Gr95KWEX9pKHtUC3lacIp0aPI8WYluKvTsEGQ3AE2Ze3QlL"
        ),
        "ort-wasm-simd-threaded.asyncify.mjs": (
            "sha384-qViEcCGzsR/m8nlQwIsbYh7afN4thuraqFYDQY6huvmoLVoZq/eYawQ1wrv8nnhA"
        ),
        "ort-wasm-simd-threaded.asyncify.wasm": (
            "sha384-EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR"
        ),
    },
}


def integrity(data: bytes) -> str:
    """Returns the digest by which browsers check a file: `sha384-...`."""
    return "sha384-" + base64.b64encode(hashlib.sha384(data).digest()).decode()


def described(base: str) -> dict[str, Any]:
    """Returns the manifest's entry; `base` is the URL of the folder of the files."""
    return {
        "name": PACKAGE,
        "version": VERSION,
        "base": base,
        "files": {
            kind: [{"file": name, "integrity": digest} for name, digest in files.items()]
            for kind, files in FILES.items()
        },
    }


def read_runtime(folder: str | Path) -> dict[str, bytes]:
    """Reads the files from the npm package's folder, or from its `dist`.

    Raises:
      UserError: a file is missing, or is not the one of `VERSION`; says how to get the package.
    """
    folder = Path(folder)
    advice = f"get it with: npm pack {PACKAGE}@{VERSION} && tar xzf {PACKAGE}-{VERSION}.tgz"
    dist = folder / "dist" if (folder / "dist").is_dir() else folder
    found = {}
    for name, digest in (pair for files in FILES.values() for pair in files.items()):
        path = dist / name
        if not path.is_file():
            raise UserError(
                f"--runtime={folder}: there is no {name}; the folder is to be the npm package "
                f"{PACKAGE}. {_capital(advice)} (it makes the folder `package`)."
            )
        data = path.read_bytes()
        if integrity(data) != digest:
            raise UserError(
                f"--runtime={folder}: {name} is not that of {PACKAGE} {VERSION}"
                f"{_version_found(dist.parent)}; {advice}"
            )
        found[name] = data
    return found


def _version_found(package: Path) -> str:
    try:
        version = json.loads((package / "package.json").read_text("utf-8"))["version"]
        return f" but of {version}" if version != VERSION else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
