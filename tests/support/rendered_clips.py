"""Small clips that tests render themselves, and what a file holds, read with PyAV alone."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av")

from av.codec.context import Flags  # noqa: E402

TIME_BASE = Fraction(1, 12800)
TICKS = 512  # a frame at 25 frames per second
RATE_HZ = 44100


def pictures(count: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Draws frames uint8 `[t, h, w, 3]`: a ramp, a moving bar and a level that tells the time."""
    height, width = size
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 0] = np.linspace(0, 255, width)
    frames[..., 1] = np.linspace(0, 255, height)[:, None]
    for t, frame in enumerate(frames):
        frame[..., 2] = 40 + 150 * t // count
        frame[height // 3 : height // 2, 3 * t % width :][:, :8] = 230
    return frames


def render(
    path: Path,
    frames: np.ndarray,
    *,
    pts: Sequence[int] | None = None,
    time_base: Fraction = TIME_BASE,
    sound: Sequence[str] = ("aac",),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    **stream: Any,
) -> Path:
    """Writes a clip.

    Args:
      path: the suffix says the format.
      frames: uint8 `[t, h, w, 3]`.
      pts: of the frames, 25 a second if not given.
      time_base: of `pts`.
      sound: the codec of each sound stream, which all hold sines.
      codec: of the video.
      pix_fmt: of the video.
      options: of the encoder.
      container_options: of the format.
      **stream: attributes of the codec context; `rotation` and `matrix` for the display matrix.
    """
    if pts is None:
        pts = [i * round(1 / (25 * time_base)) for i in range(len(frames))]
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        video = container.add_stream(codec, rate=25, options=options or {})
        context = video.codec_context
        context.height, context.width = frames.shape[1:3]
        context.pix_fmt, context.time_base = pix_fmt, time_base
        context.flags |= Flags.frame_duration
        if "rotation" in stream:
            video.set_display_rotation(*stream.pop("rotation"))
        if "matrix" in stream:
            video.set_display_matrix(stream.pop("matrix"))
        for name, value in stream.items():
            setattr(context, name, value)
        heard = [container.add_stream(name, rate=RATE_HZ) for name in sound]
        position = 0
        colours = {1: "ITU709", 9: "BT2020"}.get(context.colorspace, "ITU601")
        for i, pixels in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            picture = picture.reformat(
                format=pix_fmt,
                dst_colorspace=colours,
                dst_color_range="JPEG" if context.color_range == 2 else "MPEG",
            )
            picture.pts, picture.time_base = pts[i], time_base
            following = pts[i + 1] if i + 1 < len(pts) else 2 * pts[i] - pts[max(0, i - 1)]
            picture.duration = following - pts[i]
            container.mux(video.encode(picture))
            while heard and position < following * time_base * RATE_HZ:
                for k, stream_ in enumerate(heard):
                    container.mux(stream_.encode(_tone(stream_, position, 440 * (k + 1))))
                position += 1024
        for each in (video, *heard):
            container.mux(each.encode(None))
    return path


def _tone(stream: Any, start: int, hertz: float) -> Any:
    wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(start, start + 1024) / RATE_HZ)
    kind = stream.codec_context.format.name
    if kind == "u8":
        wave = 128 + 127 * wave
    elif kind.startswith("s"):
        wave = wave * (2 ** (int(kind[1:3]) - 1) - 1)
    dtype = {"u8": np.uint8, "s16": np.int16, "s32p": np.int32, "fltp": np.float32}[kind]
    both = np.stack([wave, wave]).astype(dtype)
    samples = both if kind.endswith("p") else both.T.reshape(1, -1)  # channels take turns
    frame = av.AudioFrame.from_ndarray(samples, format=kind, layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
    return frame


def times_of(path: Path) -> list[Fraction]:
    """Returns when each frame is shown, in seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def frames_of(path: Path) -> np.ndarray:
    """Returns the stored frames, int16 `[t, h, w, 3]`."""
    with av.open(str(path)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(shown).astype(np.int16)


def sound_of(path: Path, stream: int = 0) -> list[tuple[bytes, Fraction]]:
    """Returns the packets of a sound stream and their times in seconds."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[stream])
        return [(bytes(packet), packet.pts * packet.time_base) for packet in packets if packet.size]


def boxes_of(path: Path) -> list[str]:
    """Returns the names of an MP4's outermost boxes."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8].decode())
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        at += size
    return names
