"""The small encoder of a2k-mini: VGG-19 at quarter width, distilled from VGG-19.

python train.py --config=configs/encoder_mini.py --workdir=runs/encoder_mini \
    --config.encoder=vgg --config.content=PHOTOS --config.style=PAINTINGS

`vgg` is a directory that `convert_vgg.py` made of VGG-19: the teacher. Two minutes on one H200.
"""

import ml_collections

from configs import a2k


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration; fields of a painter are not read."""
    config = a2k.get_config()
    config.task = "encoder"
    config.width = 0.25
    config.load_size, config.crop_size = 320, 256
    config.batch_size = 16  # of contents, and as many styles
    config.steps = 6000
    config.learning_rate, config.schedule = 1e-3, "paper"
    config.epochs = 3
    config.clip_norm = 20.0
    config.checkpoint_every = 1000
    return config
