"""The site's example pictures, drawn by the project: two photographs' stand-ins and six styles."""

import io

from PIL import Image

from stya2k_jax.pictures.synthetic import STYLES, draw_content, draw_style

FOLDER = "examples"
CONTENTS = {"landscape": 0, "still life": 1}  # names, and what `draw_content` is given
SIZE_PX = 512
STYLE_PX = 384
_QUALITY = 88  # of JPEG


def draw_examples() -> dict[str, dict[str, tuple[str, bytes]]]:
    """Returns by kind, `contents` and `styles`, the name, file and JPEG of each picture."""
    contents = {name: draw_content(i, SIZE_PX) for name, i in CONTENTS.items()}
    styles = {
        name.replace("_", " "): draw_style(i, STYLE_PX) for i, name in enumerate((*STYLES, "pen"))
    }
    return {
        kind: {name: (_file(kind, name), _jpeg(pixels)) for name, pixels in pictures.items()}
        for kind, pictures in (("contents", contents), ("styles", styles))
    }


def _file(kind: str, name: str) -> str:
    return f"{FOLDER}/{kind}-{name.replace(' ', '-')}.jpg"


def _jpeg(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()
