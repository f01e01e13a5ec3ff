"""Runs an exported model: its StableHLO programs and their manifest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from stya2k_jax.errors import UserError
from stya2k_jax.export.halves import HALVES
from stya2k_jax.export.manifest import MANIFEST_FILE, factor_of
from stya2k_jax.files.digests import digest_of_bytes


class ExportedModel:
    """Runs the programs of a StableHLO export; each new size is compiled once.

    Attributes:
      manifest: as `export_model` returned it.
    """

    def __init__(self, directory: str | Path):
        """Opens a directory of `export_model`.

        Raises:
          UserError: it is no export, is damaged, or has another format.
        """
        self._directory = directory = Path(directory)
        try:
            self.manifest = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
            format, programs = self.manifest["format"], self.manifest["programs"]
            data = {half: (directory / programs[half]["file"]).read_bytes() for half in HALVES}
            damaged = [
                half for half in HALVES if programs[half]["sha256"] != digest_of_bytes(data[half])
            ]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{directory} is no export, or not a whole one ({error!r}); make one with: "
                "stya2k export --output=DIRECTORY"
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
        """Maps styles `[b, H', W', 3]`, floats in [0, 1], to the arrays that `content` needs.

        Raises:
          UserError: pictures of a shape or dtype that the export does not take.
        """
        arrays = self._checked("style", {"picture": picture})
        return self._run["style"](arrays)

    def content(
        self, picture: np.ndarray | jax.Array, keys: Mapping[str, np.ndarray | jax.Array]
    ) -> jax.Array:
        """Paints contents `[b, H, W, 3]`, floats in [0, 1]; the result has this shape, unclipped.

        Args:
          picture: the contents.
          keys: what `style` returns, with one style for each content.

        Raises:
          UserError: pictures or keys of a shape or dtype that the export does not take.
        """
        arrays = self._checked("content", {**keys, "picture": picture})
        return self._run["content"](arrays)["stylized"]

    def _checked(self, half: str, arrays: Mapping[str, Any]) -> dict[str, jax.Array]:
        """Returns the inputs of a program; raises a UserError about the first that does not fit."""
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


def _fits(x: jax.Array, expected: dict) -> bool:
    """Returns whether an array fits the manifest; equal symbols are not compared."""
    return (
        str(x.dtype) == expected["dtype"]
        and len(x.shape) == len(expected["shape"])
        and all(
            side == wanted if isinstance(wanted, int) else side and side % factor_of(wanted) == 0
            for side, wanted in zip(x.shape, expected["shape"], strict=True)
        )
    )
