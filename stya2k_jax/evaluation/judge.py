"""The judge of an evaluation: it encodes pictures and compares them by every metric."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from stya2k_jax.metrics import content_and_style as metrics
from stya2k_jax.metrics import ssim
from stya2k_jax.metrics.cfsd import TorchvisionRelu31, cfsd
from stya2k_jax.metrics.lpips import Lpips
from stya2k_jax.metrics.patterns import PERIODS, patterns
from stya2k_jax.metrics.rims import rims
from stya2k_jax.network.architecture import CONTENT_TAPS, TAPS
from stya2k_jax.network.encoder import Encoder
from stya2k_jax.pictures.arrays import to_float
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.pictures.resizing import as_square
from stya2k_jax.reports.picture_grids import Thumbnails

METRICS = ("losses", "form_b", "lpips", "ssim", "patterns", "rims", "cfsd", "ssim_gaussian_rgb")
COLUMNS = (  # of the numbers, in the order of tables
    *("content_loss", "style_loss", "lpips", "ssim", "cfsd"),
    *(*(f"pattern_{period}px" for period in PERIODS), "rims"),
    *("content_loss_per_layer", "style_loss_per_layer"),
    *("content_loss_form_b", "style_loss_form_b", "ssim_gaussian_rgb"),
    *(f"content_loss_{tap}" for tap in CONTENT_TAPS),
    *(f"style_loss_{tap}" for tap in TAPS),
)
SSIM_FORMS = {"ssim": "grey", "ssim_gaussian_rgb": "gaussian_rgb"}
FEATURES_KEPT = 16  # of pictures; about 40 MB each at 512 x 512

Features = dict[str, Any]  # of a picture: arrays with a leading axis of length 1


class Judge:
    """Compares stylized pictures with their contents and styles.

    All pictures are made squares of one size, so that everything is compiled once. They are encoded
    and compared one by one: in a batch, numbers would depend on its size, in their last digits.

    Attributes:
      pixels_of: reads a picture as the square that is compared, uint8 `[size, size, 3]`; the latest
        are kept.
      features_of: returns `features` of a picture file; the latest are kept.
      thumbnails: of all pictures that were read.
    """

    def __init__(
        self,
        encoder: Encoder | None,
        *,
        size_px: int,
        crop: str = "centre",
        measure: Sequence[str] = ("losses", "form_b", "ssim"),
        lpips: Lpips | None = None,
        cfsd_vgg: TorchvisionRelu31 | None = None,
        form_b_blue_first: bool = False,
        form_b_size_px: int = 0,
    ):
        """Takes the networks.

        Args:
          encoder: VGG-19, for the losses; None if no metric needs it.
          size_px: side of the squares.
          crop: how pictures become squares, see `as_square`.
          measure: which of `METRICS`; `"lpips"` needs `lpips`.
          lpips: the network of LPIPS.
          cfsd_vgg: the network of CFSD; None for the relu3_1 of `encoder`.
          form_b_blue_first: see `metrics.as_form_b`.
          form_b_size_px: see `metrics.as_form_b`.
        """
        self.size_px, self.crop, self.measure = size_px, crop, tuple(measure)
        self._lpips = lpips if "lpips" in measure else None
        self._cfsd_vgg = cfsd_vgg
        self._encoder = None if encoder is None else nnx.split(encoder)
        self._changes = None  # of the pictures that form B looks at
        if "form_b" in measure and (form_b_blue_first or form_b_size_px):
            self._changes = (form_b_blue_first, form_b_size_px)
        self.features_of = lru_cache(FEATURES_KEPT)(self._features_of)
        self.pixels_of = lru_cache(4 * FEATURES_KEPT)(self._pixels_of)
        self.thumbnails = Thumbnails(self.pixels_of)

    def features(self, picture: np.ndarray) -> Features:
        """Returns what `compare` needs of uint8 `[size, size, 3]`."""
        pixels = to_float(picture)[None]
        found: Features = {"picture": picture}
        if self._encoder is not None:
            found["plain"] = _encode(*self._encoder, pixels)
            relu3_1 = found["plain"].pop("relu3_1")
        if self._changes is not None:
            found["changed"] = _encode(*self._encoder, pixels, self._changes)
            del found["changed"]["relu3_1"]
        if self._lpips is not None:
            found["lpips"] = self._lpips.features(pixels)
        if "cfsd" in self.measure:
            found["cfsd"] = relu3_1 if self._cfsd_vgg is None else self._cfsd_vgg(pixels)
        return found

    def compare(self, stylized: Features, content: Features, style: Features) -> dict[str, float]:
        """Returns every metric by name, in the order of `COLUMNS`.

        Args:
          stylized: `features` of the stylized picture.
          content: of its content.
          style: of its style.
        """
        three, values = (stylized, content, style), {}
        if "losses" in self.measure:
            values |= _form_a(*(f["plain"] for f in three))
        if "form_b" in self.measure:
            name = "plain" if self._changes is None else "changed"
            values |= _form_b(*(f[name] for f in three))
        if self._lpips is not None:
            values["lpips"] = self._lpips.distance(stylized["lpips"], content["lpips"])
        if "cfsd" in self.measure:
            values["cfsd"] = _cfsd(content["cfsd"], stylized["cfsd"])
        numbers = {name: float(value[0]) for name, value in jax.device_get(values).items()}
        pictures = stylized["picture"], content["picture"]
        for name, form in SSIM_FORMS.items():
            if name in self.measure:
                numbers[name] = ssim.ssim(*pictures, form)
        if "patterns" in self.measure:
            numbers |= {f"pattern_{p}px": x for p, x in patterns(*pictures).items()}
        if "rims" in self.measure:
            numbers["rims"] = rims(*pictures)
        return {name: numbers[name] for name in COLUMNS if name in numbers}

    def _pixels_of(self, path: Path) -> np.ndarray:
        pixels = np.asarray(as_square(read_picture(path), self.size_px, self.crop))
        self.thumbnails.keep(path, pixels)
        return pixels

    def _features_of(self, path: Path) -> Features:
        return self.features(self.pixels_of(path))


_cfsd = jax.jit(cfsd)


# Encoders of one architecture have equal graphs, so this compiles once for all judges.
@partial(jax.jit, static_argnums=(0, 3))
def _encode(
    graph: nnx.GraphDef,
    state: nnx.State,
    pictures: jax.Array,
    changes: tuple[bool, int] | None = None,
) -> Features:
    if changes is not None:
        pictures = metrics.as_form_b(pictures, blue_first=changes[0], size_px=changes[1])
    taps = nnx.merge(graph, state)(pictures)
    return {
        "taps": {tap: taps[tap] for tap in CONTENT_TAPS},
        "statistics": metrics.statistics(taps),
        "relu3_1": taps["relu3_1"],
    }


@jax.jit
def _form_a(stylized: Features, content: Features, style: Features) -> dict[str, jax.Array]:
    content_terms = metrics.content_terms(stylized["taps"], content["taps"])
    style_terms = metrics.style_terms(stylized["statistics"], style["statistics"])
    content_loss, style_loss = sum(content_terms.values()), sum(style_terms.values())
    return {
        "content_loss": content_loss,
        "content_loss_per_layer": content_loss / len(CONTENT_TAPS),
        **{f"content_loss_{tap}": x for tap, x in content_terms.items()},
        "style_loss": style_loss,
        "style_loss_per_layer": style_loss / len(TAPS),
        **{f"style_loss_{tap}": x for tap, x in style_terms.items()},
    }


@jax.jit
def _form_b(stylized: Features, content: Features, style: Features) -> dict[str, jax.Array]:
    content_terms = metrics.raw_content_terms(stylized["taps"], content["taps"])
    style_terms = metrics.style_terms(stylized["statistics"], style["statistics"])
    return {
        "content_loss_form_b": sum(content_terms.values()) / len(CONTENT_TAPS),
        "style_loss_form_b": sum(style_terms.values()) / len(TAPS),
    }
