"""The judge of an evaluation: turns pictures into features and compares them by every metric."""

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
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.pictures.resizing import as_square

METRICS = (*("losses", "form_b", "lpips", "ssim", "patterns", "rims", "cfsd", "ssim_gaussian_rgb"),)
COLUMNS = (  # of the numbers, in the order of tables
    *("content_loss", "style_loss", "lpips", "ssim", "cfsd"),
    *(f"pattern_{period}px" for period in PERIODS),
    "rims",
    *("content_loss_per_layer", "style_loss_per_layer"),
    *("content_loss_form_b", "style_loss_form_b", "ssim_gaussian_rgb"),
    *(f"content_loss_{tap}" for tap in CONTENT_TAPS),
    *(f"style_loss_{tap}" for tap in TAPS),
)
SSIM_FORMS = {"ssim": "grey", "ssim_gaussian_rgb": "gaussian_rgb"}
FEATURES_KEPT = 16  # of pictures; about 40 MB each at 512 x 512

Features = dict[str, Any]  # of one picture or a batch: arrays with a leading batch axis


class Judge:
    """Compares stylized pictures with their contents and styles.

    All pictures are made squares of one size, so that everything is compiled once.
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
          encoder: VGG-19, for the losses; None where nothing that is measured looks at it.
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

    def features(self, pictures: np.ndarray) -> Features:
        """Returns what `compare` needs of uint8 pictures `[b, size, size, 3]`."""
        pixels = np.asarray(pictures, np.float32) / 255
        found = {"pixels": pictures}
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

    def compare(self, stylized: Features, content: Features, style: Features) -> dict:
        """Returns every metric of a batch, `{name: [b]}` in float64.

        Args:
          stylized: `features` of the stylized pictures.
          content: of their contents.
          style: of their styles.
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
        values = jax.device_get(values)
        for name, form in SSIM_FORMS.items():
            if name in self.measure:
                both = zip(stylized["pixels"], content["pixels"], strict=True)
                values[name] = np.array([ssim.ssim(x, y, form) for x, y in both])
        pairs = list(zip(stylized["pixels"], content["pixels"], strict=True))
        if "patterns" in self.measure:
            found = [patterns(*pair) for pair in pairs]
            values |= {f"pattern_{p}px": np.array([x[p] for x in found]) for p in PERIODS}
        if "rims" in self.measure:
            values["rims"] = np.array([rims(*pair) for pair in pairs])
        return {name: np.asarray(values[name], np.float64) for name in COLUMNS if name in values}

    def _pixels_of(self, path: Path) -> np.ndarray:
        """Reads a picture as the square that is compared, uint8 `[size, size, 3]`."""
        return np.asarray(as_square(read_picture(path), self.size_px, self.crop))

    def _features_of(self, path: Path) -> Features:
        """Returns the features of a picture file, a batch of one; the latest are kept."""
        return self.features(self.pixels_of(path)[None])


def stack(features: Sequence[Features]) -> Features:
    """Joins batches to one."""
    return jax.tree.map(lambda *x: np.concatenate([np.asarray(a) for a in x]), *features)


_cfsd = jax.jit(cfsd)


# Compiled once for all judges: an encoder's graph is equal to that of its equals.
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
