"""A small training in this process: its config, and the numbers that a run has written."""

import json
from pathlib import Path

import ml_collections

from configs import smoke


def config_of(**changes) -> ml_collections.ConfigDict:
    """Returns the config of a run of seconds, with changed fields.

    The loss attends at one tap, so that the step compiles in half the time.
    """
    config = smoke.get_config()
    config.a2k_taps = ("relu3_1",)
    config.update(
        width=0.125, batch_size=4, crop_size=32, load_size=40, checkpoint_every=2, images_every=4
    )
    config.update(changes)
    return config


def rows_of(workdir: Path) -> dict[int, dict]:
    """Returns each step's numbers; of a step done again the last, and no line half written."""
    path = workdir / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.is_file() else []
    return {row["step"]: row for row in map(json.loads, lines)}
