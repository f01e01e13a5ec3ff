"""Converts PyTorch weights: `python convert_vgg.py --vgg=vgg_normalised.pth --output=vgg`."""

from stya2k_jax.commands.convert import main

if __name__ == "__main__":
    main()
