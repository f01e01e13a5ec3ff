"""Trains StyA2K: `python train.py --config=configs/a2k.py --workdir=runs/a2k`."""

from stya2k_jax.commands.train import main

if __name__ == "__main__":
    main()
