"""The errors of everything that a user can put right."""

import importlib
from types import ModuleType

_PACKAGES = {  # module: what people call it
    "av": "PyAV",
    "cv2": "OpenCV",
    "gradio": "Gradio",
    "jax2onnx": "jax2onnx",
    "matplotlib": "Matplotlib",
    "skimage": "scikit-image",
    "torch": "PyTorch",
}


class UserError(ValueError):
    """Something that the caller gave is wrong; the message says what, where and what to do."""


class PictureError(UserError):
    """A picture that cannot be read."""


class WeightsError(UserError):
    """Weights that are missing, damaged or made for another network."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Imports a module of an optional package.

    Args:
      module: its name, perhaps with a submodule, as `"skimage.metrics"`.
      extra: the extra of this package that installs it.
      purpose: what needs it, as the message begins: `"SSIM"`.

    Raises:
      UserError: the package is missing or cannot be imported; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        # A package that is there may lack another one, or a library of the system.
        reason = "" if error.name in (module, package) else f" ({error})"
        raise UserError(
            f"{purpose} needs {_PACKAGES.get(package, package)}{reason}; "
            f"install it with: pip install 'stya2k-jax[{extra}]'"
        ) from error
