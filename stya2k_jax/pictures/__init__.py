"""Pictures as files, arrays and PIL images; knows nothing of the network.

Read reading, arrays, resizing, masks, colors, synthetic, names.
"""
