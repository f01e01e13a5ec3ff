"""The public names with their types: what a type checker knows of a program that uses them."""

from pathlib import Path
from typing import assert_type

import jax
import numpy as np
from PIL import Image

import stya2k_jax
from stya2k_jax import Architecture, StyA2K, Style, Stylizer, UserError


def paint(photo: Path, painting: Path, result: Path) -> None:
    """Paints one photograph; what is wrong with a file is one line."""
    try:
        stylizer = Stylizer(stya2k_jax.load())
        picture = stylizer(photo, painting, alpha=0.8, preserve_color="luminance")
    except UserError as error:
        print(f"error: {error}")
        return
    assert_type(picture, Image.Image)
    picture.save(result)


def paint_arrays(stylizer: Stylizer, batch: np.ndarray, style: Style) -> np.ndarray:
    """Paints a batch: uint8 or floats `[b, H, W, 3]` in, the same out."""
    painted = stylizer(batch, style)
    assert_type(painted, np.ndarray)
    return painted


def paint_all(stylizer: Stylizer, photos: list[Path], paintings: list[Path], folder: Path) -> None:
    """Paints every photograph in every painting."""
    for content, style, picture in stylizer.stylize_many(photos, paintings, progress=True):
        assert_type(content, int)
        assert_type(picture, Image.Image)
        picture.save(folder / f"{photos[content].stem}_{paintings[style].stem}.png")


def blend(stylizer: Stylizer, first: str, second: Image.Image, kept: Path) -> Style:
    """Blends two paintings, and keeps the blend as a file."""
    style = stylizer.encode_style([first, second], [0.3, 0.7], block_policy="balanced")
    assert_type(style, Style)
    style.save(kept)
    return stylizer.load_style(kept)


def sizes(model: StyA2K) -> tuple[Architecture, int]:
    """Returns what a model is, and the channels of its deepest tap."""
    return model.architecture, model.architecture.channels("relu5_1")


def plain(model: StyA2K, content: jax.Array, style: jax.Array) -> jax.Array:
    """Runs the network itself, which JAX can differentiate and compile."""
    return model(content, style)
