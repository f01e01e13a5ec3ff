"""ONNX programs that share one file of weights, with nothing in them that a browser has no use for.

The halves of a model have the same encoder. Kept once, a site has a third less to send.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stya2k_jax.errors import require

WEIGHTS_FILE = "weights.bin"
_SMALLEST = 512  # bytes; smaller arrays stay in their program
_ALIGNMENT = 64  # bytes, of the arrays in the file


def share_weights(programs: Mapping[str, bytes]) -> tuple[dict[str, bytes], bytes]:
    """Moves the large arrays of ONNX files into one file, equal ones once.

    Args:
      programs: ONNX files by name, with the weights inside.

    Returns:
      The files by name, whose weights are the "external data" `weights.bin`; and that file.

    Raises:
      UserError: the package `onnx` is not installed.
    """
    onnx = require("onnx", "onnx", "Export as a site")
    places: dict[bytes, int] = {}
    weights = bytearray()
    lean = {}
    for name, data in programs.items():
        model = onnx.load_model_from_string(data)
        for array in model.graph.initializer:
            values = onnx.numpy_helper.to_array(array).tobytes()
            if len(values) < _SMALLEST:
                continue
            if values not in places:
                weights.extend(bytes(-len(weights) % _ALIGNMENT))
                places[values] = len(weights)
                weights.extend(values)
            _point_to(onnx, array, places[values], len(values))
        _without_names(model)
        lean[name] = model.SerializeToString()
    return lean, bytes(weights)


def _point_to(onnx: Any, array: Any, offset: int, length: int) -> None:
    """Replaces an array's values by their place in the file of weights."""
    for field in ("raw_data", "float_data", "int32_data", "int64_data", "external_data"):
        array.ClearField(field)
    array.data_location = onnx.TensorProto.EXTERNAL
    place = {"location": WEIGHTS_FILE, "offset": str(offset), "length": str(length)}
    for key, value in place.items():
        array.external_data.add(key=key, value=value)


def _without_names(model: Any) -> None:
    """Removes what only people read, and shortens the names of values inside the graph."""
    graph = model.graph
    kept = {value.name for value in (*graph.input, *graph.output)}
    short: dict[str, str] = {"": ""}  # an input that is left out

    def renamed(name: str) -> str:
        if name in kept:
            return name
        return short.setdefault(name, f"_{len(short)}")

    del graph.value_info[:]
    del model.metadata_props[:]
    del model.functions[:]
    for array in graph.initializer:
        array.name = renamed(array.name)
        array.ClearField("doc_string")
    for node in _nodes(graph):
        node.input[:] = map(renamed, node.input)
        node.output[:] = map(renamed, node.output)
        for field in ("name", "doc_string", "metadata_props"):
            node.ClearField(field)


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        assert not any(attribute.HasField("g") for attribute in node.attribute), node.op_type
        yield node
