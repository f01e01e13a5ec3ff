"""Times a picture with a kept style, against PyTorch in the same run.

python -m benchmarks.cached                       # 512x512, full width
python -m benchmarks.cached --model=a2k-mini      # pictures per second of the bundled model
python -m benchmarks.cached --size=256 --rounds=9 --threads=2 --nocompile

Needs the torch extra, and a C++ compiler for torch.compile. Ours is a call of `Stylizer`, 8-bit
pictures in and out. PyTorch is the network alone, on tensors that exist already, at the same width;
its weights were never trained, which changes no speed. We keep everything that depends on the
style. PyTorch keeps taps, keys and values; it normalizes them and cuts them into blocks again,
which is one or two percent of its work. Systems take turns, so that a busy machine slows all of
them. Prints seconds, and ratios to PyTorch eager float32 with both pictures encoded.
"""

import os
import tempfile
import time
from unittest import mock

import numpy as np
import torch
from absl import flags

from benchmarks.kept_style import KeptStyle
from benchmarks.models import FULL, compile_well, open_model
from benchmarks.timing import report, take_turns
from stya2k_jax import Stylizer
from stya2k_jax.commands import command_line
from tests.support import torch_reference
from tests.support.reference_weights import recipe_weights

MODEL = flags.DEFINE_string("model", FULL, "full, a2k-mini or what stya2k_jax.load opens.")
SIZE = flags.DEFINE_integer("size", 512, "Side of content and style in pixels.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "How often each system is timed.")
THREADS = flags.DEFINE_integer("threads", 2, "PyTorch's threads; JAX uses all cores it may.")
PYTORCH = flags.DEFINE_bool("pytorch", True, "Time PyTorch too.")
COMPILE = flags.DEFINE_bool("compile", True, "Time torch.compile too.")

OURS, EAGER, KEPT = "stya2k_jax float32", "PyTorch float32", ", style kept"


def main(_) -> None:
    """Times one content and one style through each system."""
    rng = np.random.default_rng(0)
    content, style = rng.integers(0, 256, (2, SIZE.value, SIZE.value, 3), dtype=np.uint8)
    stylizer = Stylizer(open_model(MODEL.value))
    compile_well(stylizer, (SIZE.value, SIZE.value))
    kept = stylizer.encode_style(style)
    systems = {OURS: lambda: stylizer(content, style), OURS + KEPT: lambda: stylizer(content, kept)}
    if PYTORCH.value:
        torch.set_num_threads(THREADS.value)
        systems = pytorch(stylizer.model.architecture.width, content, style) | systems
    seconds = take_turns(systems, ROUNDS.value)
    report(seconds, baseline=EAGER if PYTORCH.value else OURS)
    median = {name: np.median(times) for name, times in seconds.items()}
    print(f"\n{OURS + KEPT}: {1 / median[OURS + KEPT]:.2f} pictures a second")
    if PYTORCH.value:
        rivals = {name: s for name, s in median.items() if name.endswith(KEPT) and name[0] == "P"}
        best = min(rivals, key=rivals.get)
        print(f"{rivals[best] / median[OURS + KEPT]:.2f} times as fast as {best}")


def pytorch(width: float, content: np.ndarray, style: np.ndarray) -> dict:
    """Returns calls of the reference by name, each with both pictures and with a kept style."""
    weights = recipe_weights(width=width)
    forms = {
        EAGER: (torch.float32, torch.contiguous_format),
        "PyTorch float32 channels-last": (torch.float32, torch.channels_last),
        "PyTorch bfloat16 channels-last": (torch.bfloat16, torch.channels_last),
    }
    systems = {}
    for name, (dtype, layout) in forms.items():
        model = torch_reference.build(weights, dtype).to(memory_format=layout)
        pictures = [
            torch_reference.from_nhwc(x[None], dtype).contiguous(memory_format=layout)
            for x in (content, style)
        ]
        with torch.inference_mode():
            kept = KeptStyle(model, pictures[1])
        systems[name] = inference(model, *pictures)
        systems[name + KEPT] = inference(kept, pictures[0])
        if COMPILE.value and layout == torch.channels_last:
            form = name.replace("channels-last", "compiled")
            systems[form] = compiled(form, model, *pictures)
            systems[form + KEPT] = compiled(form + KEPT, kept, pictures[0])
    return systems


def compiled(name: str, model: torch.nn.Module, *pictures: torch.Tensor):
    """Returns a call of a network compiled by torch.compile; prints how long compiling took."""
    run = inference(torch.compile(model), *pictures)
    start = time.perf_counter()
    # A cache of its own: an earlier run must not help, and nothing stays behind.
    with (
        tempfile.TemporaryDirectory() as scratch,
        mock.patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=scratch),
    ):
        run()
    print(f"{name}: compiled in {time.perf_counter() - start:.0f} s", flush=True)
    return run


def inference(model: torch.nn.Module, *pictures: torch.Tensor):
    """Returns a call of a network without gradients."""

    def forward():
        with torch.inference_mode():
            return model(*pictures)

    return forward


if __name__ == "__main__":
    command_line.run(main)
