"""Color profiles: stored numbers to sRGB, which the network and all measures expect."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # ICC's signatures, Pillow's modes
_LARGEST_BYTES = 2**23  # of a profile; those of printers take about 2 MiB
_SAME = 1  # of 255: a profile that changes no color by more is sRGB


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Converts a picture to sRGB by the ICC profile that came with it.

    Args:
      image: of any mode of 8 bits or 1 bit.
      profile: a profile that cannot be used, or that is of other colors than the picture, counts
        as none; so does one of sRGB.

    Returns:
      RGB or RGBA where colors were converted, else the picture itself.
    """
    colors, alpha = _parts(image)
    transform = _transform(profile, colors.mode)
    if transform is None:
        return image
    converted = transform.apply(colors)
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _parts(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Returns a picture as RGB, L or CMYK, and its transparency, L; other modes as they are."""
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    if image.has_transparency_data and image.mode != "LA":
        image = image.convert("RGBA")
    if image.mode in ("LA", "RGBA"):
        return image.convert(image.mode[:-1]), image.getchannel("A")
    return image.convert({"1": "L", "P": "RGB", "RGBX": "RGB"}.get(image.mode, image.mode)), None


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Returns the way to sRGB; None where there is none, or nothing to do. Threads may share it."""
    if len(profile) > _LARGEST_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if _SPACES.get(source.profile.xcolor_space) != mode:
            return None
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, srgb, mode, "RGB")
        probe = _probe(mode)
        changed = np.asarray(transform.apply(probe), int) - np.asarray(probe.convert("RGB"), int)
    except Exception:  # Little CMS refuses damaged profiles in many ways; Pillow may lack it
        return None
    return transform if np.abs(changed).max() > _SAME else None


def _probe(mode: str) -> Image.Image:
    """Returns a picture of colors from all over a mode."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    channels = len(mode)
    values = np.stack(np.meshgrid(*[steps] * channels, indexing="ij"), axis=-1)
    return Image.frombytes(mode, (values.size // channels, 1), values.tobytes())
