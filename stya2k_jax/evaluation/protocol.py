"""The protocol of an evaluation: settings that later runs must match, and sentences."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.judge import METRICS, Judge
from stya2k_jax.evaluation.pairs import Sources
from stya2k_jax.files.digests import digest_of_file
from stya2k_jax.metrics.cfsd import TorchvisionRelu31
from stya2k_jax.metrics.inception import SMALLEST_PX, Inception, load_inception
from stya2k_jax.metrics.lpips import Lpips, load_lpips
from stya2k_jax.metrics.patterns import SMALLEST_PX as SMALLEST_PATTERN_PX
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.weights.model_files import ENCODER_FILE, load_encoder

_CROPS = {
    "centre": "cut to the largest square around its middle and resized (bicubic) if needed",
    "squash": "resized (bicubic) without keeping its aspect",
}


def needs_judge(measure: Sequence[str], cfsd_vgg: Path | None) -> bool:
    """Returns whether any of these of `METRICS` looks at the features of the judge."""
    return bool({"losses", "form_b"} & set(measure)) or ("cfsd" in measure and cfsd_vgg is None)


class Networks(NamedTuple):
    """The networks of a protocol, opened."""

    judge: Judge
    architecture: Architecture | None  # of the judge's encoder
    lpips: Lpips | None
    inception: Inception | None

    def has_art_fid(self) -> bool:
        """Returns whether there is LPIPS on AlexNet, of which ArtFID is made beside FID."""
        has_both = self.inception is not None and self.lpips is not None
        return has_both and self.lpips.backbone == "alexnet"


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Everything that decides the numbers, except the pictures.

    Attributes:
      judge: directory of the encoder behind the losses; None if `needs_judge` is False.
      lpips: file of LPIPS's weights, or None.
      cfsd_vgg: file of torchvision's VGG-19 for CFSD, or None for the judge's own relu3_1.
      size_px: side of the squares that are compared.
      crop: how pictures become squares, see `as_square`.
      measure: which of `METRICS`.
      form_b_blue_first: whether form B looks at BGR.
      form_b_size_px: to what form B resizes; 0: not.
      inception: file of the art Inception-v3, or None: no FID.
    """

    judge: Path | None
    lpips: Path | None = None
    cfsd_vgg: Path | None = None
    size_px: int = 512
    crop: str = "centre"
    measure: tuple[str, ...] = METRICS
    form_b_blue_first: bool = False
    form_b_size_px: int = 0
    inception: Path | None = None

    def __post_init__(self):
        if self.crop not in _CROPS:
            raise UserError(f"there is no crop {self.crop!r}; choose of {', '.join(_CROPS)}.")
        unknown = [name for name in self.measure if name not in METRICS]
        if unknown or not self.measure:
            raise UserError(
                f"there is no metric {', '.join(unknown) or 'chosen'}; choose of "
                f"{', '.join(METRICS)}."
            )
        if self.judge is None and needs_judge(self.measure, self.cfsd_vgg):
            raise UserError("the losses need the directory of an encoder: give --judge.")
        of_metrics = {
            ("lpips", "--lpips"): self.lpips,
            ("cfsd", "--cfsd_vgg"): self.cfsd_vgg,
            ("form_b", "--form_b_bgr"): self.form_b_blue_first,
            ("form_b", "--form_b_size"): self.form_b_size_px,
        }
        for (name, flag), given in of_metrics.items():
            if given and name not in self.measure:
                raise UserError(f"{flag} has no effect: {name} is not among the --metrics.")
        if "lpips" in self.measure and self.lpips is None:
            raise UserError(
                "LPIPS needs its weights: give --lpips=FILE, made by "
                "stya2k convert-lpips, or leave lpips out of --metrics."
            )
        if "patterns" in self.measure and self.size_px < SMALLEST_PATTERN_PX:
            raise UserError(
                f"patterns need pictures of {SMALLEST_PATTERN_PX} pixels; raise --size, or leave "
                "patterns out of --metrics."
            )
        if self.inception is not None and self.size_px < SMALLEST_PX:
            raise UserError(f"FID needs pictures of {SMALLEST_PX} pixels; raise --size.")

    def open(self) -> Networks:
        """Loads the networks.

        Raises:
          WeightsError: files that are missing, damaged or another network's.
        """
        encoder, architecture = load_encoder(self.judge) if self._has_judge() else (None, None)
        lpips = None if self.lpips is None else load_lpips(self.lpips)
        judge = Judge(
            encoder,
            size_px=self.size_px,
            crop=self.crop,
            measure=self.measure,
            lpips=lpips,
            cfsd_vgg=None if self.cfsd_vgg is None else TorchvisionRelu31(self.cfsd_vgg),
            form_b_blue_first=self.form_b_blue_first,
            form_b_size_px=self.form_b_size_px,
        )
        inception = None if self.inception is None else load_inception(self.inception)
        return Networks(judge, architecture, lpips, inception)

    def settings(self) -> dict[str, Any]:
        """Returns what must not change within an evaluation, JSON-ready; files by digest.

        Raises:
          WeightsError: files that are missing.
        """
        settings = dataclasses.asdict(self) | {"measure": list(self.measure)}
        files = {
            "judge": (self.judge / ENCODER_FILE if self._has_judge() else None, load_encoder),
            "lpips": (self.lpips, load_lpips),
            "cfsd_vgg": (self.cfsd_vgg, TorchvisionRelu31),
            "inception": (self.inception, load_inception),
        }
        for name, (path, load) in files.items():
            if path is not None and not path.is_file():
                load(getattr(self, name))  # says what is missing
            settings[name] = None if path is None else digest_of_file(path)
        if "form_b" not in self.measure:
            del settings["form_b_blue_first"], settings["form_b_size_px"]
        return settings

    def sentences(
        self, sources: Sources, networks: Networks, settings: dict[str, Any]
    ) -> list[str]:
        """Returns the protocol in words.

        Args:
          sources: contents and styles.
          networks: of `open`.
          settings: of `settings`.
        """
        said = [
            f"{len(sources.contents)} contents and {len(sources.styles)} styles, every pair.",
            f"Every picture is converted to RGB and {_CROPS[self.crop]}: {self.size_px} x "
            f"{self.size_px}. The stylized picture is clipped to [0, 1] and rounded to 8 bits "
            "before it is measured.",
        ]
        judge = networks.architecture
        if judge is not None:
            said.append(
                f"Encoder of the losses: VGG-19 of width {judge.width:g} with {judge.pooling} "
                f"pooling, {self.judge / ENCODER_FILE} (sha256 {settings['judge']}…), RGB in "
                "[0, 1], reflection padding, taps after ReLU; variances are unbiased, plus 1e-5."
            )
        if "losses" in self.measure:
            said.append(
                "Content and style loss: form A. Content: mean square difference of normalized "
                "features, summed over relu4_1 and relu5_1. Style: mean square difference of "
                "channel means plus that of deviations, summed over relu1_1 to relu5_1. "
                "'Per layer' is the same divided by 2 and 5."
            )
        if "form_b" in self.measure:
            order = "BGR" if self.form_b_blue_first else "RGB"
            size = self.form_b_size_px or self.size_px
            said.append(
                "Form B: content compares features as they are, and both are means over the "
                f"layers; input {order} at {size} x {size}."
            )
        if "lpips" in self.measure:
            said.append(
                f"LPIPS 0.1 on {networks.lpips.backbone} between stylized picture and "
                f"content, {self.lpips.name} (sha256 {settings['lpips']}…), spatial mean."
            )
        if "ssim" in self.measure:
            said.append("SSIM between stylized picture and content: 8-bit grey, uniform window 7.")
        if "ssim_gaussian_rgb" in self.measure:
            said.append(
                "SSIM, Gaussian RGB: Gaussian window of deviation 1.5, mean over the colors."
            )
        if "patterns" in self.measure:
            said.append(
                "Pattern of 2 and 4 pixels: the power of a weave of that period over its "
                "neighboring frequencies, in the quarter of 64 x 64 windows in which the content "
                "varies least; means are geometric. About 1.7 and 2.3 in photographs."
            )
        if "rims" in self.measure:
            said.append(
                "Rims: the share of pixels within 12 pixels of a strong edge of the content whose "
                "color lies outside of the range of both sides, 12 to 24 pixels away, by 0.1."
            )
        if "cfsd" in self.measure:
            network = f"torchvision's VGG-19, {self.cfsd_vgg} (sha256 {settings['cfsd_vgg']}…)"
            if self.cfsd_vgg is None:
                network = (
                    "this encoder, not torchvision's VGG-19 as published: compare it within this "
                    "evaluation only"
                )
            said.append(f"CFSD at relu3_1, summed over rows, on {network}.")
        if self.inception is not None:
            said.append(
                "FID between styles, each counted once a pair, and stylized pictures, on 2048 "
                f"features of ArtFID's Inception-v3, {self.inception.name} (sha256 "
                f"{settings['inception']}…), input in [0, 1] and not resized to 299 x 299. It "
                "grows as pictures get fewer: compare it at equal numbers and equal pairs only."
            )
        if networks.has_art_fid():
            said.append(
                "ArtFID = (1 + LPIPS)(1 + FID), with plain FID as is usual below 5000 pictures. A "
                "copy of the content or of the style does well in one factor: never rank by it "
                "alone."
            )
        said.append(
            "Means are over pairs; their intervals are 95 % percentile bootstrap over pairs "
            "(10,000 resamples), which treats pairs as independent."
        )
        return said

    def _has_judge(self) -> bool:
        return needs_judge(self.measure, self.cfsd_vgg)
