"""Clips to measure: frames and their motion, which is known or estimated."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.pictures.reading import SUFFIXES, PictureError, read_picture, resize_short_side
from stya2k_jax.pictures.synthetic import draw_content
from stya2k_jax.video.flow import estimate_flow, read_flow
from stya2k_jax.video.frame_folders import FolderReader
from stya2k_jax.video.warping import follow, known_points, moving_window, occluded

FLOW_FOLDER = "flow"  # in a clip's folder
FLOW_SUFFIXES = (".npz", ".flo")
PAN_FRAMES, PAN_VELOCITY, PAN_MARGIN_PX = 21, (3.0, 1.0), (20, 60)
SMALLEST_WINDOW_PX = 32
DRAWN_PANS = {"drawn_whole": (3.0, -1.0), "drawn_fraction": (1.5, 0.25)}  # pixels a frame
DRAWN_PX = 256
FINE = 4  # drawn pixels a side that are averaged to one of a frame


class Motion(NamedTuple):
    """The way from a frame to a later one."""

    flow: np.ndarray  # [H, W, 2]
    mask: np.ndarray  # [H, W], where it is known; of the errors, M: and inside of the later frame


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
        """Tells this clip from others."""
        found = digest_of(self.frames)
        return digest_of(found, *(x for step in self.known for x in step)) if self.known else found


def digest_of(*given: np.ndarray | str) -> str:
    """Returns the first 16 digits of a sha256 over arrays and words."""
    found = hashlib.sha256()
    for x in given:
        found.update(x.encode() if isinstance(x, str) else repr(x.shape).encode() + x.tobytes())
    return found.hexdigest()[:16]


### Clips in folders


def find_clips(folder: Path) -> list[Clip]:
    """Reads the clips of a folder, which holds one of these.

    - Frames of one clip. Its flow is known if there is a folder `flow` with `FRAME.npz` or
      `FRAME.flo` for every frame but the last, the motion to the next one (see `read_flow`). Where
      `valid` is False, it is unknown or the next frame hides the point.
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
        if part and file.suffix.lower() in SUFFIXES:
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


### Clips that are rendered


def pan(photograph: Path) -> Clip:
    """Renders a clip of known flow: a window moves over the photograph (short side 512 or less).

    Raises:
      UserError: the photograph cannot be read or has no room for the way and a window of 32 pixels.
    """
    image = read_picture(photograph)
    pixels = np.asarray(resize_short_side(image, min(512, *image.size)), np.float64)
    size = (pixels.shape[0] - PAN_MARGIN_PX[0], pixels.shape[1] - PAN_MARGIN_PX[1])
    if min(size) < SMALLEST_WINDOW_PX:
        height, width = (SMALLEST_WINDOW_PX + margin for margin in PAN_MARGIN_PX)
        raise UserError(
            f"{photograph} has {image.width}x{image.height} pixels; a clip is rendered over "
            f"{width}x{height} or more."
        )
    frames, flow = moving_window(pixels, size, PAN_VELOCITY, PAN_FRAMES)
    return _steady(f"pan_{photograph.stem}", frames, flow)


def drawn_pans(size_px: int = DRAWN_PX) -> list[Clip]:
    """Renders clips of known flow over a landscape that the project draws.

    The camera moves by whole pixels in one, by fractions in the other. Each pixel is the mean of
    finer ones, between which the camera moves by whole numbers, so that no frame is interpolated.
    """
    way = max(abs(v) for velocity in DRAWN_PANS.values() for v in velocity) * (PAN_FRAMES - 1)
    landscape = draw_content(0, FINE * (size_px + int(way)))
    clips = []
    for name, velocity in DRAWN_PANS.items():
        x, y = (FINE * v for v in velocity)
        fine, flow = moving_window(landscape, (FINE * size_px,) * 2, (x, y), PAN_FRAMES)
        frames = fine.reshape(PAN_FRAMES, size_px, FINE, size_px, FINE, 3).mean((2, 4))
        clips.append(_steady(name, frames, flow[::FINE, ::FINE] / FINE))
    return clips


def _steady(name: str, frames: np.ndarray, flow: np.ndarray) -> Clip:
    motion = Motion(flow, np.ones(flow.shape[:2], bool))
    return Clip(name, np.round(frames).astype(np.uint8), [motion] * (len(frames) - 1))
