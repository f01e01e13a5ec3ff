"""Clips to measure: frames and their motion, which is known or estimated."""

import re
import zipfile
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.files.digests import digest_of_arrays
from stya2k_jax.pictures.reading import PICTURE_SUFFIXES, read_picture
from stya2k_jax.video.flow import estimate_flow
from stya2k_jax.video.frame_folders import FolderReader
from stya2k_jax.video.warping import follow, known_points, occluded

_FLO_MAGIC = 202021.25
_UNKNOWN = 1e9  # in .flo files: larger values mark unknown points

FLOW_FOLDER = "flow"  # in a clip's folder
FLOW_SUFFIXES = (".npz", ".flo")


class Motion(NamedTuple):
    """The way from a frame to a later one."""

    flow: np.ndarray  # [H, W, 2]
    mask: np.ndarray  # [H, W], where the flow is known; M of the errors: known, inside both frames


class Clip:
    """Frames uint8 `[t, H, W, 3]` and their motion.

    Attributes:
      name: of the clip.
      frames: the unstylized frames.
      known: the known motion from each frame but the last to the next, or None: flow is estimated
        on the unstylized frames, forwards and backwards, and what is hidden is masked.
    """

    def __init__(self, name: str, frames: np.ndarray, known: Sequence[Motion] | None = None):
        self.name, self.frames, self.known = name, frames, known
        self.motion = cache(self._motion)

    def _motion(self, t: int, interval: int) -> Motion:
        """Returns the motion from frame t to frame t + interval; known motion is chained."""
        if self.known is not None:
            flow, known = follow(self.known[t : t + interval])
            return Motion(flow, known_points(flow, ~known))
        frame, other = self.frames[t], self.frames[t + interval]
        flow = estimate_flow(frame, other)
        return Motion(flow, known_points(flow, occluded(flow, estimate_flow(other, frame))))

    def digest(self) -> str:
        """Returns a hash of the frames and of their known motion."""
        found = digest_of_arrays(self.frames)
        return (
            digest_of_arrays(found, *(x for step in self.known for x in step))
            if self.known
            else found
        )


### Clips in folders


def find_clips(folder: Path) -> list[Clip]:
    """Reads the clips of a folder, which holds one of these.

    - Frames of one clip. Its flow is known if a folder `flow` has `FRAME.npz` or `FRAME.flo` for
      every frame but the last: the motion to the next frame (see `read_flow`). `valid` is False
      where the motion is unknown or the next frame hides the point.
    - Frames and flow of clips side by side, as Middlebury names them: `NAME_frame10.png`,
      `NAME_frame11.png`, `NAME_flow10.npz` or `.flo`.
    - Folders, each with frames of one clip.

    Raises:
      UserError: no folder, too few frames, frames of different sizes, or a flow that is missing.
    """
    if not folder.is_dir():
        raise PictureError(f"{folder} is not a folder of frames, or of folders of frames.")
    if any(_part(file, "flow") for file in folder.iterdir()):
        return _clips_side_by_side(folder)
    below = (path for path in sorted(folder.iterdir()) if path.is_dir())
    below = [path for path in below if not path.name.startswith(".") and path.name != FLOW_FOLDER]
    return [read_clip(path) for path in below or [folder]]


def read_clip(folder: Path) -> Clip:
    """Reads a folder of frames, in the order of their names, and their flow if it is there.

    Raises:
      UserError: as `find_clips`.
    """
    names, frames = read_frames(folder)
    flows = folder / FLOW_FOLDER
    if not flows.is_dir():
        return Clip(folder.name, frames)
    known = [_read_motion(flows, name, frames.shape[1:3]) for name in names[:-1]]
    return Clip(folder.name, frames, known)


def read_frames(folder: Path) -> tuple[list[str], np.ndarray]:
    """Reads a folder of frames: their names without suffix, and uint8 `[t, H, W, 3]`.

    Raises:
      UserError: no folder, fewer than two frames, or frames of different sizes.
    """
    frames = list(FolderReader(folder).frames())
    if len(frames) < 2:
        raise UserError(f"{folder} has {len(frames)} frame; a clip has at least 2.")
    return [frame.name for frame in frames], np.stack([frame.pixels for frame in frames])


def _clips_side_by_side(folder: Path) -> list[Clip]:
    frames: dict[str, dict[int, Path]] = {}
    for file in sorted(folder.iterdir()):
        part = _part(file, "frame")
        if part and file.suffix.lower() in PICTURE_SUFFIXES:
            frames.setdefault(part[1], {})[int(part[2])] = file
    clips = []
    for name, files in frames.items():
        numbers = sorted(files)
        if len(numbers) < 2 or numbers != list(range(numbers[0], numbers[-1] + 1)):
            said = ", ".join(map(str, numbers))
            raise UserError(f"{folder}: {name} has frames {said}; give two or more in a row.")
        pixels = [np.asarray(read_picture(files[i])) for i in numbers]
        if len({x.shape for x in pixels}) > 1:
            raise UserError(f"{folder}: frames of {name} differ in size; a clip has one.")
        stems = (files[i].stem for i in numbers[:-1])
        stems = ("flow".join(stem.rsplit("frame", 1)) for stem in stems)
        known = [_read_motion(folder, stem, pixels[0].shape[:2]) for stem in stems]
        clips.append(Clip(name, np.stack(pixels), known))
    if not clips:
        raise UserError(f"{folder} has flow but no frames, such as NAME_frame10.png.")
    return clips


def _part(file: Path, kind: str) -> re.Match | None:
    """Matches NAME_frame10 or NAME_flow10."""
    if kind == "flow" and file.suffix not in FLOW_SUFFIXES:
        return None
    return re.fullmatch(rf"(.+)_{kind}(\d+)", file.stem)


def _read_motion(folder: Path, name: str, size: tuple[int, int]) -> Motion:
    files = [folder / f"{name}{suffix}" for suffix in FLOW_SUFFIXES]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise UserError(f"there is no {' or '.join(map(str, files))}, the flow from that frame on.")
    flow, valid = read_flow(file)
    if flow.shape != (*size, 2) or valid.shape != size:
        raise UserError(
            f"{file} has shape {flow.shape}; its frame, {size[1]}x{size[0]}, needs {(*size, 2)}."
        )
    return Motion(flow, valid)


### Files of flow


def read_flow(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a flow and where it is known.

    Args:
      path: a Middlebury `.flo`, or an `.npz` with `flow` `[H, W, 2]` and perhaps `valid` `[H, W]`.

    Returns:
      float32 `[H, W, 2]`, unknown points 0, and booleans `[H, W]`.

    Raises:
      UserError: a file of neither kind, or damaged.
    """
    try:
        flow, valid = (_read_flo if path.suffix == ".flo" else _read_npz)(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is not a flow, .flo or .npz ({error}).") from error
    return np.where(valid[..., None], flow, 0), valid


def _read_flo(path: Path) -> tuple[np.ndarray, np.ndarray]:
    data = path.read_bytes()
    if len(data) < 12 or np.frombuffer(data[:4], "<f4")[0] != np.float32(_FLO_MAGIC):
        raise ValueError("it does not begin as a .flo file")
    width, height = np.frombuffer(data[4:12], "<i4")
    flow = np.frombuffer(data[12:], "<f4").reshape(height, width, 2)
    return flow, (np.abs(flow) < _UNKNOWN).all(axis=2)


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open(path, "rb") as file:  # `np.load` would leave a damaged one open
        arrays = np.load(file)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        flow = arrays["flow"].astype(np.float32)
        known = np.isfinite(flow).all(axis=2)
        valid = arrays["valid"].astype(bool) if "valid" in arrays else known
    if valid.shape != known.shape:
        raise ValueError(f"flow has shape {flow.shape}, valid {valid.shape}")
    return flow, valid & known
