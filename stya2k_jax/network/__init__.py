"""The paper's network, without files, flags or devices.

Read architecture, sizes, encoder, attention, a2k, decoder, model; then what they stand on:
convolution, picking, pooling, normalization, blocks, layers, compiling. `baselines` holds other
papers' modules.
"""
