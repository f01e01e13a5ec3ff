"""FLOPs of a program, and the FLOP/s that the machine reaches at best."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

from benchmarks.timing import take_turns

MATMUL_SIDE = {"cpu": 4096}
MATMUL_SIDE_ELSEWHERE = 16384


def matmul_peak(dtype: str) -> float:
    """Returns FLOP/s of large square matrix products, the best of several."""
    side = MATMUL_SIDE.get(jax.default_backend(), MATMUL_SIDE_ELSEWHERE)
    x = jax.random.normal(jax.random.key(0), (side, side), dtype)
    product = jax.jit(jnp.matmul)
    seconds = take_turns({"product": lambda: product(x, x).block_until_ready()}, rounds=5)
    return 2 * side**3 / min(seconds["product"]) * jax.device_count()


def flops_of(program: Any, *arguments: Any) -> float:
    """Returns the FLOPs of a jitted program for these arguments, before XLA optimizes it.

    It is lowered for the CPU, because XLA counts for no other device.
    """
    host = SingleDeviceSharding(jax.devices("cpu")[0])
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=host), arguments
    )
    return program.lower(*shapes).cost_analysis()["flops"]
