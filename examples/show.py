"""Small pictures for the notebooks: side by side, with names, as one JPEG of a few kilobytes."""

import numpy as np
from IPython.display import Image

from stya2k_jax.pictures.contact_sheet import ContactSheet
from stya2k_jax.pictures.writing import encoded


def show(pictures: dict, size_px: int = 144) -> Image:
    """Shows PIL images or uint8 arrays by name."""
    sheet = ContactSheet(size_px)
    for name, picture in pictures.items():
        sheet.head_column(name, name, [np.asarray(picture)])
    return show_sheet(sheet)


def show_sheet(sheet: ContactSheet) -> Image:
    """Shows a sheet that has been filled."""
    return Image(data=encoded(np.asarray(sheet.image()), ".jpg", quality=65), format="jpeg")
