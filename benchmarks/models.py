"""The models that benchmarks run: what `stya2k_jax.load` opens, and the full width."""

import dataclasses

from flax import nnx

import stya2k_jax
from stya2k_jax.conversion.released_model import model_from_release
from stya2k_jax.conversion.vgg import encoder_from_vgg
from stya2k_jax.network.model import StyA2K
from stya2k_jax.network.sizes import Size
from tests.support.reference_weights import recipe_weights

FULL = "full"


def open_model(name: str) -> StyA2K:
    """Opens a model; `"full"` is `open_full`."""
    return open_full() if name == FULL else stya2k_jax.load(name)


def compile_well(stylizer: stya2k_jax.Stylizer, *sizes: Size) -> None:
    """Compiles for contents and styles of these sizes what is otherwise compiled with use."""
    for program in stylizer.prepare(sizes, sizes[:1], beforehand=True):
        program.result()


def open_full(dtype: str = "float32") -> StyA2K:
    """Returns a model of the paper's width with weights that were never trained.

    Features keep their magnitude from layer to layer, as with trained weights, so that neither
    speed nor rounding is a special case.
    """
    weights = recipe_weights()
    encoder, architecture = encoder_from_vgg(weights["vgg"])
    model = model_from_release(encoder, architecture, weights)
    same_numbers = StyA2K(dataclasses.replace(architecture, dtype=dtype), rngs=nnx.Rngs(0))
    nnx.update(same_numbers, nnx.state(model))
    return same_numbers
