"""StyA2K: content and style pictures in, the stylized picture out (Sec. 3.1)."""

import jax
import jax.numpy as jnp
from flax import nnx

from stya2k_jax import baselines
from stya2k_jax.a2k import A2K
from stya2k_jax.architecture import STYLED_TAPS, Architecture
from stya2k_jax.convolution import on_cpu
from stya2k_jax.decoder import Decoder
from stya2k_jax.encoder import Encoder
from stya2k_jax.ladder import ladder, taps_up_to

Taps = dict[str, jax.Array]


class Painter(nnx.Module):
    """All that is learned: an A2K module per styled tap, merge and decoder (Eq. 2, 3).

    A baseline has another system's module in the place of A2K.
    """

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs):
        self.a2k = nnx.Dict({tap: _module(architecture, tap, rngs) for tap in STYLED_TAPS})
        self.decoder = Decoder(architecture, rngs=rngs)

    def keys(self, style: Taps) -> dict:
        """Returns what the A2K modules need of a style, from its taps."""
        return {
            tap: module.keys(style[tap], *_shallower(module, style, tap))
            for tap, module in self.a2k.items()
        }

    def __call__(self, content: Taps, keys: dict, height: int, width: int) -> jax.Array:
        """Paints a picture `[b, H, W, 3]`, unclipped float32, of a content's taps.

        Args:
          content: the taps of an H x W picture.
          keys: `self.keys` of a style of any size.
          height: H.
          width: W.
        """
        f_cs = {
            tap: module(content[tap], keys[tap], *_shallower(module, content, tap))
            for tap, module in self.a2k.items()
        }
        return self.decoder(f_cs, height, width).astype(jnp.float32)


def _module(architecture: Architecture, tap: str, rngs: nnx.Rngs) -> nnx.Module:
    channels, options = architecture.channels(tap), dict(dtype=architecture.dtype, rngs=rngs)
    if architecture.variant in baselines.MODULES:
        module = baselines.MODULES[architecture.variant]
        if module.sees_shallower:
            options["channels_seen"] = sum(map(architecture.channels, taps_up_to(tap)))
        return module(channels, **options)
    options |= dict(heads=architecture.heads, variant=architecture.variant)
    return A2K(channels, block_size=architecture.block_size(tap), **options)


def _shallower(module: nnx.Module, taps: Taps, tap: str) -> list[jax.Array]:
    return [ladder(taps, tap)] if getattr(module, "sees_shallower", False) else []


class StyA2K(nnx.Module):
    """The whole system: a frozen encoder and a painter.

    Attributes:
      architecture: sizes and choices.
      encoder: VGG-19, never trained.
      painter: everything that training changes.
    """

    def __init__(self, architecture: Architecture | None = None, *, rngs: nnx.Rngs):
        self.architecture = architecture = architecture or Architecture()
        self.encoder = Encoder(
            architecture.width, pooling=architecture.pooling, dtype=architecture.dtype, rngs=rngs
        )
        self.painter = Painter(architecture, rngs=rngs)

    def __call__(self, content: jax.Array, style: jax.Array) -> jax.Array:
        """Stylizes pictures.

        Args:
          content: `[b, H, W, 3]`, RGB in [0, 1].
          style: `[b, H', W', 3]`, RGB in [0, 1]; its size is its own.

        Returns:
          `[b, H, W, 3]` float32, not clipped.

        Raises:
          ValueError: not two batches of pictures of one length.
        """
        check_pictures(content=content, style=style)
        f_c, f_s = encode_both(self.encoder, content, style)
        return self.painter(f_c, self.painter.keys(f_s), *content.shape[1:3])


def encode_both(encoder: Encoder, content: jax.Array, style: jax.Array) -> tuple[Taps, Taps]:
    """Returns the taps of contents and styles.

    Pictures of one size are encoded as one batch, but not on the CPU, where joining and parting
    them costs more than it saves.
    """
    if content.shape != style.shape or on_cpu():
        return encoder(content), encoder(style)
    taps = encoder(jnp.concatenate([content, style]))
    b = content.shape[0]
    return {t: x[:b] for t, x in taps.items()}, {t: x[b:] for t, x in taps.items()}


def check_pictures(content: jax.Array, style: jax.Array) -> None:
    """Raises a ValueError unless both are `[b, H, W, 3]` with one b and no empty side."""
    for name, x in (("content", content), ("style", style)):
        if x.ndim != 4 or x.shape[3] != 3 or 0 in x.shape:
            raise ValueError(
                f"{name} has shape {tuple(x.shape)}; expected [batch, height, width, 3], "
                "RGB in [0, 1]."
            )
    if content.shape[0] != style.shape[0]:
        raise ValueError(
            f"{content.shape[0]} contents and {style.shape[0]} styles; give one style for each "
            "content (repeat it to use it for several)."
        )
