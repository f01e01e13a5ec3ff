"""Pictures as files, arrays and PIL images; knows nothing of the network.

Read reading, opening, modes, profiles: from a file to sRGB. Then arrays, resizing, masks, colors,
synthetic, named, names, writing, contact_sheet.
"""
