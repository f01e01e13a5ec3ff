"""The description of a network, frozen; a checkpoint stores it beside the weights."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from stya2k_jax.errors import UserError

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLED_TAPS = ("relu3_1", "relu4_1", "relu5_1")  # an A2K module sits on each of these
MATCHED_TAPS = ("relu2_1", "relu3_1", "relu4_1", "relu5_1")  # the terms of L_A2K* (Eq. 17)
CONTENT_TAPS = ("relu4_1", "relu5_1")  # of the content term and of the content metrics
VARIANTS = ("full", "all_to_all", "no_da", "no_pa", "no_pa_step1", "single_head")
BASELINES = ("adain", "sanet", "adaattn")  # other systems' modules in the place of A2K
POOLINGS = ("max", "avg")
DTYPES = ("float32", "bfloat16")
LARGEST_BLOCK = 1024  # points a side

_VGG19_CHANNELS = dict(relu1_1=64, relu2_1=128, relu3_1=256, relu4_1=512, relu5_1=512)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes and choices of encoder, attention and decoder.

    Attributes:
      width: multiplies VGG-19's channels (64 ... 512); the decoder mirrors it.
      pooling: `"max"` as in VGG-19, or `"avg"`.
      variant: the model of the paper, one of its ablations (Table 2), or another system's module
        in the place of A2K.
      heads: attention heads; `"single_head"` uses one, whatever this says.
      block_sizes: side p of a block in points of the tap, for relu2_1 (loss only) to relu5_1.
      dtype: of the computation, `"float32"` or `"bfloat16"`, also as `jnp.bfloat16`; parameters are
        always float32.

    Raises:
      UserError: a choice that does not exist, or channels that do not split into the heads.
    """

    width: float = 1.0
    pooling: str = "max"
    variant: str = "full"
    heads: int = 8
    block_sizes: tuple[int, int, int, int] = (16, 8, 8, 4)
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not isinstance(self.dtype, str):  # such as jnp.bfloat16
            object.__setattr__(self, "dtype", jnp.dtype(self.dtype).name)
        for field, choices in (
            ("pooling", POOLINGS),
            ("variant", VARIANTS + BASELINES),
            ("dtype", DTYPES),
        ):
            if getattr(self, field) not in choices:
                raise UserError(
                    f"{field}={getattr(self, field)!r} does not exist; choose one of "
                    f"{', '.join(choices)}."
                )
        object.__setattr__(self, "block_sizes", tuple(self.block_sizes))
        if len(self.block_sizes) != len(MATCHED_TAPS) or not all(map(_is_side, self.block_sizes)):
            raise UserError(
                f"block_sizes={self.block_sizes} must be four whole numbers, sides of 1 to "
                f"{LARGEST_BLOCK} points, for {', '.join(MATCHED_TAPS)}."
            )
        if type(self.heads) is not int:
            raise UserError(f"heads={self.heads!r} must be a whole number.")
        if not isinstance(self.width, int | float):
            raise UserError(f"width={self.width!r} must be a number, such as 0.25.")
        for tap in TAPS:
            if self.width <= 0 or _VGG19_CHANNELS[tap] * self.width % 1:
                raise UserError(
                    f"width={self.width} does not give {tap} a whole number of channels; "
                    "use a multiple of 1/64."
                )
        for tap in STYLED_TAPS:
            if self.heads < 1 or self.channels(tap) % self.heads:
                raise UserError(
                    f"{tap} has {self.channels(tap)} channels at width={self.width}, which do not "
                    f"split into {self.heads} heads; change `heads` or `width`."
                )

    def channels(self, tap: str) -> int:
        """Returns how many channels a tap has."""
        return int(_VGG19_CHANNELS[tap] * self.width)

    def block_size(self, tap: str) -> int:
        """Returns the side p of a tap's blocks, in points of the tap."""
        return self.block_sizes[MATCHED_TAPS.index(tap)]

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON-ready values; `Architecture(**fields)` is the way back."""
        return dataclasses.asdict(self) | {"block_sizes": list(self.block_sizes)}


def _is_side(size: Any) -> bool:
    return type(size) is int and 1 <= size <= LARGEST_BLOCK
