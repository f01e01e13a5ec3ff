"""Modes of PIL images: each to 8-bit RGB in sRGB, and its transparency."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.pictures.profiles import to_srgb

_STRIP_PIXELS = 2**20  # converted at once, because conversions take many bytes a pixel
_PHOTOMETRIC = 262  # TIFF tag


def to_rgb(image: Image.Image, background: int = 255, profile: bytes | None = None) -> Image.Image:
    """Converts a picture of any mode to 8-bit RGB, transparency laid on a grey level of 255.

    Args:
      image: the picture.
      background: the grey level.
      profile: ICC profile of its colors, which become sRGB; None converts none.

    Raises:
      UserError: floats that are NaN or infinite.
    """
    if image.mode == "RGB" and "transparency" not in image.info and not profile:
        return image
    white = _white_of(image)
    rgb = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        if white is not None:
            strip = _eight_bit(strip, white, background, _is_negative(image))
        if profile:
            strip = to_srgb(strip, profile)
        rgb.paste(_opaque(strip, background).convert("RGB"), (0, top))
    return rgb


def alpha_of(image: Image.Image) -> Image.Image | None:
    """Returns the transparency of a picture as L: 0 where nothing is seen; None if it has none."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = image.info.get("transparency")
        if not isinstance(grey, int):
            return None
        shown = Image.new("L", image.size, 255)
        for top, strip in _strips(image):
            clear = Image.fromarray(np.asarray(strip) == grey)
            shown.paste(0, (0, top), clear)
        return shown
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("LA", "PA", "RGBA", "RGBa"):
        return image.getchannel(image.mode[-1])
    if not image.has_transparency_data:
        return None
    alpha = Image.new("L", image.size)
    for top, strip in _strips(image):
        alpha.paste(strip.convert("RGBA").getchannel("A"), (0, top))
    return alpha


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Cuts a picture into strips of whole rows; yields the number of the first row and the strip.

    So 16-bit, float and transparent pictures take little more memory than their result.
    """
    rows = max(1, _STRIP_PIXELS // max(1, image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _white_of(image: Image.Image) -> float | None:
    """Returns the value of white in a picture of 16 or 32 bits a pixel; None for 8 bits."""
    if image.mode.startswith("I;16"):
        return 65535
    if image.mode not in ("I", "F"):
        return None
    largest = 0.0
    for _, strip in _strips(image):
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise UserError("the picture holds NaN or infinity")
        largest = max(largest, float(values.max(initial=0)))
    if image.mode == "F" and largest < 2:  # [0, 1], perhaps a little beyond
        return 1
    # 32 bits have no agreed range: the smallest usual one that fits.
    return next(x for x in (255, 65535, largest) if largest <= x)


def _is_negative(image: Image.Image) -> bool:
    """Returns whether 0 is white, as a TIFF may say; Pillow minds it up to 8 bits only."""
    return getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0


def _eight_bit(image: Image.Image, white: float, background: int, is_negative: bool) -> Image.Image:
    values = np.asarray(image, np.float64)
    scaled = np.clip(np.round(values / white * 255), 0, 255).astype(np.uint8)
    if is_negative:
        scaled = 255 - scaled
    scaled[values == image.info.get("transparency", np.nan)] = background
    return Image.fromarray(scaled)


def _opaque(image: Image.Image, background: int) -> Image.Image:
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    if image.has_transparency_data:
        behind = Image.new("RGBA", image.size, (background,) * 3 + (255,))
        image = Image.alpha_composite(behind, image.convert("RGBA"))
    return image
