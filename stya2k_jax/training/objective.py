"""The objective: the weighted losses of a batch as one function of the parameters."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from stya2k_jax.errors import UserError
from stya2k_jax.network.architecture import MATCHED_TAPS, Architecture
from stya2k_jax.network.encoder import Encoder
from stya2k_jax.network.model import Painter, encode_both
from stya2k_jax.training import losses, patterns


class LossWeights(NamedTuple):
    """The factors of Eq. 18 and of the terms beside it, the norm of Eq. 16-17, and their taps."""

    lambda_global: float = 10.0
    lambda_a2k: float = 1.25
    lambda_content: float = 0.0
    loss_norm: str = "mse"
    global_taps: tuple[str, ...] = losses.GLOBAL_TAPS
    a2k_taps: tuple[str, ...] = MATCHED_TAPS
    lambda_pattern: float = 0.0
    lambda_pattern_contrast: float = 0.0
    lambda_rims: float = 0.0
    loss_scales: tuple[float, ...] = (1.0,)


def make_loss(
    painter: Painter,
    encoder: Encoder,
    loss_encoder: nnx.Module | None,
    architecture: Architecture,
    weights: LossWeights,
):
    """Builds `loss_fn(params, frozen, batch) -> (loss, metrics)` (Eq. 18).

    Only the modules' structure is used; their numbers are arguments of `loss_fn`.

    Args:
      painter: what is learned.
      encoder: gives the features that the painter works on.
      loss_encoder: gives the features that the loss compares. None means `encoder`, which then runs
        once for both.
      architecture: gives the block sides.
      weights: of the terms. Those of features are means over `loss_scales`: the loss encoder sees
        all pictures reduced to each of these shares of their sides.

    Returns:
      The loss function. `frozen` is `freeze(encoder, loss_encoder)`; `batch` holds `content` and
      `style`, uint8 `[b, H, W, 3]` or floats in [0, 1]. The metrics are the weighted terms.

    Raises:
      UserError: no scale, or one that does not reduce.
    """
    if not weights.loss_scales or not all(0 < scale <= 1 for scale in weights.loss_scales):
        raise UserError(f"loss_scales={weights.loss_scales}: use one or more, above 0 and up to 1.")
    painter_graph = nnx.graphdef(painter)
    encoder_graph = nnx.graphdef(encoder)
    loss_graph = None if loss_encoder is None else nnx.graphdef(loss_encoder)

    def loss_fn(params: nnx.State, frozen: dict, batch: dict[str, jax.Array]):
        content, style = as_float(batch["content"]), as_float(batch["style"])
        encode = nnx.merge(encoder_graph, frozen["encoder"])
        paint = nnx.merge(painter_graph, params)
        taps_c, taps_s = encode_both(encode, content, style)
        stylized = paint(taps_c, paint.keys(taps_s), *content.shape[1:3])
        if loss_graph is not None:
            encode = nnx.merge(loss_graph, frozen["loss_encoder"])

        def terms_at(scale: float) -> dict[str, jax.Array]:
            if scale == 1 and loss_graph is None:
                seen = taps_c, taps_s
            else:
                seen = encode_both(encode, _reduced(content, scale), _reduced(style, scale))
            ours = encode(_reduced(stylized, scale))
            return loss_terms(ours, *seen, architecture.block_sizes, weights)

        scales = weights.loss_scales
        terms = jax.tree.map(lambda *x: sum(x) / len(x), *map(terms_at, scales))
        terms |= pixel_terms(stylized, content, weights)
        loss = sum(terms.values())
        return loss, {"loss": loss, **terms}

    return loss_fn


def loss_terms(
    stylized: losses.Taps,
    content: losses.Taps,
    style: losses.Taps,
    block_sizes: tuple[int, ...],
    weights: LossWeights,
) -> dict[str, jax.Array]:
    """Returns the weighted terms of the loss by name; a term of weight 0 is not computed.

    Raises:
      UserError: all weights are 0.
    """
    if not (weights.lambda_global or weights.lambda_a2k or weights.lambda_content):
        raise UserError(
            "lambda_global, lambda_a2k and lambda_content are all 0: there is nothing to train; "
            "set one of them."
        )
    terms = {"loss_global": jnp.zeros(()), "loss_a2k": jnp.zeros(())}
    if weights.lambda_global:
        value = losses.global_style_loss(stylized, style, weights.loss_norm, weights.global_taps)
        terms["loss_global"] = weights.lambda_global * value
    if weights.lambda_a2k:
        targets = losses.a2k_targets(content, style, block_sizes, weights.a2k_taps)
        value = losses.a2k_loss(stylized, targets, weights.loss_norm)
        terms["loss_a2k"] = weights.lambda_a2k * value
    if weights.lambda_content:
        terms["loss_content"] = weights.lambda_content * losses.content_loss(stylized, content)
    return terms


def pixel_terms(
    stylized: jax.Array, content: jax.Array, weights: LossWeights
) -> dict[str, jax.Array]:
    """Returns the weighted terms that look at pixels, by name; none if all are 0."""
    stylized, terms = stylized.astype(jnp.float32), {}
    if weights.lambda_pattern or weights.lambda_pattern_contrast:
        found = patterns.pattern_terms(stylized, content)
        terms["loss_pattern"] = weights.lambda_pattern * found.energy
        terms["loss_pattern_contrast"] = weights.lambda_pattern_contrast * found.contrast
    if weights.lambda_rims:
        terms["loss_rims"] = weights.lambda_rims * patterns.rim_term(stylized, content)
    return terms


def freeze(encoder: Encoder, loss_encoder: nnx.Module | None) -> dict[str, nnx.State]:
    """Returns the numbers of the frozen networks, as the loss takes them."""
    frozen = {"encoder": nnx.state(encoder)}
    if loss_encoder is not None:
        frozen["loss_encoder"] = nnx.state(loss_encoder)
    return frozen


def _reduced(pictures: jax.Array, scale: float) -> jax.Array:
    """Returns pictures `[b, H, W, 3]` with both sides times the scale, smoothed before."""
    if scale == 1:
        return pictures
    height, width = (max(1, round(side * scale)) for side in pictures.shape[1:3])
    shape = (len(pictures), height, width, pictures.shape[3])
    return jax.image.resize(pictures, shape, "linear", antialias=True)


def as_float(pictures: jax.Array) -> jax.Array:
    """Returns uint8 pictures as float32 in [0, 1], and floats as they are."""
    return pictures.astype(jnp.float32) / 255 if pictures.dtype == jnp.uint8 else pictures
