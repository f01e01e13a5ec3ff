"""Other systems' ways to style a tap, on the same encoder, decoder and trainer as StyA2K.

Read adain, sanet, adaattn. Each has the two halves of `A2K`: `keys` of a style, and a call on the
content. Taps, decoder and losses are StyA2K's, unlike those of the published systems, so that only
the module is compared.
"""

from typing import Any

from stya2k_jax.network.baselines.adaattn import AdaAttN
from stya2k_jax.network.baselines.adain import AdaIN
from stya2k_jax.network.baselines.sanet import SANet

MODULES: dict[str, Any] = {"adain": AdaIN, "sanet": SANet, "adaattn": AdaAttN}

__all__ = ["MODULES", "AdaAttN", "AdaIN", "SANet"]
