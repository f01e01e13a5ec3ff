"""The models that benchmarks run: what `stya2k_jax.load` opens, and the full width."""

import stya2k_jax
from stya2k_jax.convert import encoder_from_vgg, model_from_release
from stya2k_jax.model import StyA2K
from tests.recipe import recipe_weights

FULL = "full"


def open_model(name: str) -> StyA2K:
    """Opens a model; `"full"` has the paper's width and weights that were never trained.

    Those keep features of one size from layer to layer, as trained ones do, so that neither the
    speed nor the rounding is a special case.
    """
    if name != FULL:
        return stya2k_jax.load(name)
    weights = recipe_weights()
    encoder, architecture = encoder_from_vgg(weights["vgg"])
    return model_from_release(encoder, architecture, weights)
