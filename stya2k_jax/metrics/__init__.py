"""Metrics of a picture or of a set of pictures, a file each.

Read content_and_style, ssim, lpips, patterns, rims, cfsd, fid; torchvision_networks and inception
are the networks they need.
"""
