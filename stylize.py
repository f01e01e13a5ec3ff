"""Stylizes pictures: `python stylize.py --checkpoint=… --content=… --style=… --output=…`."""

from stya2k_jax.commands.stylize import main

if __name__ == "__main__":
    main()
