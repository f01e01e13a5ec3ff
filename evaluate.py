"""Measures: `python evaluate.py --checkpoint=… --content_dir=… --style_dir=… --output=…`."""

from stya2k_jax.commands.evaluate import main

if __name__ == "__main__":
    main()
