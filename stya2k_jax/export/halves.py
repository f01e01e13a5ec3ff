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
from stya2k_jax.network.sizes import Extent, Size
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
    model: StyA2K,
    content_size: Size | None = None,
    style_size: Size | None = None,
    *,
    batch: int | None = None,
    styles: int = 1,
    padded: bool = False,
) -> dict[str, Half]:
    """Returns the programs `style` and `content`; arguments and errors as `export_model`.

    Args:
      model: as in `export_model`.
      content_size: as in `export_model`.
      style_size: as in `export_model`.
      batch: how many pictures a call takes; None: each call may choose.
      styles: how many styles `content` blends. More than one have names with their number in front,
        as `0.relu3_1.progressive.k`, and `shares` `[styles]`, which add up to 1.
      padded: whether `content` takes contents that are padded at the bottom and right, and their
        real `size`, int32 `[2]`: height and width in pixels. The padding changes nothing.
    """
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
    counts = [f"m{i}" for i in range(styles)] if styles > 1 else ["m"]
    symbols = export.symbolic_shape(", ".join(["b, h, w, hs, ws", *counts]), scope=_Scope())
    b, h, w, hs, ws, *ms = (batch or symbols[0], *symbols[1:])
    contents = _pictures(b, content_size or (unit * h, unit * w))
    paintings = _pictures(b, style_size or (unit * hs, unit * ws))
    # The shapes of a style's keys give the number of its blocks, not their arrangement. `content`
    # sees only the keys, so it is traced with those of a column of blocks.
    columns = [_pictures(b, style_size or (unit * m, unit)) for m in ms]

    def keys_of(picture):
        return model.painter.keys(model.encoder(picture))

    def style(arrays):
        return dict(named_leaves(keys_of(arrays["picture"])))

    def content(arrays):
        picture, shares = arrays["picture"], None
        extent = Extent(arrays["size"][0], arrays["size"][1]) if padded else None
        keys = [jax.tree.unflatten(structure, [arrays[name] for name in names]) for names in given]
        if styles > 1:
            shares = dict.fromkeys(STYLED_TAPS, arrays["shares"].reshape(styles, 1, 1))
        one_or_all = keys[0] if shares is None else keys
        taps = model.encoder(picture, extent=extent)
        options = dict(shares=shares, extent=extent)
        return {"stylized": model.painter(taps, one_or_all, *picture.shape[1:3], **options)}

    with portable_form():
        structure = jax.tree.structure(jax.eval_shape(keys_of, columns[0]))
        made = dict(named_leaves(jax.eval_shape(keys_of, paintings)))
        given = [
            {(f"{i}.{name}" if styles > 1 else name): leaf for name, leaf in named_leaves(keys)}
            for i, keys in enumerate(jax.eval_shape(keys_of, column) for column in columns)
        ]
    inputs = {"picture": contents}
    if padded:
        inputs["size"] = jax.ShapeDtypeStruct((2,), jnp.int32)
    if styles > 1:
        inputs["shares"] = jax.ShapeDtypeStruct((styles,), jnp.float32)
    return {
        "style": Half(style, {"picture": paintings}, made),
        "content": Half(
            content,
            inputs | {name: leaf for keys in given for name, leaf in keys.items()},
            {"stylized": contents},
        ),
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
