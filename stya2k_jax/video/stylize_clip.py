"""Stylizes a clip, a file or a folder of frames, into another: frame by frame, as in the paper."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from stya2k_jax.errors import UserError
from stya2k_jax.stopping import StopRequest
from stya2k_jax.video.clip_format import CLIP_SUFFIXES, Frame, is_clip
from stya2k_jax.video.frame_folders import FolderReader, FolderWriter
from stya2k_jax.video.prefetching import prefetched
from stya2k_jax.video.reading import ClipReader
from stya2k_jax.video.smoothing import Smoother
from stya2k_jax.video.writing import CONTAINERS, ClipWriter

DEFAULT_FPS = 25
PARTIAL = ".partial"  # ends the name of a result until it is whole
# tqdm's own but for frames per second where it would give seconds per frame.
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]"

Paint = Callable[[np.ndarray], np.ndarray]


class StylizedClip(NamedTuple):
    """The result of `stylize_clip`.

    Attributes:
      path: the file or folder.
      frames: number of frames.
      notes: sentences about what it lacks of its source.
    """

    path: Path
    frames: int
    notes: tuple[str, ...]


class Stopped(UserError):
    """SIGTERM or Ctrl-C has ended the work before the clip did."""


def stylize_clip(
    paint: Paint,
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    batch: int = 4,
    smoothing: float = 0.0,
    size_px: int = 0,
    fps: float | Fraction | None = None,
    progress: bool = True,
) -> StylizedClip:
    """Stylizes a clip, with a progress bar.

    Kept are the number of frames, their times (also varying ones), size, display rotation, shape of
    pixels and colors, and every sound stream bit for bit; see `ClipReader` for what happens to
    10-bit and HDR clips, and `ClipWriter` for the file. Frames are painted upright. Memory does not
    grow with the clip.

    Until it is whole, the result is called `{name}.partial{suffix}` and plays. It stays there when
    the work is broken off, by SIGTERM, Ctrl-C or an error with every batch that was painted, by
    SIGKILL without the last frame of these. What an earlier run has left there is overwritten.

    Args:
      paint: maps frames, uint8 `[batch, H, W, 3]`, to the same; always of one shape.
      source: a clip file, or a folder of pictures, which are frames in the order of their names.
      output: .mp4, .m4v, .mov or .mkv; without a suffix, a folder for frames as PNG, which does not
        exist or is empty.
      batch: how many frames are painted at once, and how many more are read ahead.
      smoothing: see `video.smoothing.Smoother`; 0 paints every frame by itself.
      size_px: short side to which frames are resized; 0 keeps their size.
      fps: frames per second of a folder, 25 if not given; a clip file has its own times.
      progress: whether to show the progress bar.

    Returns:
      The result.

    Raises:
      Stopped: by a signal; names the partial result.
      UserError: a missing package, a clip that cannot be read or is damaged, or an output that
        cannot be. What was painted before the damage is in the partial result, which is named.
    """
    source, output = Path(source), Path(output)
    partial = output.with_name(f"{output.stem}{PARTIAL}{output.suffix}")
    _check(source, output, partial, batch, size_px, fps)
    smooth = Smoother(smoothing) if smoothing else None
    with _reader(source, size_px, fps) as reader:
        writer = _writer(partial, reader, source)
        try:
            with (
                closing(prefetched(reader.frames(), batch)) as frames,
                tqdm(
                    total=reader.expected,
                    desc=source.name,
                    unit=" frames",
                    bar_format=BAR,
                    disable=not progress,
                ) as bar,
                _stop_request() as stop,
            ):
                for some in _batches(frames, batch):
                    if stop is not None and stop.now():
                        raise Stopped(f"Stopped by {stop.signal}; start again for the whole clip.")
                    _write(some, paint, batch, smooth, writer)
                    bar.update(len(some))
                    some.clear()  # so that it is gone while the next one is read
            writer.finish()
        except BaseException as error:
            writer.abandon()
            if writer.written and isinstance(error, UserError):
                kept = f"{error} The first {writer.written} frames are in {partial}."
                raise type(error)(kept) from error
            raise
        os.replace(partial, output)
        notes = list(reader.notes)
        if reader.has_sound and output.suffix.lower() not in CONTAINERS:
            notes.append(f"The sound of {source.name} is left out: a folder of frames holds none.")
        return StylizedClip(output, writer.written, tuple(notes))


def _check(
    source: Path,
    output: Path,
    partial: Path,
    batch: int,
    size_px: int,
    fps: float | Fraction | None,
) -> None:
    """Raises a UserError for what would fail later, or would overwrite what must not be."""
    if batch < 1 or size_px < 0:
        raise UserError(f"batch is {batch} and size_px {size_px}; give 1 or more, and 0 or more.")
    if not source.exists():
        raise UserError(f"{source} does not exist; give a clip or a folder of frames.")
    if source.is_file() and not is_clip(source):  # FFmpeg would take a photograph for a clip
        raise UserError(
            f"{source} is no clip: its name ends in none of {', '.join(CLIP_SUFFIXES)}."
        )
    if fps is not None and not source.is_dir():
        raise UserError(f"fps is {fps}, but {source} has times of its own; give fps for a folder.")
    for path in (output, partial):
        if path.exists() and path.samefile(source):
            raise UserError(f"{source} would be overwritten; give the result another name.")
    if output.suffix.lower() in CONTAINERS:
        if output.is_dir():
            raise UserError(f"{output} is a folder; give the result another name.")
    elif output.suffix:
        raise UserError(
            f"{output} cannot be written: give a name that ends in {', '.join(CONTAINERS)}, or one "
            "without a dot, which becomes a folder of frames."
        )
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} is there already; give a new name or an empty folder.")


def _reader(source: Path, size_px: int, fps: float | Fraction | None) -> ClipReader | FolderReader:
    if source.is_dir():
        return FolderReader(source, size_px, DEFAULT_FPS if fps is None else fps)
    return ClipReader(source, size_px)


def _writer(
    path: Path, reader: ClipReader | FolderReader, source: Path
) -> ClipWriter | FolderWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in CONTAINERS:
        return ClipWriter(path, reader.format, source if reader.has_sound else None)
    return FolderWriter(path)


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    """Yields lists of `size` frames, the last one shorter, before an error of reading is raised."""
    error = None
    while error is None:
        some: list[Frame] = []
        try:
            for frame in islice(frames, size):
                some.append(frame)
        except UserError as damage:
            error = damage
        if some:
            yield some
        elif error is None:
            return
    raise error


def _write(
    frames: list[Frame],
    paint: Paint,
    batch: int,
    smooth: Smoother | None,
    writer: ClipWriter | FolderWriter,
) -> None:
    """Paints, smooths and writes frames, at most a batch."""
    pictures = _painted(paint, [frame.pixels for frame in frames], batch)
    for frame, picture in zip(frames, pictures, strict=True):
        steady = picture if smooth is None else smooth(frame.pixels, picture)
        writer.write(frame._replace(pixels=steady))


def _painted(paint: Paint, pixels: Sequence[np.ndarray], batch: int) -> np.ndarray:
    """Paints frames; a short batch is filled up, so that all batches have one shape."""
    filled = np.stack([*pixels, *[pixels[-1]] * (batch - len(pixels))])
    painted = np.asarray(paint(filled))
    if painted.shape != filled.shape or painted.dtype != np.uint8:
        raise UserError(
            f"paint made {painted.dtype} {painted.shape} of uint8 {filled.shape}; it has to keep "
            "type and shape."
        )
    return painted[: len(pixels)]


def _stop_request() -> AbstractContextManager[StopRequest | None]:
    """Listens to signals where Python allows it: in the main thread."""
    if threading.current_thread() is threading.main_thread():
        return StopRequest()
    return nullcontext()
