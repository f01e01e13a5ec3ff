"""The two halves of a model: one encodes styles, the other paints contents with them."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from stya2k_jax.errors import UserError
from stya2k_jax.network.architecture import STYLED_TAPS, TAPS, Architecture
from stya2k_jax.network.convolution import portable_form
from stya2k_jax.network.model import StyA2K
from stya2k_jax.network.sizes import Size
from stya2k_jax.weights.parameters import named_leaves

HALVES = ("style", "content")
# To split pictures into parts or compare places, these need sizes when they are traced.
FIXED_SIZES_ONLY = ("all_to_all", "no_pa_step1", "sanet", "adaattn")
Specs = dict[str, jax.ShapeDtypeStruct]


class Half(NamedTuple):
    """One of the two programs, to be traced; inputs and outputs have names.

    Attributes:
      run: the computation.
      inputs: shapes and dtypes; a side is symbolic where each call may choose it.
      outputs: the same for the outputs.
    """

    run: Callable[[Mapping[str, jax.Array]], dict[str, jax.Array]]
    inputs: Specs
    outputs: Specs


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
    # The shapes of a style's keys give the number of its blocks, not their arrangement. `content`
    # sees only the keys, so it is traced with those of a column of blocks.
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
    """Returns the number of pixels of which sides must be multiples: all taps are whole blocks."""
    return math.lcm(*(2 ** TAPS.index(tap) * architecture.block_size(tap) for tap in STYLED_TAPS))


class _Scope(export.SymbolicScope):
    """The symbols of a program's shapes."""

    def __deepcopy__(self, memo: dict) -> "_Scope":
        return self  # jax2onnx copies shapes, and symbols of two scopes cannot be combined


def _pictures(batch: Any, size: tuple[Any, Any]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((batch, *size, 3), jnp.float32)
