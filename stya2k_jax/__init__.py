"""StyA2K, all-to-key attention for arbitrary style transfer (ICCV 2023), in JAX and Flax.

model = stya2k_jax.load("checkpoint")
stylized = stya2k_jax.Stylizer(model)("photo.jpg", "painting.jpg")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stya2k_jax.errors import UserError
    from stya2k_jax.inference.style import Style
    from stya2k_jax.inference.stylizer import Stylizer
    from stya2k_jax.network.architecture import Architecture
    from stya2k_jax.network.model import StyA2K
    from stya2k_jax.weights.loading import load

__all__ = ["Architecture", "StyA2K", "Style", "Stylizer", "UserError", "load"]

_HOMES = {
    "Architecture": "network.architecture",
    "StyA2K": "network.model",
    "Style": "inference.style",
    "Stylizer": "inference.stylizer",
    "UserError": "errors",
    "load": "weights.loading",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used.

    A command can then settle what JAX reads from the environment before JAX is imported, and the
    list of commands needs no JAX at all.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
