"""PyTorch weights to ours and back.

Read pytorch_files, pytorch_layout, vgg, released_model, normalized_vgg.
"""
