"""Drawn weights of the networks that LPIPS and FID compare pictures with."""

import numpy as np

from stya2k_jax.metrics import inception, lpips


def lpips_weights(backbone: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Draws convolutions that keep the scale, and heads in [0, 1]."""
    rng = np.random.default_rng(seed)

    def draw(name, shape):
        if name.startswith("lin"):
            return rng.uniform(0, 1, shape)
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 100
        return rng.normal(0, np.sqrt(2 / fan_in), shape)

    shapes = lpips.expected_shapes(backbone)
    return {name: draw(name, shape).astype(np.float32) for name, shape in shapes.items()}


def inception_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Draws convolutions that keep the scale, each with its batch normalization."""
    rng = np.random.default_rng(seed)

    def draw(name, shape):
        if name.endswith("conv.weight"):
            return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        if name.endswith(("bn.weight", "running_var")):
            return rng.uniform(0.5, 1.5, shape)
        return rng.normal(0, 0.1, shape)

    shapes = inception.expected_shapes()
    return {name: draw(name, shape).astype(np.float32) for name, shape in shapes.items()}
