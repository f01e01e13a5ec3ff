"""Timings and other measurements, one command a file; docs/speed.md has the numbers."""
