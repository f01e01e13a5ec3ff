"""From stylized features to the picture: merge of relu4_1 and relu5_1, then the decoder (Eq. 3)."""

from functools import partial

import jax
from flax import nnx

from stya2k_jax.architecture import TAPS, Architecture
from stya2k_jax.convolution import upsample
from stya2k_jax.layers import Conv3x3


class Decoder(nnx.Module):
    """Mirrors the encoder: F_cs of relu5_1 and relu4_1 merged, relu3_1 joined on the way up."""

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs):
        conv = partial(Conv3x3, dtype=architecture.dtype, rngs=rngs)
        c1, c2, c3, c4, _ = map(architecture.channels, TAPS)
        self.merge = conv(c4, c4)
        self.conv4_1 = conv(c4, c3)
        self.conv3_4, self.conv3_3, self.conv3_2 = conv(2 * c3, c3), conv(c3, c3), conv(c3, c3)
        self.conv3_1 = conv(c3, c2)
        self.conv2_2, self.conv2_1 = conv(c2, c2), conv(c2, c1)
        self.conv1_2, self.conv1_1 = conv(c1, c1), conv(c1, 3)

    def __call__(self, f_cs: dict[str, jax.Array], height: int, width: int) -> jax.Array:
        """Maps F_cs of relu3_1, relu4_1 and relu5_1 to pictures `[b, H, W, 3]`, unclipped.

        Args:
          f_cs: features of the sizes that the encoder gives for an H x W picture.
          height: H.
          width: W.
        """
        relu = jax.nn.relu
        relu4_1 = f_cs["relu4_1"]
        x = self.merge(relu4_1 + upsample(f_cs["relu5_1"], *relu4_1.shape[1:3]))
        x = relu(self.conv4_1(x))
        x = relu(self.conv3_4.after_upsample_beside(x, f_cs["relu3_1"]))
        x = relu(self.conv3_3(x))
        x = relu(self.conv3_2(x))
        x = relu(self.conv3_1(x))
        x = relu(self.conv2_2.after_upsample(x, -(-height // 2), -(-width // 2)))
        x = relu(self.conv2_1(x))
        x = relu(self.conv1_2.after_upsample(x, height, width))
        return self.conv1_1(x)
