"""Resizing and cropping pictures."""

from PIL import Image

from stya2k_jax.errors import PictureError
from stya2k_jax.pictures.opening import MAX_PIXELS

CROPS = ("centre", "squash")


def as_square(image: Image.Image, size_px: int, crop: str = "centre") -> Image.Image:
    """Makes a picture a square of `size_px`; one that is such a square already is not changed.

    Args:
      image: an RGB picture.
      size_px: side of the result.
      crop: `"centre"`: cut out the largest square around the middle (an odd rest is larger at the
        bottom and right), then resize; `"squash"`: resize without keeping the aspect, as in the
        paper's data. Resizing is bicubic.
    """
    return crop_square(image, size_px) if crop == "centre" else squash(image, size_px)


def resize_short_side(image: Image.Image, size_px: int) -> Image.Image:
    """Resizes so that the short side has `size_px`, aspect kept, bicubic; 0 leaves it as it is.

    Raises:
      PictureError: the result would have more than `MAX_PIXELS`, as a long strip's may.
    """
    size = resized_size(image.size, size_px)
    if size == image.size:
        return image
    if size[0] * size[1] > MAX_PIXELS:
        name = getattr(image, "filename", "") or "a picture"
        raise PictureError(
            f"{name} has {image.width}x{image.height} pixels; resized to {size_px} on its short "
            f"side it would have {size[0]}x{size[1]}, more than {MAX_PIXELS} in all. Crop it, or "
            "choose a smaller size or 0."
        )
    return image.resize(size, Image.Resampling.BICUBIC)


def resized_size(size: tuple[int, int], size_px: int) -> tuple[int, int]:
    """Returns two sides as `resize_short_side` makes them, in the same order."""
    if size_px == 0 or min(size) == size_px:
        return size
    factor = size_px / min(size)
    first, second = (max(1, round(side * factor)) for side in size)
    return first, second


def squash(image: Image.Image, size_px: int) -> Image.Image:
    """Resizes to a square of `size_px`, aspect not kept, bicubic; one of that size stays as it is.

    This is what training does to pictures, and what `stya2k prepare` does before it.
    """
    return (
        image
        if image.size == (size_px,) * 2
        else image.resize((size_px, size_px), Image.Resampling.BICUBIC)
    )


def crop_square(image: Image.Image, size_px: int) -> Image.Image:
    """Cuts out the largest square in the middle and resizes it to `size_px`, bicubic."""
    side = min(image.size)
    left, top = ((x - side) // 2 for x in image.size)
    image = image.crop((left, top, left + side, top + side))
    return image if side == size_px else image.resize((size_px,) * 2, Image.Resampling.BICUBIC)
