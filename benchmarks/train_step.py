"""How fast a training step is, against the PyTorch reference in the same run.

python -m benchmarks.train_step                   # 256x256, batch 2, full width
python -m benchmarks.train_step --size=128 --batch=4

Needs the torch extra. A step is forward, loss, backward and Adam; systems take turns. Weights are
random, which changes no speed.
"""

import jax
import numpy as np
import torch
from absl import flags

from benchmarks.timing import report, take_turns
from stya2k_jax import command_line, training
from stya2k_jax.convert import encoder_from_vgg, model_from_release
from tests import torch_reference
from tests.recipe import initial_weights

SIZE = flags.DEFINE_integer("size", 256, "Side of a crop in pixels.")
BATCH = flags.DEFINE_integer("batch", 2, "Pairs in a batch.")
WIDTH = flags.DEFINE_float("width", 1.0, "Channel multiplier.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "How often each system is timed.")
THREADS = flags.DEFINE_integer("threads", 2, "PyTorch's threads; JAX uses all cores it may.")


def main(_) -> None:
    """Times one step of each system."""
    torch.set_num_threads(THREADS.value)
    weights = initial_weights(width=WIDTH.value)
    rng = np.random.default_rng(0)
    shape = (2, BATCH.value, SIZE.value, SIZE.value, 3)
    content, style = rng.uniform(size=shape).astype(np.float32)
    systems = {
        "PyTorch float32": pytorch(weights, content, style),
        "stya2k_jax float32": ours(weights, content, style),
    }
    report(take_turns(systems, ROUNDS.value), baseline="PyTorch float32")


def ours(weights, content, style):
    """Returns a call that makes one step, the state carried along."""
    encoder, architecture = encoder_from_vgg(weights["vgg"])
    painter = model_from_release(encoder, architecture, weights).painter
    loss_fn = training.make_loss(painter, encoder, None, architecture, training.LossWeights())
    optimizer = training.make_optimizer(2e-4)
    mesh = training.make_mesh(BATCH.value)
    train_step = training.make_train_step(loss_fn, optimizer, mesh)
    state, frozen = training.new_state(painter, optimizer, mesh), training.freeze(encoder, None)
    batch = training.shard_batch({"content": content, "style": style}, mesh)

    def step():
        nonlocal state
        state, metrics = train_step(state, frozen, batch)
        jax.block_until_ready((state, metrics))

    return step


def pytorch(weights, content, style):
    """Returns a call that makes one step of the eager PyTorch reference."""
    trainer = torch_reference.Trainer(weights, learning_rate=2e-4)
    pictures = [torch_reference.from_nhwc(x, torch.float32) for x in (content, style)]
    return lambda: trainer.step(*pictures)


if __name__ == "__main__":
    command_line.run(main)
