"""A half of the model as an ONNX file, by jax2onnx."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

from stya2k_jax.errors import UserError, require
from stya2k_jax.export.halves import Half
from stya2k_jax.export.manifest import factor_of, shape_of

OPSET = 18  # of ONNX; low, so that many runtimes support it


def onnx_converter() -> Callable[[Half], bytes]:
    """Returns the function that makes a half an ONNX file.

    Raises:
      UserError: jax2onnx is not installed.
    """
    try:
        to_onnx = require("jax2onnx", "onnx", "Export as ONNX").to_onnx
    except UserError as error:  # its own requirements do not go with ours
        raise UserError(f"{error}, and then: pip install --no-deps jax2onnx") from error

    def convert(half: Half) -> bytes:
        picture, *others = half.inputs.values()
        batch, height, width, colors = picture.shape
        # The converter finds only symbols that stand alone, so 64*h is cut into h and 64.
        u, v = factor_of(height), factor_of(width)
        cut = jax.ShapeDtypeStruct((batch, height // u, u, width // v, v, colors), picture.dtype)

        def run(cut, *others):
            arrays = (cut.reshape(picture.shape), *others)
            return tuple(half.run(dict(zip(half.inputs, arrays, strict=True))).values())

        with _quiet("onnx_ir.serde"):  # it warns of inner types, which runtimes infer
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
    """Gives the inputs and outputs of an ONNX graph the shapes of the manifest."""
    from onnx import helper

    specs = {**half.inputs, **half.outputs}
    for value in (*graph.input, *graph.output):
        kind, shape = value.type.tensor_type.elem_type, shape_of(specs[value.name])
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, shape))


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Silences a logger's warnings."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
