"""Painting: one stylizer for pictures of any size.

Read stylizer, style, programs, program_shapes, tiles; stylize_files paints folders;
attention_maps and attention_pictures show what a point attends to.
"""
