"""The log of a training run: one line of numbers a step, TensorBoard files and pictures."""

import contextlib
import json
import math
import time
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from tensorboardX import SummaryWriter

from stya2k_jax.errors import UserError
from stya2k_jax.files.atomic import whole_lines
from stya2k_jax.network.architecture import Architecture
from stya2k_jax.network.encoder import Encoder
from stya2k_jax.network.model import Painter, assemble
from stya2k_jax.pictures.arrays import grid, write_png
from stya2k_jax.training.devices import on_one_device
from stya2k_jax.training.objective import as_float

METRICS_FILE = "metrics.jsonl"


class NotFiniteError(UserError):
    """A loss or gradient is NaN or infinite."""


class Records:
    """Writes each step's numbers to `metrics.jsonl` and TensorBoard; a context manager.

    After a resume the file may hold two lines of one step; the last one counts.
    """

    def __init__(self, workdir: Path, batch_size: int):
        """Takes the run's directory and the number of pictures in a step; opens nothing yet."""
        self._workdir, self._batch_size = Path(workdir), batch_size
        self._pending: tuple[int, dict[str, jax.Array]] | None = None
        self._file = self._board = None
        self._last_time = time.perf_counter()

    def __enter__(self) -> "Records":
        if jax.process_index() == 0:
            path = self._workdir / METRICS_FILE
            whole_lines(path)  # a line that was cut off would swallow the next one
            self._file = open(path, "a", encoding="utf-8")
            self._board = SummaryWriter(str(self._workdir / "tensorboard"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # `flush` has raised it
                self._file.close()
            self._board.close()

    def put(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Keeps a step's numbers until `flush`; they stay on the device."""
        self._pending = (step, metrics)

    def flush(self) -> None:
        """Fetches and writes the numbers of the last `put`, if any.

        Raises:
          NotFiniteError: names the step, from which training must not go on.
          UserError: the file cannot be written.
        """
        if self._pending is None:
            return
        (step, metrics), self._pending = self._pending, None
        values = {name: float(x) for name, x in jax.device_get(metrics).items()}
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise NotFiniteError(
                f"{', '.join(bad)} is not finite at step {step}. The last checkpoint is intact; "
                "go on from it with a smaller learning rate, or look at the pictures."
            )
        now = time.perf_counter()
        values["images_per_second"] = self._batch_size / (now - self._last_time)
        self._last_time = now
        if self._file is None:
            return
        try:
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self._file.flush()
        except OSError as error:
            raise UserError(
                f"{self._file.name} cannot be written: {error.strerror}. The last checkpoint is "
                "intact; make room and start the same run again."
            ) from error
        for name, value in values.items():
            self._board.add_scalar(name, value, step)


class Samples:
    """Writes grids content | style | stylized to `images/step_….png`."""

    def __init__(
        self,
        workdir: Path,
        architecture: Architecture,
        encoder: Encoder,
        painter: Painter,
        rows: int = 4,
    ):
        """Compiles nothing yet; only the modules' structure is used.

        Args:
          workdir: the run's directory.
          architecture: of both modules.
          encoder: the model's encoder.
          painter: what is learned.
          rows: pairs in a grid.
        """
        self._workdir, self._rows = Path(workdir), rows
        graph, _ = nnx.split(assemble(architecture, encoder, painter))

        @jax.jit
        def stylize(params, frozen, content, style):
            state = nnx.State({"encoder": frozen, "painter": params})
            return nnx.merge(graph, state)(content, style)

        self._stylize = stylize

    def save(
        self,
        step: int,
        params: nnx.State,
        frozen: dict[str, nnx.State],
        batch: dict[str, np.ndarray],
    ) -> None:
        """Stylizes the first pictures of a batch of this process and writes the grid."""
        if jax.process_index() != 0:
            return
        # Only this process computes here, so everything must lie on its own devices.
        params, encoder = on_one_device((params, frozen["encoder"]))
        content, style = (np.asarray(batch[k])[: self._rows] for k in ("content", "style"))
        content, style = np.asarray(as_float(content)), np.asarray(as_float(style))
        stylized = np.asarray(self._stylize(params, encoder, content, style))
        path = self._workdir / "images" / f"step_{step:06d}.png"
        write_png(path, grid(zip(content, style, stylized, strict=True)))
