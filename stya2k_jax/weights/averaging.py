"""One model of several: what separate runs from one beginning have learned, averaged."""

from collections.abc import Sequence

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.files.settings import changes
from stya2k_jax.network.model import StyA2K
from stya2k_jax.weights.parameters import named_arrays, with_arrays


def average(models: Sequence[StyA2K], shares: Sequence[float] | None = None) -> StyA2K:
    """Averages the parameters of models; arrays are summed in float64.

    It helps where all were trained further from one model. Models of different beginnings give
    noise.

    Args:
      models: of one architecture.
      shares: how much of each; they are scaled to add up to 1. None: equal.

    Raises:
      UserError: different architectures, or shares that do not fit.
    """
    weights = np.ones(len(models)) if shares is None else np.asarray(shares, np.float64)
    if len(weights) != len(models) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        raise UserError(
            f"{len(weights)} shares ({', '.join(f'{x:g}' for x in weights)}) for {len(models)} "
            "models; give one for each, 0 or more, not all 0."
        )
    first = models[0].architecture.as_dict()
    for i, model in enumerate(models):
        if changed := "; ".join(changes(first, model.architecture.as_dict())):
            raise UserError(
                f"Model {i + 1} has another architecture than the first ({changed}); only models "
                "of one architecture can be averaged."
            )
    weights = weights / weights.sum()
    arrays = [named_arrays(model) for model in models]
    averaged = {}
    for name in arrays[0]:
        parts = [w * x[name].astype(np.float64) for w, x in zip(weights, arrays, strict=True)]
        averaged[name] = np.asarray(sum(parts), np.float32)
    return with_arrays(models[0], averaged, "the averaged model")
