"""Trains the bundled small model further, with its own encoder in the loss.

python train.py --config=configs/fine_tune.py --workdir=runs/mine \
    --config.content=PHOTOS --config.style=PAINTINGS

Without flags it takes a minute on two CPU cores, on pictures that the project draws. The result
opens like any model: `stylize.py --checkpoint=runs/mine`.
"""

import ml_collections

from configs import a2k_mini


def get_config() -> ml_collections.ConfigDict:
    """Returns the last stage of a2k-mini, made short."""
    config = a2k_mini.get_config("finish")
    config.content = config.style = "demo:"
    config.encoder = config.initial = "a2k-mini"
    config.load_size, config.crop_size, config.batch_size = 128, 96, 2
    config.workers = 0
    config.steps, config.learning_rate = 150, 1e-4
    config.checkpoint_every = config.images_every = 50
    return config
