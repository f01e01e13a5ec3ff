"""A model as programs for other runtimes: StableHLO and ONNX.

Read halves, export_model, to_onnx, manifest, exported_model.
"""
