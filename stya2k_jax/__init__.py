"""StyA2K, all-to-key attention for arbitrary style transfer (ICCV 2023), in JAX and Flax.

model = stya2k_jax.load("checkpoint")
stylized = stya2k_jax.Stylizer(model)("photo.jpg", "painting.jpg")
"""

from stya2k_jax.errors import UserError
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.model import StyA2K
from stya2k_jax.weights.loading import load

__all__ = ["Architecture", "StyA2K", "Stylizer", "UserError", "load"]
