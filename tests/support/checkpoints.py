"""Small checkpoints, made by step, for tests and the processes that they start."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from stya2k_jax.weights.run_checkpoints import Checkpoints


def items_of(step: int, size: int = 100) -> dict:
    """Returns what is saved at a step; numbers that do not compress."""
    numbers = np.random.default_rng(step).random((size, 10), np.float32)
    weights = jnp.asarray(numbers)
    return {"painter": {"layer": {"kernel": weights}}, "training": {"step": jnp.int32(step)}}


def check_items(checkpoints: Checkpoints, step: int, size: int = 100) -> None:
    """Compares what is restored with what was saved."""
    expected = items_of(step, size)
    found = checkpoints.restore(step, **expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def wait_for_end(checkpoints: Checkpoints) -> None:
    """Calls `check` as the training loop does."""
    for _ in range(600):
        checkpoints.check()
        time.sleep(0.05)
