"""What float32 promises of numbers that are summed up in another order."""

from collections.abc import Mapping

import jax
import numpy as np
from flax import nnx

from stya2k_jax.network.model import StyA2K

UNIT = 2.0**-24  # the largest relative error of one rounding
Taps = Mapping[str, np.ndarray]  # features `[H, W, c]` by the name of their layer


def of_features(vgg: Mapping[str, np.ndarray]) -> float:
    """Returns how far two orders of summation move an encoder's features, relative to their size.

    A sum of n terms is rounded n times, and these errors add up like a random walk: to sqrt(n)
    times `UNIT`, relative to the terms. A layer passes errors on as it passes features on, so the
    squares of the errors of all layers add up. Two orders differ by sqrt(2) times that.
    """
    kernels = [array for name, array in vgg.items() if name.endswith("weight")]
    return UNIT * np.sqrt(2 * sum(np.prod(kernel.shape[1:]) for kernel in kernels))


def of_pictures(model: StyA2K, *pictures: np.ndarray) -> float:
    """Returns how far two compilations of a model may be apart in what they paint of pictures.

    Each moves sums by some units in their last place. So does moving every weight by one unit; that
    is done, and four times what it changes is hardly ever met.
    """
    graph, state = nnx.split(model)
    paint = jax.jit(lambda state, *pictures: nnx.merge(graph, state)(*pictures))
    rng = np.random.default_rng(0)

    def moved(x: jax.Array) -> np.ndarray:
        steps = 2 * UNIT * rng.choice([-1.0, 1.0], x.shape)
        return np.float32(np.asarray(x, np.float64) * (1 + steps))

    before = np.asarray(paint(state, *pictures))
    changes = [np.asarray(paint(jax.tree.map(moved, state), *pictures)) for _ in range(3)]
    return float(4 * max(np.abs(after - before).max() for after in changes))


def of_metrics(error: float, stylized: Taps, content: Taps, style: Taps) -> dict[str, float]:
    """Returns the relative error of each kind of metric, of features with such an error.

    A metric is the mean of squares of differences d; an error e of one changes its square by 2 d e.
    Errors of random signs add up to the root of the sum of their squares, and four times that is
    hardly ever met. A sum over layers changes by no more, relatively, than the layer that changes
    most. Where a ReLU gives 0 there is no error.
    """
    found = dict.fromkeys(("content", "form_b", "style"), 0.0)
    for tap in stylized:
        x, c, s = (np.asarray(taps[tap], np.float64) for taps in (stylized, content, style))
        error_x, error_c, error_s = (error * _size(y) * (y > 0) for y in (x, c, s))
        (mean_x, std_x), (mean_c, std_c), (mean_s, std_s) = map(_moments, (x, c, s))
        normalized = (x - mean_x) / std_x - (c - mean_c) / std_c
        moments = np.stack([mean_x - mean_s, std_x - std_s])
        of_moments = [np.sqrt(np.mean(np.square(e), (0, 1))) for e in (error_x, error_s)]
        for name, d, e in (
            ("content", normalized, np.hypot(error_x / std_x, error_c / std_c)),
            ("form_b", x - c, np.hypot(error_x, error_c)),
            ("style", moments, np.hypot(*of_moments)),
        ):
            found[name] = max(found[name], _relative(d, e))
    found["cfsd"] = _of_divergence(error, stylized["relu3_1"], content["relu3_1"])
    return found


def _relative(d: np.ndarray, e: np.ndarray) -> float:
    return float(4 * 2 * np.sqrt(np.sum(np.square(d * e))) / np.sum(np.square(d)))


def _of_divergence(error: float, *features: np.ndarray) -> float:
    """Divergences of near softmaxes are half the variance of what their logits differ by."""
    points = [np.asarray(x, np.float64).reshape(-1, x.shape[-1]) / x.shape[-1] for x in features]
    difference = np.subtract(*(x @ x.T for x in points))
    norms = [np.linalg.norm(x, axis=1) for x in points]
    # An error of each factor of x_i x_j, times the other factor.
    errors = [_size(x) * np.hypot(n[:, None], n) for x, n in zip(points, norms, strict=True)]
    difference -= difference.mean(axis=1, keepdims=True)
    return _relative(difference, error * np.hypot(*errors))


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean((0, 1)), np.sqrt(x.var((0, 1), ddof=1) + 1e-5)


def _size(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
