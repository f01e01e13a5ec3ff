"""Times a training step, against the PyTorch reference in the same run.

python -m benchmarks.train_step                   # 256x256, batch 2, full width
python -m benchmarks.train_step --size=128 --batch=4
python -m benchmarks.train_step --batch=8 --dtypes=float32,bfloat16 --torch_device=cuda

Needs the torch extra. A step is forward, loss, backward and Adam. Systems take turns. Weights are
random, which changes no speed. Also prints pairs a second, the FLOPs of a step, with convolutions
counted directly whatever method computes them, and their share of the machine's FLOP/s in large
matrix products. `python -m benchmarks.input` times the input alone.
"""

from unittest import mock

import jax
import numpy as np
import torch
from absl import flags

from benchmarks.peak import flops_of, matmul_peak
from benchmarks.timing import report, take_turns
from stya2k_jax.commands import command_line
from stya2k_jax.network import convolution
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.model import new_encoder, new_painter
from stya2k_jax.training import devices, objective
from stya2k_jax.training import step as training
from tests.support import torch_reference
from tests.support.reference_weights import initial_weights

SIZE = flags.DEFINE_integer("size", 256, "Side of a crop in pixels.")
BATCH = flags.DEFINE_integer("batch", 2, "Pairs in a batch.")
ACCUMULATE = flags.DEFINE_integer("accumulate", 1, "Parts of a batch, one after the other.")
WIDTH = flags.DEFINE_float("width", 1.0, "Channel multiplier.")
DTYPES = flags.DEFINE_list("dtypes", ["float32"], "Of our computation: float32, bfloat16 or both.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "How often each system is timed.")
THREADS = flags.DEFINE_integer("threads", 2, "PyTorch's threads; JAX uses all cores it may.")
TORCH_DEVICE = flags.DEFINE_string("torch_device", "cpu", "Where PyTorch computes; '': not at all.")


def main(_) -> None:
    """Times one step of each system."""
    torch.set_num_threads(THREADS.value)
    rng = np.random.default_rng(0)
    shape = (2, BATCH.value, SIZE.value, SIZE.value, 3)
    content, style = rng.uniform(size=shape).astype(np.float32)
    systems, arithmetic = {}, {}
    if TORCH_DEVICE.value:
        systems["PyTorch float32"] = pytorch(content, style)
    for dtype in DTYPES.value:
        name = f"stya2k_jax {dtype}"
        systems[name], arithmetic[name] = ours(content, style, dtype)
    seconds = take_turns(systems, ROUNDS.value)
    report(seconds, baseline=next(iter(systems)))
    print(f"\n{jax.device_count()} x {jax.devices()[0].device_kind}, batch {BATCH.value}")
    for name, flops in arithmetic.items():
        median, peak = np.median(seconds[name]), matmul_peak(name.split()[1])
        print(
            f"{name}: {BATCH.value / median:.2f} pairs/s, {flops / 1e9:.0f} GFLOP a step, "
            f"{flops / median / 1e9:.0f} GFLOP/s, {flops / median / peak:.0%} of the measured "
            f"matmul peak of {peak / 1e9:.0f} GFLOP/s"
        )


def ours(content, style, dtype):
    """Returns a call that makes one step, the state carried along, and a step's FLOPs."""
    architecture = Architecture(width=WIDTH.value, dtype=dtype)
    encoder, painter = new_encoder(architecture, seed=0), new_painter(architecture, seed=1)
    loss_fn = objective.make_loss(painter, encoder, None, architecture, objective.LossWeights())
    optimizer = training.make_optimizer(2e-4)
    mesh = devices.make_mesh(BATCH.value, ACCUMULATE.value)
    state, frozen = training.new_state(painter, optimizer, mesh), objective.freeze(encoder, None)
    batch = devices.shard_batch({"content": content, "style": style}, mesh)
    with mock.patch.object(convolution, "on_cpu", lambda: False):
        flops = flops_of(jax.jit(jax.grad(loss_fn, has_aux=True)), state.params, frozen, batch)
    train_step = training.make_train_step(loss_fn, optimizer, mesh, ACCUMULATE.value)

    def step():
        nonlocal state
        state, metrics = train_step(state, frozen, batch)
        jax.block_until_ready((state, metrics))

    return step, flops


def pytorch(content, style):
    """Returns a call that makes one step of the eager PyTorch reference."""
    device = torch.device(TORCH_DEVICE.value)
    with device:
        trainer = torch_reference.Trainer(initial_weights(width=WIDTH.value), learning_rate=2e-4)
        trainer.model.to(device)
    pictures = [torch_reference.from_nhwc(x, torch.float32).to(device) for x in (content, style)]

    def step():
        trainer.step(*pictures)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


if __name__ == "__main__":
    command_line.run(main)
