"""How fast pictures and frames are stylized on an accelerator, against PyTorch in the same run.

python -m benchmarks.accelerator                        # full width; 512x512, HD and 4K
python -m benchmarks.accelerator --sizes=512x512 --nocompile
python -m benchmarks.accelerator --nopytorch

Needs an accelerator, and for PyTorch the torch extra with CUDA. A style of 512x512 is kept. A call
maps an 8-bit content on the device to an 8-bit picture there; several calls run at once, like the
frames of a clip. Systems take turns. The weights were never trained, which changes no speed. Also
prints the FLOPs of a picture, with convolutions counted directly, and their share of the machine's
FLOP/s in large matrix products of the same dtype.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import flags
from flax import nnx

from benchmarks.kept_style import KeptStyle
from benchmarks.models import open_full
from benchmarks.peak import flops_of, matmul_peak
from benchmarks.timing import report, take_turns
from stya2k_jax.commands import command_line
from tests.support import torch_reference
from tests.support.reference_weights import recipe_weights

SIZES = flags.DEFINE_list("sizes", ["512x512", "1920x1080", "3840x2160"], "WIDTHxHEIGHT.")
STYLE_PX = flags.DEFINE_integer("style_px", 512, "Side of the style.")
DTYPES = ("bfloat16", "float32")  # of our computation
ROUNDS = flags.DEFINE_integer("rounds", 5, "How often each system is timed.")
FRAMES = flags.DEFINE_integer("frames", 8, "Calls that run at once.")
PYTORCH = flags.DEFINE_bool("pytorch", True, "Time PyTorch too.")
COMPILE = flags.DEFINE_bool("compile", True, "Time torch.compile too.")

EAGER = "PyTorch float32"


def main(_) -> None:
    """Times each size through each system."""
    rng = np.random.default_rng(0)
    style = rng.integers(0, 256, (1, STYLE_PX.value, STYLE_PX.value, 3), dtype=np.uint8)
    networks = {dtype: open_full(dtype) for dtype in DTYPES}
    peaks = {dtype: matmul_peak(dtype) for dtype in DTYPES}
    rivals = pytorch_networks(style) if PYTORCH.value else {}
    print(f"{jax.devices()[0].device_kind}; style {STYLE_PX.value}x{STYLE_PX.value}, kept")
    for size in SIZES.value:
        width, height = map(int, size.split("x"))
        content = rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8)
        arithmetic, systems = {}, {}
        for dtype, model in networks.items():
            name = f"stya2k_jax {dtype}"
            systems[name], arithmetic[name] = ours(model, content, style)
        for name, network in rivals.items():
            systems[name] = pytorch(network, content)
        seconds = take_turns(systems, ROUNDS.value)
        seconds = {name: [s / FRAMES.value for s in found] for name, found in seconds.items()}
        print(f"\n{width}x{height}, seconds a picture")
        report(seconds, baseline=EAGER if rivals else next(iter(systems)))
        for name, flops in arithmetic.items():
            median, peak = np.median(seconds[name]), peaks[name.split()[1]]
            print(
                f"{name}: {median * 1e3:.2f} ms, {1 / median:.1f} pictures/s, "
                f"{flops / 1e9:.0f} GFLOP a picture, {flops / median / 1e12:.0f} TFLOP/s, "
                f"{flops / median / peak:.0%} of the measured matmul peak of "
                f"{peak / 1e12:.0f} TFLOP/s",
                flush=True,
            )


def ours(model: nnx.Module, content: np.ndarray, style: np.ndarray) -> tuple[Callable, float]:
    """Returns a call that paints several pictures, and the FLOPs of one."""
    graph, state = nnx.split(model)

    @jax.jit
    def keys_of(state, style):
        model = nnx.merge(graph, state)
        return model.painter.keys(model.encoder(style / jnp.float32(255)))

    @jax.jit
    def paint(state, content, keys):
        model = nnx.merge(graph, state)
        taps = model.encoder(content / jnp.float32(255))
        painted = model.painter(taps, keys, *content.shape[1:3])
        return jnp.round(jnp.clip(painted, 0, 1) * 255).astype(jnp.uint8)

    keys, content = keys_of(state, style), jax.device_put(content)
    flops = flops_of(paint, state, content, keys)

    def run():
        jax.block_until_ready([paint(state, content, keys) for _ in range(FRAMES.value)])

    return run, flops


def pytorch_networks(style: np.ndarray) -> dict[str, torch.nn.Module]:
    """Returns the reference with the style kept, by name."""
    weights = recipe_weights()
    forms = {
        EAGER: (torch.float32, torch.contiguous_format),
        "PyTorch bfloat16 channels-last": (torch.bfloat16, torch.channels_last),
    }
    networks = {}
    for name, (dtype, layout) in forms.items():
        model = torch_reference.build(weights, dtype).to("cuda", memory_format=layout)
        picture = torch_reference.from_nhwc(style / np.float32(255), dtype).to("cuda")
        with torch.inference_mode():
            networks[name] = KeptStyle(model, picture.contiguous(memory_format=layout))
        networks[name].dtype, networks[name].layout = dtype, layout
    if COMPILE.value:
        kept = networks["PyTorch bfloat16 channels-last"]
        networks["PyTorch bfloat16 compiled"] = torch.compile(kept, dynamic=False)
    return networks


def pytorch(network: torch.nn.Module, content: np.ndarray) -> Callable:
    """Returns a call that paints several pictures by the reference."""
    picture = torch.as_tensor(content).to("cuda").permute(0, 3, 1, 2)  # channels-last in memory

    def run():
        with torch.inference_mode():
            for _ in range(FRAMES.value):
                x = picture.to(network.dtype) / 255
                painted = network(x.contiguous(memory_format=network.layout))
                (painted.clamp(0, 1) * 255).round().to(torch.uint8)
            torch.cuda.synchronize()

    return run


if __name__ == "__main__":
    command_line.run(main)
