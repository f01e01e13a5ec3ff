"""Painting: one stylizer for pictures of any size.

Read stylizer, style, stylize_many, whole_or_tiled, programs, program_shapes, program,
kept_programs, tiles; contents, results and stylize_files paint files and folders; warming compiles
beforehand; attention_maps and attention_pictures show what a point attends to.
"""
