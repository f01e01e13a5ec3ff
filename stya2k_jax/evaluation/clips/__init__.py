"""Warping errors of clips whose flow is known or estimated.

Read clip, rendered, measure, evaluate.
"""
