"""A model as two programs that need nothing of this package: `python -m stya2k_jax.export`.

They are the halves of `Painter`, so that a style is encoded once and kept. `style` maps `picture`,
styles `[b, H', W', 3]`, to the arrays that attention needs of them; `content` maps `picture`,
contents `[b, H, W, 3]`, and those arrays to `stylized`, of the contents' shape. Arrays go in and
come out by name. Pictures are float32 RGB in [0, 1], stylized ones unclipped. Weights are inside.

StableHLO runs on every backend of JAX, for at least six months of its versions:

    exported = ExportedModel("DIRECTORY")
    stylized = exported.content(photo, exported.style(painting))

or by `jax.export` alone, as the directory's manifest.json says. ONNX runs where there is a runtime:

    style, content = (onnxruntime.InferenceSession(f"{half}.onnx") for half in HALVES)
    names = [output.name for output in style.get_outputs()]
    keys = dict(zip(names, style.run(names, {"picture": painting})))
    (stylized,) = content.run(["stylized"], {"picture": photo, **keys})
"""

import hashlib
import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from stya2k_jax.errors import UserError
from stya2k_jax.files.atomic import whole_directory
from stya2k_jax.files.json_files import write_json
from stya2k_jax.network.architecture import STYLED_TAPS, TAPS, Architecture
from stya2k_jax.network.convolution import portable_form
from stya2k_jax.network.model import StyA2K
from stya2k_jax.weights.model_files import named_leaves

HALVES = ("style", "content")
FORMATS = {"stablehlo": "jax_export", "onnx": "onnx"}  # and the suffix of the programs' files
MANIFEST_FILE = "manifest.json"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
OPSET = 18  # of ONNX; low, so that many runtimes know it
# These split pictures into parts, or compare places, by numbers that tracing must know.
FIXED_SIZES_ONLY = ("all_to_all", "no_pa_step1", "sanet", "adaattn")

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

Size = tuple[int, int]  # height and width in pixels
Specs = dict[str, jax.ShapeDtypeStruct]


class Half(NamedTuple):
    """One of the two programs, to be traced; arrays go in and come out by name.

    Attributes:
      run: the computation.
      inputs: shapes, symbolic where each call decides, and dtypes of what goes in.
      outputs: the same of what comes out.
    """

    run: Callable[[Mapping[str, jax.Array]], dict[str, jax.Array]]
    inputs: Specs
    outputs: Specs


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
      content_size: height and width of all contents, any; None: each call's own, multiples of
        `size_unit`. Where both sizes are fixed, attention is computed in parts if it is large;
        otherwise at once, with H·W / 16 · H'·W' / 1024 float32 weights for each head.
      style_size: the same for styles.

    Returns:
      The manifest: names, shapes and dtypes, the model, and how to run its programs.

    Raises:
      UserError: an unknown format, something at `output`, a model in bfloat16 or one that needs
        fixed sizes, or the ONNX converter is not installed.
    """
    output = Path(output)
    if format not in FORMATS:
        raise UserError(f"format={format!r} does not exist; choose one of {', '.join(FORMATS)}.")
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(f"{output} is there already; choose another output, or remove it.")
    convert = _to_stablehlo if format == "stablehlo" else _onnx_converter()
    halves = halves_of(model, content_size, style_size)
    with portable_form():
        programs = {name: convert(half) for name, half in halves.items()}
    manifest = _manifest(model, format, halves, programs)
    with whole_directory(output) as directory:
        for name, data in programs.items():
            (directory / manifest["programs"][name]["file"]).write_bytes(data)
        write_json(directory / MANIFEST_FILE, manifest)
    return manifest


def halves_of(
    model: StyA2K, content_size: Size | None = None, style_size: Size | None = None
) -> dict[str, Half]:
    """Returns the programs `style` and `content`; arguments and errors as `export_model`."""
    architecture = model.architecture
    if architecture.dtype != "float32":
        raise UserError(
            f"The model computes in {architecture.dtype}, and exported programs in float32; open "
            'it with load(..., dtype="float32").'
        )
    if architecture.variant in FIXED_SIZES_ONLY and not (content_size and style_size):
        raise UserError(
            f"A model of variant {architecture.variant!r} can only be exported for fixed sizes; "
            "give --content_size=HxW and --style_size=HxW."
        )
    unit = size_unit(architecture)
    b, h, w, hs, ws, m = export.symbolic_shape("b, h, w, hs, ws, m", scope=_Scope())
    contents = _pictures(b, content_size or (unit * h, unit * w))
    styles = _pictures(b, style_size or (unit * hs, unit * ws))
    # The shapes of a style's keys tell how many blocks it has and not how they lie, so `content`,
    # which sees nothing else of it, is traced with those of a column of blocks.
    column = _pictures(b, style_size or (unit * m, unit))

    def keys_of(picture):
        return model.painter.keys(model.encoder(picture))

    def style(arrays):
        return dict(named_leaves(keys_of(arrays["picture"])))

    def content(arrays):
        picture = arrays["picture"]
        keys = jax.tree.unflatten(structure, [arrays[name] for name in given])
        return {"stylized": model.painter(model.encoder(picture), keys, *picture.shape[1:3])}

    with portable_form():
        structure = jax.tree.structure(jax.eval_shape(keys_of, column))
        given, made = (dict(named_leaves(jax.eval_shape(keys_of, x))) for x in (column, styles))
    return {
        "style": Half(style, {"picture": styles}, made),
        "content": Half(content, {"picture": contents, **given}, {"stylized": contents}),
    }


def size_unit(architecture: Architecture) -> int:
    """Returns what sides must be multiples of, in pixels, so that all taps are whole blocks."""
    return math.lcm(*(2 ** TAPS.index(tap) * architecture.block_size(tap) for tap in STYLED_TAPS))


class ExportedModel:
    """Runs the programs of a StableHLO export, compiled once for each size that comes.

    Attributes:
      manifest: as `export_model` returned it.
    """

    def __init__(self, directory: str | Path):
        """Opens a directory of `export_model`.

        Raises:
          UserError: no export, a damaged one, or one in another format.
        """
        self._directory = directory = Path(directory)
        try:
            self.manifest = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
            format, programs = self.manifest["format"], self.manifest["programs"]
            data = {half: (directory / programs[half]["file"]).read_bytes() for half in HALVES}
            damaged = [half for half in HALVES if programs[half]["sha256"] != _sha256(data[half])]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{directory} is no export, or not a whole one ({error!r}); make one with: "
                "python -m stya2k_jax.export --output=DIRECTORY"
            ) from error
        if damaged:
            raise UserError(
                f"{directory}: {programs[damaged[0]]['file']} is damaged; export the model again."
            )
        if format != "stablehlo":
            raise UserError(
                f"{directory} is an export as {format}; its {MANIFEST_FILE} says how to run it."
            )
        self._run = {x: jax.jit(export.deserialize(bytearray(data[x])).call) for x in HALVES}

    def style(self, picture: np.ndarray | jax.Array) -> dict[str, jax.Array]:
        """Maps styles `[b, H', W', 3]`, floats in [0, 1], to what `content` needs of them.

        Raises:
          UserError: pictures of a shape or dtype that the export does not take.
        """
        arrays = self._checked("style", {"picture": picture})
        return self._run["style"](arrays)

    def content(
        self, picture: np.ndarray | jax.Array, keys: Mapping[str, np.ndarray | jax.Array]
    ) -> jax.Array:
        """Paints contents `[b, H, W, 3]`, floats in [0, 1]; unclipped, of the same shape.

        Args:
          picture: the contents.
          keys: what `style` returns of a style for each.

        Raises:
          UserError: pictures or keys of a shape or dtype that the export does not take.
        """
        arrays = self._checked("content", {**keys, "picture": picture})
        return self._run["content"](arrays)["stylized"]

    def _checked(self, half: str, arrays: Mapping[str, Any]) -> dict[str, jax.Array]:
        """Returns the inputs of a program, or says which one does not fit."""
        checked = {}
        for expected in self.manifest["programs"][half]["inputs"]:
            name = expected["name"]
            x = checked[name] = jnp.asarray(arrays[name]) if name in arrays else None
            if x is not None and _fits(x, expected):
                continue
            found = "missing" if x is None else f"{x.dtype} {list(x.shape)}"
            shape = ", ".join(map(str, expected["shape"]))
            remedy = "encode the style with this export"
            if name == "picture":
                remedy = f"resize it, or export with --{half}_size=HxW"
            raise UserError(
                f"{self._directory}, {half}: {name} is {found}; expected {expected['dtype']} "
                f"[{shape}]; {remedy}."
            )
        return checked


class _Scope(export.SymbolicScope):
    """The symbols of a program's shapes."""

    def __deepcopy__(self, memo: dict) -> "_Scope":
        return self  # jax2onnx copies shapes, and symbols of two scopes do not go together


def _pictures(batch: Any, size: tuple[Any, Any]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((batch, *size, 3), jnp.float32)


def _to_stablehlo(half: Half) -> bytes:
    return bytes(export.export(jax.jit(half.run), platforms=PLATFORMS)(half.inputs).serialize())


def _onnx_converter() -> Callable[[Half], bytes]:
    try:
        from jax2onnx import to_onnx
    except ImportError as error:
        raise UserError(
            f"Export as ONNX needs jax2onnx ({error}): pip install 'stya2k-jax[onnx]' and then "
            "pip install --no-deps jax2onnx"
        ) from error

    def convert(half: Half) -> bytes:
        picture, *others = half.inputs.values()
        batch, height, width, colors = picture.shape
        # The converter finds symbols only where they stand alone: 64*h is cut into h and 64.
        u, v = _factor(height), _factor(width)
        cut = jax.ShapeDtypeStruct((batch, height // u, u, width // v, v, colors), picture.dtype)

        def run(cut, *others):
            arrays = (cut.reshape(picture.shape), *others)
            return tuple(half.run(dict(zip(half.inputs, arrays, strict=True))).values())

        with _quiet("onnx_ir.serde"):  # tells of inner types, which runtimes infer
            program = to_onnx(
                run,
                [cut, *others],
                opset=OPSET,
                input_names=["cut", *list(half.inputs)[1:]],
                output_names=list(half.outputs),
            )
        _take_pictures(program.graph, u, v)
        _name_dimensions(program.graph, half)
        return program.SerializeToString()

    return convert


def _take_pictures(graph: Any, u: int, v: int) -> None:
    """Makes an ONNX graph take `picture` `[b, H, W, 3]` in place of `cut` `[b, h, u, w, v, 3]`."""
    from onnx import TensorProto, helper

    def constant(name: str, *values: int) -> str:
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(kind, inputs, [output], **attributes)

    nodes = [
        node("Shape", ["picture"], "picture.shape"),
        node("Div", ["picture.shape", constant("picture.parts", 1, u, v, 1)], "picture.counts"),
        node("Concat", ["picture.counts", constant("picture.sides", u, v)], "cut.axes", axis=0),
        node("Gather", ["cut.axes", constant("cut.order", 0, 1, 4, 2, 5, 3)], "cut.shape"),
        node("Reshape", ["picture", "cut.shape"], "cut"),
        *graph.node,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.input[0].name = "picture"


def _name_dimensions(graph: Any, half: Half) -> None:
    """Writes shapes of what goes in and comes out into an ONNX graph as the manifest has them."""
    from onnx import helper

    specs = {**half.inputs, **half.outputs}
    for value in (*graph.input, *graph.output):
        kind, shape = value.type.tensor_type.elem_type, _shape(specs[value.name])
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, shape))


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keeps a logger's warnings back."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _manifest(
    model: StyA2K, format: str, halves: dict[str, Half], programs: dict[str, bytes]
) -> dict:
    from stya2k_jax.training.run_directory import (
        fingerprint_of_model,  # imports Orbax, which takes seconds
    )

    unit = size_unit(model.architecture)
    packages = ["stya2k-jax", "jax"] + (["jax2onnx"] if format == "onnx" else [])
    return {
        "format": format,
        "programs": {
            name: {
                "file": f"{name}.{FORMATS[format]}",
                "sha256": _sha256(programs[name]),
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
        {"name": name, "shape": _shape(spec), "dtype": str(spec.dtype)}
        for name, spec in specs.items()
    ]


def _shape(spec: jax.ShapeDtypeStruct) -> list[int | str]:
    return [side if isinstance(side, int) else str(side) for side in spec.shape]


def _fits(x: jax.Array, expected: dict) -> bool:
    """Tells whether an array is one that the manifest describes, but for symbols that recur."""
    return (
        str(x.dtype) == expected["dtype"]
        and len(x.shape) == len(expected["shape"])
        and all(
            side == wanted if isinstance(wanted, int) else side and side % _factor(wanted) == 0
            for side, wanted in zip(x.shape, expected["shape"], strict=True)
        )
    )


def _factor(side: Any) -> int:
    """Returns the number that a side begins with: 100 of 100, 64 of 64*h, 1 of b."""
    return int(re.match(r"\d*", str(side))[0] or 1)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    from stya2k_jax.commands.export import main

    main()
