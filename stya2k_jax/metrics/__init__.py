"""What measures a picture or a set of pictures; each file is one metric.

Read content_and_style, ssim, lpips, patterns, rims, cfsd, fid; torchvision_networks and inception
are the networks they need.
"""
