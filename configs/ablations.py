"""The paper's ablations and other systems' modules, at one equal and small budget.

python train.py --config=configs/ablations.py:no_da --workdir=runs/ablations/no_da \
    --config.encoder=ENCODER --config.loss_encoder=vgg \
    --config.content=PHOTOS --config.style=PAINTINGS

ENCODER is a finished run of configs/encoder_mini.py.

Names after the colon: full, all_to_all, no_da, no_pa, no_pa_step1, single_head (Table 2); adain,
sanet, adaattn (Table 1). `make ablations` trains them all, and `evaluate.py --table=2` measures.
Only `config.variant` differs between them; the seed, and so every crop, is the same.
"""

import ml_collections

from configs import a2k_mini
from stya2k_jax.errors import UserError
from stya2k_jax.network.architecture import BASELINES, VARIANTS


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the configuration of a variant."""
    if variant not in VARIANTS + BASELINES:
        names = ", ".join(VARIANTS + BASELINES)
        raise UserError(f"no variant {variant!r}; use configs/ablations.py:NAME, NAME of {names}.")
    config = a2k_mini.get_config("painter")
    config.variant = variant
    config.batch_size, config.steps = 8, 2500
    # As in the paper: a content term would hide the differences between the variants.
    config.lambda_content = 0.0
    config.global_taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    config.recolor = 0.0
    return config
