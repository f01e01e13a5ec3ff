"""Clips of known flow: a window that moves over a photograph or over a drawn landscape."""

from pathlib import Path

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.clips.clip import Clip, Motion
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.pictures.resizing import resize_short_side
from stya2k_jax.pictures.synthetic import draw_content
from stya2k_jax.video.warping import warp

PAN_FRAMES, PAN_VELOCITY, PAN_MARGIN_PX = 21, (3.0, 1.0), (20, 60)
SMALLEST_WINDOW_PX = 32
DRAWN_PANS = {"drawn_whole": (3.0, -1.0), "drawn_fraction": (1.5, 0.25)}  # pixels a frame
DRAWN_PX = 256
FINE = 4  # drawn pixels a side that are averaged to one of a frame


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


def moving_window(
    photograph: np.ndarray, size: tuple[int, int], velocity: tuple[float, float], frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Renders a clip whose flow is known: a window that moves over a photograph.

    Args:
      photograph: `[H, W, 3]`.
      size: height and width of the window.
      velocity: of the window in pixels a frame, to the right and downwards; the window begins where
        it stays inside.
      frames: how many.

    Returns:
      Frames `[t, h, w, 3]`, cut out, or sampled bilinearly (float64) between pixels, and the flow
      `[h, w, 2]` from each frame to the next: the velocity reversed, for what is seen moves against
      the camera.

    Raises:
      ValueError: the photograph is too small for the way.
    """
    way = [abs(v) * (frames - 1) for v in velocity]
    if size[1] + way[0] > photograph.shape[1] or size[0] + way[1] > photograph.shape[0]:
        raise ValueError(
            f"moving_window: a window of {size[0]}x{size[1]} that moves {way[1]:g} down and "
            f"{way[0]:g} right leaves a photograph of {photograph.shape[0]}x"
            f"{photograph.shape[1]}; give a smaller window or fewer frames."
        )
    start = [max(0, -v * (frames - 1)) for v in velocity]
    clip = []
    for t in range(frames):
        x, y = (s + t * v for s, v in zip(start, velocity, strict=True))
        left, top = int(x), int(y)
        part = photograph[top : top + size[0] + 1, left : left + size[1] + 1]
        if (x, y) != (left, top):
            flow = np.broadcast_to(np.array([x - left, y - top]), (*part.shape[:2], 2))
            part, _ = warp(part, flow)
        clip.append(part[: size[0], : size[1]])
    flow = np.broadcast_to(-np.asarray(velocity, np.float64), (*size, 2))
    return np.stack(clip), flow
