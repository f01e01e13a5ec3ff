"""Example contents and styles: photographs of scikit-image and what the project draws."""

from PIL import Image

from stya2k_jax.pictures.resizing import crop_square
from stya2k_jax.pictures.synthetic import STYLES, draw_content, draw_style

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")  # of scikit-image: public domain, CC0
DRAWN_CONTENTS = (1,)  # a still life
DRAWN_STYLES = 6  # one of each kind, and the first kind in other colors


def photographs() -> dict[str, Image.Image]:
    """Returns scikit-image's free photographs, or nothing where it is not installed."""
    try:
        from skimage import data
    except ImportError:
        return {}
    return {name: Image.fromarray(getattr(data, name)()) for name in PHOTOGRAPHS}


def contents_and_styles(size_px: int) -> tuple[dict[str, Image.Image], dict[str, Image.Image]]:
    """Returns squares by name: photographs and a drawn picture, and drawn styles."""
    contents = {name: crop_square(image, size_px) for name, image in photographs().items()}
    for i in DRAWN_CONTENTS:
        contents[f"drawn_{i}"] = Image.fromarray(draw_content(i, size_px))
    styles = {}
    for i in range(DRAWN_STYLES):
        kind, again = STYLES[i % len(STYLES)], i // len(STYLES)
        name = f"{kind}_{again + 1}" if again else kind
        styles[name] = Image.fromarray(draw_style(i, size_px))
    return contents, styles
