"""Packs pictures for training: `stya2k prepare --input=FOLDER --output=DIRECTORY`.

Training on `arrayrecord:DIRECTORY` reads the same pictures as training on the folder, but they are
resized already.
"""

import os
import sys
from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.data.opening import ARRAY_RECORDS, open_source
from stya2k_jax.data.packing import write_shards


def main() -> None:
    """Writes the record files; see `data.packing.write_shards`."""
    inputs = flags.DEFINE_multi_string(
        "input", None, "Folder, or tfds:NAME and so on; may be repeated.", required=True
    )
    output = flags.DEFINE_string("output", None, "New directory for the files.", required=True)
    size_px = flags.DEFINE_integer(
        "size", 512, "Side in pixels of the squares: config.load_size.", lower_bound=1
    )
    # At 95 the loss is below the noise of photographs; 100 doubles the files.
    quality = flags.DEFINE_integer(
        "quality", 95, "Of the JPEG files.", lower_bound=1, upper_bound=100
    )
    shards = flags.DEFINE_integer("shards", 8, "Number of files.", lower_bound=1)
    workers = flags.DEFINE_integer(
        "workers", os.cpu_count(), "Processes; 0: none but the main one.", lower_bound=0
    )

    def run(_) -> int:
        errors = write_shards(
            [open_source(name, "content", "input") for name in inputs.value],
            Path(output.value),
            size_px=size_px.value,
            quality=quality.value,
            shards=shards.value,
            workers=workers.value,
        )
        for error in errors:
            print(f"error: {error}", file=sys.stderr)
        directory = Path(output.value).absolute()
        print(f"Train with --config.content={ARRAY_RECORDS}{directory} or --config.style=...")
        return 1 if errors else 0

    command_line.run(run)
