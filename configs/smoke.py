"""A minute on two CPU cores, without any files: shows that training works, not its quality.

python train.py --config=configs/smoke.py --workdir=runs/smoke

Drawn pictures, quarter width and a random encoder, which gives no meaningful style.
"""

import ml_collections

from configs import a2k


def get_config() -> ml_collections.ConfigDict:
    """Returns the paper's configuration made small."""
    config = a2k.get_config()
    config.content = config.style = "demo:"
    config.load_size, config.crop_size, config.workers = 80, 64, 0
    config.encoder = "random"
    config.width = 0.25
    config.batch_size = 2
    config.steps = 100
    config.learning_rate = 1e-3
    config.checkpoint_every = config.images_every = 50
    return config
