"""StyA2K: content and style pictures in, the stylized picture out (Sec. 3.1)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from stya2k_jax.errors import UserError
from stya2k_jax.network import baselines
from stya2k_jax.network.a2k import A2K, RealBlocks
from stya2k_jax.network.architecture import STYLED_TAPS, Architecture
from stya2k_jax.network.compiling import AT_ONCE, compiled, may_choose
from stya2k_jax.network.convolution import on_cpu
from stya2k_jax.network.decoder import Decoder
from stya2k_jax.network.encoder import Encoder, Taps
from stya2k_jax.network.normalization import ladder, taps_up_to
from stya2k_jax.network.sizes import Extent, extents_of_taps

_Module = TypeVar("_Module", bound=nnx.Module)


class Painter(nnx.Module):
    """All that is learned: an A2K module per styled tap, merge and decoder (Eq. 2, 3).

    A baseline has another system's module in the place of A2K.
    """

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs | None):
        self.a2k = nnx.Dict({tap: _module(architecture, tap, rngs) for tap in STYLED_TAPS})
        self.decoder = Decoder(architecture, rngs=rngs)

    def keys(
        self,
        style: Taps,
        block_sizes: Mapping[str, int] | None = None,
        real: Mapping[str, RealBlocks] | None = None,
    ) -> dict:
        """Returns what the A2K modules need of a style, from its taps.

        Args:
          style: the taps.
          block_sizes: by tap, as `A2K.keys` takes it; None: those of training.
          real: by tap, as `A2K.keys` takes it. Baselines take neither.
        """

        def options(tap):
            chosen = dict(block_size=block_sizes and block_sizes[tap], real=real and real[tap])
            return {name: value for name, value in chosen.items() if value is not None}

        return {
            tap: module.keys(style[tap], *_shallower(module, style, tap), **options(tap))
            for tap, module in self.a2k.items()
        }

    def __call__(
        self,
        content: Taps,
        keys: dict | Sequence[dict],
        height: int,
        width: int,
        *,
        shares: Mapping[str, jax.Array] | None = None,
        extent: Extent | None = None,
    ) -> jax.Array:
        """Paints a picture `[b, H, W, 3]`, unclipped float32, of a content's taps.

        Args:
          content: the taps of an H x W picture.
          keys: `self.keys` of a style of any size, or those of several.
          height: H.
          width: W.
          shares: by tap, how much of each of several styles: `[k, 1, 1]` or `[k, H_tap, W_tap]`;
            they add up to 1, or to a strength beyond it.
          extent: the real part of the picture; None: all of it. Baselines take none.
        """
        extents = {} if extent is None else extents_of_taps(extent)
        f_cs = {
            tap: self.features(
                tap, content, keys, None if shares is None else shares[tap], extent=extents.get(tap)
            )
            for tap in self.a2k
        }
        return self.decoder(f_cs, height, width, extent).astype(jnp.float32)

    def features(
        self,
        tap: str,
        content: Taps,
        keys: dict | Sequence[dict],
        shares: jax.Array | None = None,
        **options: Any,
    ) -> jax.Array:
        """Returns F_cs of one tap, `[b, H, W, c]`.

        Several styles are added by their shares, sum_i w_i O_i + F_c, where F_cs,i = O_i + F_c is
        what a module gives.

        Args:
          tap: name of the tap.
          content: its taps.
          keys: as in `__call__`.
          shares: of this tap.
          **options: `extent` and `moments` of `A2K`.
        """
        module, f_c = self.a2k[tap], content[tap]
        options = {name: value for name, value in options.items() if value is not None}
        shallower = _shallower(module, content, tap)

        def styled(keys):
            return module(f_c, _for_batch(keys[tap], f_c.shape[0]), *shallower, **options)

        if shares is None:
            return styled(keys)
        shares = shares[:, None, :, :, None].astype(f_c.dtype)  # [k, b, H, W, c]
        parts = (share * styled(one) for share, one in zip(shares, keys, strict=True))
        return sum(parts) + (1 - shares.sum(axis=0)) * f_c


def _module(architecture: Architecture, tap: str, rngs: nnx.Rngs | None) -> Any:
    channels = architecture.channels(tap)
    options: dict[str, Any] = dict(dtype=architecture.dtype, rngs=rngs)
    if architecture.variant in baselines.MODULES:
        module = baselines.MODULES[architecture.variant]
        if module.sees_shallower:
            options["channels_seen"] = sum(map(architecture.channels, taps_up_to(tap)))
        return module(channels, **options)
    options |= dict(heads=architecture.heads, variant=architecture.variant)
    return A2K(channels, block_size=architecture.block_size(tap), **options)


def _for_batch(keys: Any, batch: int) -> Any:
    """Repeats the keys of one style for each content of a batch."""

    def repeat(x):  # masks and grids have fewer axes and no batch
        return jnp.broadcast_to(x, (batch, *x.shape[1:])) if x.ndim > 3 and x.shape[0] == 1 else x

    return jax.tree.map(repeat, keys)


def _shallower(module: nnx.Module, taps: Taps, tap: str) -> list[jax.Array]:
    return [ladder(taps, tap)] if getattr(module, "sees_shallower", False) else []


class StyA2K(nnx.Module):
    """The whole system: a frozen encoder and a painter; without `rngs`, shapes only.

    Attributes:
      architecture: sizes and choices.
      encoder: VGG-19, never trained.
      painter: everything that training changes.
    """

    def __init__(self, architecture: Architecture | None = None, *, rngs: nnx.Rngs | None):
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
          UserError: not two batches of pictures of one length.
        """
        check_pictures(content=content, style=style)
        f_c, f_s = encode_both(self.encoder, content, style)
        return self.painter(f_c, self.painter.keys(f_s), *content.shape[1:3])

    def __repr__(self) -> str:
        """Returns what it is, not its arrays, which are thousands of lines."""
        count = sum(x.size for x in jax.tree.leaves(nnx.state(self)))
        return f"StyA2K({self.architecture}, {count:,} numbers)"


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
    """Raises a UserError unless both are `[b, H, W, 3]` with one b and no empty side."""
    for name, x in (("content", content), ("style", style)):
        if x.ndim != 4 or x.shape[3] != 3 or 0 in x.shape:
            raise UserError(
                f"{name} has shape {tuple(x.shape)}; expected [batch, height, width, 3], "
                "RGB in [0, 1]."
            )
    if content.shape[0] != style.shape[0]:
        raise UserError(
            f"{content.shape[0]} contents and {style.shape[0]} styles; give one style for each "
            "content (repeat it to use it for several)."
        )


def new_encoder(architecture: Architecture, seed: int | None = None) -> Encoder:
    """Returns an encoder of this architecture: random from a seed, or shapes only (None)."""
    fields = dict(pooling=architecture.pooling, dtype=architecture.dtype)
    return _drawn(lambda rngs: Encoder(architecture.width, **fields, rngs=rngs), seed)


def new_painter(architecture: Architecture, seed: int | None = None) -> Painter:
    """Returns a painter of this architecture: fresh from a seed, or shapes only (None)."""
    return _drawn(lambda rngs: Painter(architecture, rngs=rngs), seed)


def _drawn(make: Callable[[nnx.Rngs | None], _Module], seed: int | None) -> _Module:
    """Returns what `make` makes with random numbers from a seed, or shapes only (None).

    All of them are drawn by one program, which takes a tenth of the time of one for each shape.
    """
    module = make(None)
    if seed is not None:
        draw = jax.jit(lambda: nnx.state(make(nnx.Rngs(seed))))
        nnx.update(module, compiled(draw.lower(), AT_ONCE if may_choose() else None)())
    return module


def assemble(architecture: Architecture, encoder: Encoder, painter: Painter) -> StyA2K:
    """Puts an encoder and a painter of one architecture together."""
    model = StyA2K(architecture, rngs=None)
    model.encoder, model.painter = encoder, painter
    return model
