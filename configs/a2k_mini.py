"""a2k-mini: StyA2K at quarter width with an encoder of its own, trained in two stages.

python train.py --config=configs/a2k_mini.py:painter --workdir=runs/mini_painter \
    --config.encoder=runs/encoder_mini --config.loss_encoder=vgg \
    --config.content=PHOTOS --config.style=PAINTINGS
python train.py --config=configs/a2k_mini.py:finish --workdir=runs/mini \
    --config.encoder=runs/encoder_mini --config.loss_encoder=vgg \
    --config.initial=runs/mini_painter --config.content=PHOTOS --config.style=PAINTINGS

`vgg` is a directory that `convert_vgg.py` made of VGG-19, which the loss looks through. The finish
weighs content more, which wins back structure that colors and strokes have cost.
Ten minutes on one H200, days on two CPU cores. `make train-mini` does all of it, the encoder
included. What was tried: docs/training_mini.md.

`:mend` trains a finished model further, at the pictures' own sizes, against the weave that
nearest-neighbor enlargement leaves in flat areas and against rims: half an hour on two CPU cores.
Left as it is, it starts from the model that comes with the package.
"""

import ml_collections

from configs import a2k
from stya2k_jax.errors import UserError


def get_config(stage: str = "painter") -> ml_collections.ConfigDict:
    """Returns the configuration of a stage: `painter`, `finish` or `mend`."""
    if stage not in ("painter", "finish", "mend"):
        raise UserError(f"no stage {stage!r}; use configs/a2k_mini.py:painter, :finish or :mend.")
    config = a2k.get_config()
    config.width = 0.25
    config.initialisation = "matched"
    config.load_size, config.crop_size, config.batch_size = 320, 256, 16
    config.recolor = 0.5
    config.clip_norm = 20.0
    config.lambda_a2k = 0.3
    config.global_taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    config.a2k_taps = ("relu3_1", "relu4_1")
    config.schedule = "paper"
    config.checkpoint_every = config.images_every = 1000
    if stage == "painter":
        config.steps, config.learning_rate, config.lambda_content = 15_600, 1e-3, 8.0
    elif stage == "finish":
        config.steps, config.learning_rate, config.lambda_content = 3000, 2e-4, 14.0
    else:
        config.encoder = config.initial = "a2k-mini"
        config.loss_encoder = "vgg"
        config.load_size, config.crop_size, config.batch_size, config.workers = 0, 192, 4, 1
        config.steps, config.learning_rate, config.warmup = 600, 2e-4, 100
        config.lambda_content, config.lambda_rims, config.recolor = 15.0, 1000.0, 0.2
        config.lambda_pattern, config.lambda_pattern_contrast = 2e5, 1.5
        config.checkpoint_every = config.images_every = 100
    return config
