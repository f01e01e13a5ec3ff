"""Clips: reading, writing, optical flow and smoothing in time.

Read clip_format, reading, writing, stylize_clip; then frame_folders, orientation, prefetching,
flow, warping, smoothing. Knows nothing of the network.
"""
