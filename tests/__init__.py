"""Tests of stya2k_jax and the independent references they are held against."""
