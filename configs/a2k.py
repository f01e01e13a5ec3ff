"""The paper's training (Sec. 4.1) with the release's choices: StyA2K at full width.

python train.py --config=configs/a2k.py --workdir=runs/a2k \
    --config.content=COCO_TRAIN2014 --config.style=WIKIART --config.encoder=vgg

`vgg` is a directory that `convert_vgg.py` made of VGG-19.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration; every field is read by `train.py`."""
    config = ml_collections.ConfigDict()
    config.task = "painter"  # what is trained; "encoder": see configs/encoder_mini.py
    config.seed = 0

    # Input: a folder each (searched recursively), "arrayrecord:DIR" that was packed by
    # `stya2k prepare`, "tfds:coco/2014" or another name of TensorFlow Datasets, or
    # "demo:" for pictures that the project draws.
    config.content = "data/coco"
    config.style = "data/wikiart"
    config.load_size = 512  # pictures are squashed to this square (0: of their short side) ...
    config.crop_size = 256  # ... and a random square of this side is cut out
    config.recolor = 0.0  # how much the palettes of styles change at random, up to 1
    config.workers = 4  # processes that read pictures; 0: only the main one

    # Network.
    config.encoder = "vgg"  # a directory with encoder.safetensors, "a2k-mini" or "random"
    config.loss_encoder = ""  # the same, for the loss; "": the model's own encoder;
    # "surrogate:RUN": a distilled encoder with its heads, cheap and close to its teacher
    config.initial = ""  # a model or run whose painter is trained further; "": a fresh one, ...
    config.initialisation = "release"  # ... initialised so; "matched" suits narrow networks
    config.width = 1.0  # multiplies the channels; the encoder must have the same
    config.variant = "full"  # or all_to_all, no_da, no_pa, no_pa_step1, single_head;
    # adain, sanet, adaattn: another system's module in the place of A2K
    config.heads = 8
    config.block_sizes = (16, 8, 8, 4)  # relu2_1 (loss only), relu3_1, relu4_1, relu5_1
    config.dtype = "float32"  # of the computation; parameters are always float32

    # Loss. The release computes a content term but never adds it; here it is an option.
    config.lambda_global = 10.0
    config.lambda_a2k = 1.25
    config.lambda_content = 0.0
    # Not in the paper either: terms against regular patterns and rims.
    config.lambda_pattern = 0.0  # on the power at periods of 2 and 4 pixels; 2e5 is a start
    config.lambda_pattern_contrast = 0.0  # on its ratio to neighboring frequencies; try 1
    config.lambda_rims = 0.0  # on colors along edges that neither side has; try 1000
    config.loss_scales = (1.0,)  # sides at which the loss encoder looks; smaller: larger strokes
    config.loss_norm = "mse"  # or "l2", as printed in the paper
    config.global_taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    config.a2k_taps = ("relu2_1", "relu3_1", "relu4_1", "relu5_1")

    # Optimization: Adam. Batch and steps count over all devices together.
    config.batch_size = 8
    config.accumulate = 1  # parts of a batch that are computed in turn, which saves memory
    config.steps = 5 * 82_783 // 8  # five epochs of COCO; the paper's 400K counts images
    config.epochs = 5  # into which the schedule divides the steps
    config.learning_rate = 2e-4
    config.schedule = "code"  # x0.3 after each epoch from the second; "paper": linear to 0
    config.warmup = 0  # steps in which the rate grows to its full size; for `initial` models
    config.clip_norm = 0.0  # a longer gradient is scaled down to this norm; 0: never

    # Records.
    config.checkpoint_every = 1000
    config.keep_checkpoints = 3  # the newest ...
    config.keep_every = 0  # ... and one every so many steps for good; 0: none
    config.images_every = 1000
    return config
