"""The static site of `stya2k export --format=web`: it paints in the visitor's browser.

Read write_site, shared_weights, runtime, examples; the page itself is in `page`.
"""
