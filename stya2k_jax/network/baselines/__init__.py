"""Other systems' ways to style a tap, on the same encoder, decoder and trainer as StyA2K.

Each module has the two halves of `A2K`: `keys` of a style, and a call on the content. Taps, decoder
and losses are StyA2K's, unlike in the published systems, so that only the modules are compared.
"""

from stya2k_jax.network.baselines.adaattn import AdaAttN
from stya2k_jax.network.baselines.adain import AdaIN
from stya2k_jax.network.baselines.sanet import SANet

MODULES = {"adain": AdaIN, "sanet": SANet, "adaattn": AdaAttN}

__all__ = ["MODULES", "AdaAttN", "AdaIN", "SANet"]
