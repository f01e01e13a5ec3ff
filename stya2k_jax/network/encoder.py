"""VGG-19 up to relu5_1: an image becomes the features at five taps. It is never trained here."""

from collections.abc import Iterator
from functools import partial

import jax
from flax import nnx

from stya2k_jax.network.architecture import TAPS
from stya2k_jax.network.layers import Conv1x1, Conv3x3
from stya2k_jax.network.pooling import avg_pool, max_pool
from stya2k_jax.network.sizes import Extent

Taps = dict[str, jax.Array]  # features `[b, H, W, c]` by the name of the tap

# Stage by stage, with a pooling between stages; a tap follows the first convolution of its stage.
STAGES = (
    ("conv1_1", "conv1_2"),
    ("conv2_1", "conv2_2"),
    ("conv3_1", "conv3_2", "conv3_3", "conv3_4"),
    ("conv4_1", "conv4_2", "conv4_3", "conv4_4"),
    ("conv5_1",),
)
CONVOLUTIONS = tuple(name for stage in STAGES for name in stage)
_TAP_AFTER = {stage[0]: tap for stage, tap in zip(STAGES, TAPS, strict=True)}


class Encoder(nnx.Module):
    """VGG-19 with reflection padding and ceil-mode pooling (Sec. 3.1, Eq. 1).

    The first convolution, `color`, is 1x1 on the three colors: it holds the input's mean, scale
    and channel order, so that pictures go in as RGB in [0, 1].
    """

    def __init__(
        self,
        width: float = 1.0,
        *,
        pooling: str = "max",
        dtype: str = "float32",
        rngs: nnx.Rngs | None,
    ):
        self.pool = {"max": max_pool, "avg": avg_pool}[pooling]
        init = jax.nn.initializers.he_normal()  # keeps a random network's features of one size
        self.color = Conv1x1(3, 3, dtype=dtype, kernel_init=init, rngs=rngs)
        conv = partial(Conv3x3, dtype=dtype, kernel_init=init, rngs=rngs)
        sizes = convolution_channels(width)
        self.convs = nnx.Dict({name: conv(*sizes[name]) for name in CONVOLUTIONS})

    def __call__(
        self, image: jax.Array, until: str = TAPS[-1], extent: Extent | None = None
    ) -> Taps:
        """Maps images `[b, H, W, 3]` in [0, 1] to the taps relu1_1 ... `until`.

        Sizes are H x W, then half of the one before, rounded up. Of the images, only `extent` may
        be real, and then only its half, and so on, of the taps.
        """
        if until not in TAPS:
            raise ValueError(f"encoder: no tap {until!r}; choose one of {', '.join(TAPS)}.")
        taps = {}
        for name, x in self.activations(image, extent):
            if name in _TAP_AFTER:
                taps[_TAP_AFTER[name]] = x
                if _TAP_AFTER[name] == until:
                    break
        return taps

    def activations(
        self, image: jax.Array, extent: Extent | None = None
    ) -> Iterator[tuple[str, jax.Array]]:
        """Yields every 3x3 convolution's name and its features after ReLU, in order."""
        x = image
        for i in range(len(STAGES)):
            if i > 0:
                x, extent = self.pool(x, extent), extent and extent.halved()
            for name, features in self.stage(i, x, extent):
                yield name, features
            x = features

    def stage(
        self, index: int, x: jax.Array, extent: Extent | None = None
    ) -> Iterator[tuple[str, jax.Array]]:
        """Yields the names of one stage's convolutions and their features `[b, H, W, c]`.

        Args:
          index: of the stage.
          x: what goes in, `[b, H, W, c]`: the picture, or what was pooled before.
          extent: the real part of x.
        """
        for name in STAGES[index]:
            conv = self.convs[name]
            if name == CONVOLUTIONS[0]:
                x = conv.after_conv1x1(self.color, x, extent, relu=True)
            else:
                x = conv(x, extent, relu=True)
            yield name, x


def convolution_channels(width: float = 1.0) -> dict[str, tuple[int, int]]:
    """Returns the input and output channels of each 3x3 convolution."""
    sizes, c = {}, 3
    for stage, channels in zip(STAGES, (64, 128, 256, 512, 512), strict=True):
        for name in stage:
            sizes[name] = (c, int(channels * width))
            c = sizes[name][1]
    return sizes
