"""A narrow model with the weights of the recipe, as our modules and as the references' dicts."""

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from stya2k_jax.conversion.released_model import model_from_release
from stya2k_jax.conversion.vgg import encoder_from_vgg
from stya2k_jax.network.a2k import to_head_blocks
from stya2k_jax.network.model import StyA2K, assemble, encode_both, new_encoder, new_painter
from stya2k_jax.network.normalization import normalize
from stya2k_jax.weights.parameters import named_arrays, parameter_shapes, with_arrays
from tests.support.reference_weights import Weights, recipe_weights

WIDTH = 1 / 8  # the narrowest at which all channels split into 8 heads


@cache
def small_model(seed: int = 7) -> tuple[StyA2K, Weights]:
    """Returns a model and its weights by PyTorch names."""
    weights = recipe_weights(seed, width=WIDTH)
    encoder, architecture = encoder_from_vgg(weights["vgg"])
    return model_from_release(encoder, architecture, weights), weights


def changed(model: StyA2K, **changes) -> StyA2K:
    """Returns the model with another architecture, keeping the parameters they share."""
    architecture = dataclasses.replace(model.architecture, **changes)
    encoder, painter = new_encoder(architecture), new_painter(architecture)
    arrays = named_arrays(model.painter)
    for name in [n for n in parameter_shapes(painter) if "all_to_all" in n]:
        arrays[name] = arrays[name.replace("all_to_all", "distributed")]
    arrays = {name: arrays[name] for name in parameter_shapes(painter)}
    return assemble(
        architecture,
        with_arrays(encoder, named_arrays(model.encoder), "the encoder"),
        with_arrays(painter, arrays, "the painter"),
    )


def pictures(seed: int, *sizes: tuple[int, int], batch: int = 1) -> list[np.ndarray]:
    """Draws noise pictures `[b, H, W, 3]` in [0, 1], one for each size."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(size=(batch, *size, 3)).astype(np.float32) for size in sizes]


class Stages(NamedTuple):
    """What a model computes on the way from pictures to the picture."""

    taps_c: dict[str, jax.Array]
    taps_s: dict[str, jax.Array]
    f_cs: dict[str, jax.Array]
    p_idx: dict[str, jax.Array]  # [b, n, h], of the taps that match blocks
    stylized: jax.Array


@cache  # by model: tests of one size share a program
def staged(model: StyA2K) -> Callable[[np.ndarray, np.ndarray], Stages]:
    """Returns a compiled forward pass that keeps its stages."""
    graph, state = nnx.split(model)

    @jax.jit
    def forward(state, content, style):
        model = nnx.merge(graph, state)
        taps_c, taps_s = encode_both(model.encoder, content, style)
        modules = model.painter.a2k.items()
        return Stages(
            taps_c,
            taps_s,
            {tap: a2k(taps_c[tap], a2k.keys(taps_s[tap])) for tap, a2k in modules},
            {
                tap: chosen_blocks(a2k, taps_c[tap], taps_s[tap])
                for tap, a2k in modules
                if "progressive" in a2k.paths
            },
            model(content, style),
        )

    return lambda content, style: forward(state, content, style)


@cache
def encode() -> Callable[[np.ndarray], dict[str, jax.Array]]:
    """Returns the small model's encoder, compiled."""
    graph, state = nnx.split(small_model()[0].encoder)
    run = jax.jit(lambda state, image: nnx.merge(graph, state)(image))
    return lambda image: run(state, image)


def chosen_blocks(module, f_c: jax.Array, f_s: jax.Array) -> jax.Array:
    """Returns p_idx `[b, n, h]` of an A2K module."""
    path = module.paths["progressive"]
    q = to_head_blocks(path.query(normalize(f_c)), path.block_size, path.heads)
    return path.match(q, path.keys(f_s), *f_c.shape[1:3])


def assert_best_but_for_rounding(p_idx: np.ndarray, scores: np.ndarray | None) -> None:
    """Checks `[n, h]` choices against `[h, n, m]` scores; a tie within rounding may go either way.

    A wrong rule of choice misses by far more than the 1e-5 of the largest score allowed here.
    """
    if scores is None:
        return
    chosen = np.take_along_axis(scores, p_idx.T[:, :, None], axis=2)[:, :, 0]
    assert (chosen >= scores.max(axis=2) - 1e-5 * np.abs(scores).max()).all()
