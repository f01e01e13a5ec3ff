"""A model as programs for other runtimes: StableHLO and ONNX.

Read halves, export_model, to_onnx, manifest, exported_model.
"""

from stya2k_jax.export.export_model import export_model
from stya2k_jax.export.exported_model import ExportedModel

__all__ = ["ExportedModel", "export_model"]
