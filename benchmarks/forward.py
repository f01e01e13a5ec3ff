"""Times a picture, both pictures encoded, against the PyTorch reference in the same run.

python -m benchmarks.forward                      # 512x512, full width
python -m benchmarks.forward --size=256 --rounds=9 --threads=2

Needs the torch extra. Systems take turns, so that a busy machine slows all of them. Weights are
random, which changes no speed. Prints medians and quartiles, and ratios to PyTorch eager float32.
"""

import jax
import numpy as np
import torch
from absl import flags
from flax import nnx

from benchmarks.timing import report, take_turns
from stya2k_jax.commands import command_line
from stya2k_jax.conversion.released_model import model_from_release
from stya2k_jax.conversion.vgg import encoder_from_vgg
from tests.support import torch_reference
from tests.support.reference_weights import recipe_weights

SIZE = flags.DEFINE_integer("size", 512, "Side of content and style in pixels.")
WIDTH = flags.DEFINE_float("width", 1.0, "Channel multiplier.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "How often each system is timed.")
THREADS = flags.DEFINE_integer("threads", 2, "PyTorch's threads; JAX uses all cores it may.")


def main(_) -> None:
    """Times one content and one style through each system."""
    torch.set_num_threads(THREADS.value)
    weights = recipe_weights(width=WIDTH.value)
    rng = np.random.default_rng(0)
    content, style = rng.uniform(size=(2, 1, SIZE.value, SIZE.value, 3)).astype(np.float32)
    systems = {
        "PyTorch float32": pytorch(weights, content, style),
        "PyTorch float32 channels-last": pytorch(weights, content, style, channels_last=True),
        "PyTorch bfloat16 channels-last": pytorch(
            weights, content, style, dtype=torch.bfloat16, channels_last=True
        ),
        "stya2k_jax float32": ours(weights, content, style),
    }
    report(take_turns(systems, ROUNDS.value), baseline="PyTorch float32")


def ours(weights, content, style):
    """Returns a call of the compiled model on arrays that lie on the device."""
    encoder, architecture = encoder_from_vgg(weights["vgg"])
    graph, state = nnx.split(model_from_release(encoder, architecture, weights))
    forward = jax.jit(lambda state, *pictures: nnx.merge(graph, state)(*pictures))
    content, style = jax.device_put((content, style))
    return lambda: forward(state, content, style).block_until_ready()


def pytorch(weights, content, style, dtype=torch.float32, channels_last=False):
    """Returns a call of the eager PyTorch reference."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = torch_reference.build(weights, dtype).to(memory_format=layout)
    pictures = [
        torch_reference.from_nhwc(x, dtype).contiguous(memory_format=layout)
        for x in (content, style)
    ]

    def forward():
        with torch.inference_mode():
            return model(*pictures)

    return forward


if __name__ == "__main__":
    command_line.run(main)
