"""A run's config, read once: small frozen records, of which each part of training takes its own."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import ml_collections

from stya2k_jax.data.batches import BatchOptions
from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.training.objective import LossWeights
from stya2k_jax.training.step import learning_rate_schedule


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """What is trained, and from which numbers it starts; see `configs/a2k.py`."""

    encoder: str
    loss_encoder: str
    initial: str
    initialization: str
    seed: int
    width: float
    variant: str
    heads: int
    block_sizes: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """How steps change the numbers; see `configs/a2k.py`.

    Raises:
      UserError: a number that makes no sense, or no such schedule.
    """

    steps: int
    epochs: int
    learning_rate: float
    schedule: str
    warmup: int
    clip_norm: float
    accumulate: int

    def __post_init__(self):
        _check_at_least_1(self, "steps", "epochs", "accumulate")
        if not self.learning_rate > 0:
            raise UserError(f"config.learning_rate={self.learning_rate} must be above 0.")
        if self.warmup < 0:
            raise UserError(f"config.warmup={self.warmup} is below 0; use 0 for the full rate.")
        if self.clip_norm < 0:
            raise UserError(f"config.clip_norm={self.clip_norm} is below 0; use 0 for no clipping.")
        learning_rate_schedule(self.schedule, self.learning_rate, self.steps, self.epochs)


@dataclasses.dataclass(frozen=True)
class RecordOptions:
    """What is kept and how often, in steps; see `configs/a2k.py`.

    Raises:
      UserError: a number that makes no sense.
    """

    checkpoint_every: int
    keep_checkpoints: int
    keep_every: int
    images_every: int

    def __post_init__(self):
        _check_at_least_1(self, "checkpoint_every", "keep_checkpoints", "images_every")
        if self.keep_every < 0:
            raise UserError(
                f"config.keep_every={self.keep_every} is below 0; use 0 to keep no more."
            )


class Recipe(NamedTuple):
    """A config in parts.

    Attributes:
      config: all fields as they were given, ready for JSON.
      collections: names of the content and of the style pictures, as `open_source` takes them.
      input: how pictures become batches.
      network: what is trained.
      weights: of the loss.
      optimizer: how steps change the numbers.
      records: what is kept.
    """

    config: dict[str, Any]
    collections: dict[str, str]
    input: BatchOptions
    network: NetworkOptions
    weights: LossWeights
    optimizer: OptimizerOptions
    records: RecordOptions


def recipe_of(config: ml_collections.ConfigDict) -> Recipe:
    """Reads a config.

    Raises:
      UserError: a field that makes no sense.
    """
    fields = dict(config)
    fields["initialization"] = fields["initialisation"]

    def record(kind: type, names: Any) -> Any:
        return kind(**{name: fields[name] for name in names})

    optimizer, records, batches, network = (
        record(kind, [field.name for field in dataclasses.fields(kind)])
        for kind in (OptimizerOptions, RecordOptions, BatchOptions, NetworkOptions)
    )
    return Recipe(
        config=json.loads(config.to_json_best_effort()),
        collections={kind: fields[kind] for kind in ("content", "style")},
        input=batches,
        network=network,
        weights=record(LossWeights, LossWeights._fields),
        optimizer=optimizer,
        records=records,
    )


@contextmanager
def named_in_errors(field: str) -> Iterator[None]:
    """Lets errors of the weights that a field leads to begin with its name."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"config.{field}: {error}") from error


def _check_at_least_1(record: Any, *names: str) -> None:
    for name in names:
        if getattr(record, name) < 1:
            raise UserError(f"config.{name}={getattr(record, name)} is too small; use at least 1.")
