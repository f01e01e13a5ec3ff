"""Times a model in a process of its own; `stya2k evaluate` starts it."""

import json
from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.evaluation.speed import measure


def main() -> None:
    """Prints a model's `measure` as a line of JSON."""
    checkpoint = flags.DEFINE_string("checkpoint", None, "Model or run.", required=True)
    size = flags.DEFINE_integer("size", 512, "Side of the pictures.", lower_bound=1)
    runs = flags.DEFINE_integer("runs", 20, "How often.", lower_bound=1)
    command_line.run(
        lambda _: print(json.dumps(measure(Path(checkpoint.value), size.value, runs.value)))
    )


if __name__ == "__main__":
    main()
