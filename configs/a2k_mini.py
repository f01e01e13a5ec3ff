"""a2k-mini: StyA2K at quarter width with an encoder of its own, trained in two stages.

python train.py --config=configs/a2k_mini.py:surrogate --workdir=runs/mini_surrogate \
    --config.encoder=runs/encoder_mini --config.loss_encoder=surrogate:runs/encoder_mini \
    --config.content=PHOTOS --config.style=PAINTINGS
python train.py --config=configs/a2k_mini.py:finish --workdir=runs/mini \
    --config.encoder=runs/encoder_mini --config.loss_encoder=vgg \
    --config.initial=runs/mini_surrogate --config.content=PHOTOS --config.style=PAINTINGS

Most crops are seen through the distilled encoder with its heads, which estimate VGG-19's features
at a quarter of the time of a step; VGG-19 itself (`vgg`, of `convert_vgg.py`) has the last word.
`make train-mini` does all of it, the encoder included. What was tried: docs/training_mini.md.
"""

import ml_collections

from configs import a2k
from stya2k_jax.errors import UserError


def get_config(stage: str = "finish") -> ml_collections.ConfigDict:
    """Returns the configuration of a stage, `surrogate` or `finish`."""
    if stage not in ("surrogate", "finish"):
        raise UserError(f"no stage {stage!r}; use configs/a2k_mini.py:surrogate or :finish.")
    config = a2k.get_config()
    config.width = 0.25
    config.initialisation = "matched"
    config.load_size, config.crop_size, config.batch_size = 320, 128, 4
    config.clip_norm = 20.0
    config.lambda_a2k = 0.3
    config.lambda_content = 6.0
    config.a2k_taps = ("relu3_1", "relu4_1")
    config.schedule = "paper"
    config.checkpoint_every = config.images_every = 250
    if stage == "surrogate":
        config.steps, config.learning_rate = 3600, 1e-3
    else:
        config.steps, config.learning_rate = 490, 4e-4
        config.global_taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    return config
