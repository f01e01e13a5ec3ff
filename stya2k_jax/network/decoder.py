"""From stylized features to the picture: merge of relu4_1 and relu5_1, then the decoder (Eq. 3)."""

from functools import partial

import jax
from flax import nnx

from stya2k_jax.network.architecture import TAPS, Architecture
from stya2k_jax.network.convolution import upsample
from stya2k_jax.network.layers import Conv3x3
from stya2k_jax.network.sizes import Extent


class Decoder(nnx.Module):
    """Mirrors the encoder: F_cs of relu5_1 and relu4_1 merged, relu3_1 joined on the way up."""

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs | None):
        conv = partial(Conv3x3, dtype=architecture.dtype, rngs=rngs)
        c1, c2, c3, c4, _ = map(architecture.channels, TAPS)
        self.merge = conv(c4, c4)
        self.conv4_1 = conv(c4, c3)
        self.conv3_4, self.conv3_3, self.conv3_2 = conv(2 * c3, c3), conv(c3, c3), conv(c3, c3)
        self.conv3_1 = conv(c3, c2)
        self.conv2_2, self.conv2_1 = conv(c2, c2), conv(c2, c1)
        self.conv1_2, self.conv1_1 = conv(c1, c1), conv(c1, 3)

    def __call__(
        self,
        f_cs: dict[str, jax.Array],
        height: int,
        width: int,
        extent: Extent | None = None,
    ) -> jax.Array:
        """Maps F_cs of relu3_1, relu4_1 and relu5_1 to pictures `[b, H, W, 3]`, unclipped.

        Args:
          f_cs: features of the sizes that the encoder gives for an H x W picture.
          height: H.
          width: W.
          extent: the real part of the picture, and so of the features; None: all of it.
        """
        halves = [extent]
        for _ in range(3):
            halves.append(halves[-1] and halves[-1].halved())
        x = self.from_relu4_1(f_cs["relu4_1"], f_cs["relu5_1"], halves[3])
        x = self.from_relu3_1(x, f_cs["relu3_1"], halves[2])
        x = self.from_relu2_1(x, -(-height // 2), -(-width // 2), halves[1])
        return self.from_relu1_1(x, height, width, halves[0])

    def from_relu4_1(
        self, f_cs4: jax.Array, f_cs5: jax.Array, extent: Extent | None = None
    ) -> jax.Array:
        """Merges F_cs of relu4_1 and relu5_1 and convolves, at the size of relu4_1."""
        x = self.merge(f_cs4 + upsample(f_cs5, *f_cs4.shape[1:3]), extent)
        return self.conv4_1(x, extent, relu=True)

    def from_relu3_1(
        self, x: jax.Array, f_cs3: jax.Array, extent: Extent | None = None
    ) -> jax.Array:
        """Joins F_cs of relu3_1 with the doubled x and convolves, at the size of relu3_1."""
        x = jax.nn.relu(self.conv3_4.after_upsample_beside(x, f_cs3, extent))
        for conv in (self.conv3_3, self.conv3_2, self.conv3_1):
            x = conv(x, extent, relu=True)
        return x

    def from_relu2_1(
        self, x: jax.Array, height: int, width: int, extent: Extent | None = None
    ) -> jax.Array:
        """Doubles x to H x W, half of the picture's sides, and convolves."""
        x = self.conv2_2.after_upsample(x, height, width, extent, relu=True)
        return self.conv2_1(x, extent, relu=True)

    def from_relu1_1(
        self, x: jax.Array, height: int, width: int, extent: Extent | None = None
    ) -> jax.Array:
        """Doubles x to H x W, the picture's sides, and paints it `[b, H, W, 3]`."""
        x = self.conv1_2.after_upsample(x, height, width, extent, relu=True)
        return self.conv1_1(x, extent)
