"""Writing a stylized clip with the sound of its source; the file plays while it grows."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.video.clip_format import (
    ClipColors,
    ClipFormat,
    Frame,
    exact_conversion,
    file_url,
    import_av,
)
from stya2k_jax.video.orientation import to_stored

# Suffix to FFmpeg's name of the format; left to guess, it would take .m4v for a bare stream.
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}

# Each frame is a fragment of the file as soon as it is written, and the last one leaves an ordinary
# file behind. `delay_moov` keeps the sound's start, which is before 0 where its encoder primes.
_ALWAYS_PLAYABLE = {
    "mp4": {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1"},
    "mov": {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1"},
    # Milliseconds. FFmpeg would delay everything so that the sound begins at 0.
    "matroska": {"cluster_time_limit": "1", "avoid_negative_ts": "disabled"},
}
# `zerolatency`: a frame is in the file, not in the encoder, when it was written. Without B-frames
# the times of a file that breaks off are right too.
_QUALITY = {"crf": "18", "preset": "medium", "tune": "zerolatency", "bf": "0"}

# An .avi does not say which channels its sound has, and MP4 wants to know.
_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo"}

_FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG
_LARGEST_TIMESCALE = 2**31 - 1


class ClipWriter:
    """Writes H.264 and copies the sound, packet by packet.

    The file is fragmented while it grows, so that it plays up to the last frame if the program is
    killed, and an ordinary one when closed. Size, times, display matrix, shape of pixels and
    colors are the source's. Pixels are 4:2:0, which plays everywhere; a frame with an odd side is
    4:4:4, since 4:2:0 has none, which some players cannot show.

    Attributes:
      written: how many frames.
    """

    def __init__(
        self, path: str | os.PathLike, clip: ClipFormat, sound: str | os.PathLike | None = None
    ):
        """Opens the file; what was there is lost.

        Args:
          path: ends in one of `CONTAINERS`. In an .mkv times are rounded to milliseconds.
          clip: what is written.
          sound: a clip whose sound streams are copied; None writes none.

        Raises:
          UserError: PyAV is not installed, or the sound cannot be in such a file.
        """
        self._path, self._clip = Path(path), clip
        self.written, self._begun = 0, False
        av = self._av = import_av()
        kind = CONTAINERS[self._path.suffix.lower()]
        self._source = None if sound is None else av.open(file_url(sound), metadata_errors="ignore")
        heard = [] if self._source is None else list(self._source.streams.audio)
        options = {"flush_packets": "1", **_ALWAYS_PLAYABLE[kind]}
        if kind != "matroska":
            bases = [clip.time_base, *(stream.time_base for stream in heard)]
            options["movie_timescale"] = str(_common_timescale(bases))
        self._container = av.open(file_url(path), "w", format=kind, container_options=options)
        try:
            self._video = self._add_video()
            self._sound = {stream.index: self._add_sound(stream) for stream in heard}
        except BaseException:
            self._container.close()
            self._close_source()
            raise
        self._packets = self._sound_packets(heard)
        self._waiting = next(self._packets, None)

    def write(self, frame: Frame) -> None:
        """Writes a frame of the clip's size, and the sound up to its time."""
        stored = np.ascontiguousarray(to_stored(frame.pixels, self._clip.matrix))
        picture = self._reformatter.reformat(
            self._av.VideoFrame.from_ndarray(stored, format="rgb24"),
            format=self._video.pix_fmt,
            dst_colorspace=_swscale_matrix(self._clip.colors),
            dst_color_range="JPEG" if self._clip.colors.range == _FULL_RANGE else "MPEG",
            interpolation=exact_conversion(),
        )
        picture.pts, picture.duration = frame.pts, frame.duration
        picture.time_base = self._clip.time_base
        self._copy_sound(until=frame.pts * self._clip.time_base)
        self._mux(self._video.encode(picture))
        self.written += 1

    def finish(self) -> None:
        """Copies the rest of the sound and ends the file."""
        self._copy_sound(until=None)
        self._mux(self._video.encode(None))
        self._container.close()
        self._close_source()

    def abandon(self) -> None:
        """Ends the file before the clip does, the sound with the picture.

        Without a frame nothing is left of it, but what was there before.
        """
        # If this fails too, as on a full disk, the file stays as it is, which plays.
        with suppress(self._av.FFmpegError):
            self._container.mux(self._video.encode(None))
        with suppress(self._av.FFmpegError):
            self._container.close()
        self._close_source()
        if self._begun and not self.written:
            self._path.unlink(missing_ok=True)

    def _add_video(self) -> Any:
        from av.codec.context import Flags
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        clip = self._clip
        height, width, _ = to_stored(np.empty((clip.height, clip.width, 1)), clip.matrix).shape
        video = self._container.add_stream("libx264", rate=clip.rate, options=_QUALITY)
        context = video.codec_context
        context.width, context.height = width, height
        context.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        context.time_base = clip.time_base
        context.flags |= Flags.frame_duration  # the last frame has no other to end it
        if clip.pixel_aspect:
            context.sample_aspect_ratio = clip.pixel_aspect
        colors = clip.colors
        context.color_primaries, context.color_trc = colors.primaries, colors.transfer
        context.colorspace, context.color_range = colors.matrix, colors.range
        video.set_display_matrix(clip.matrix)
        return video

    def _add_sound(self, stream: Any) -> Any:
        try:
            copy = self._container.add_stream_from_template(stream)
        except ValueError as error:
            raise UserError(
                f"The sound of {self._source.name.removeprefix('file:')} ({stream.name}) cannot be "
                f"copied to {self._path.suffix}. Name the result .mov or .mkv, which hold other "
                "kinds, or make the sound AAC first: ffmpeg -i CLIP -c:v copy -c:a aac CLIP.mkv"
            ) from error
        copy.metadata.update(
            {k: v for k, v in stream.metadata.items() if k in ("language", "title")}
        )
        copy.disposition = stream.disposition
        if stream.layout.name in _LAYOUTS:
            copy.codec_context.layout = _LAYOUTS[stream.layout.name]
        return copy

    def _sound_packets(self, streams: list[Any]) -> Iterator[Any]:
        """Yields the packets of the sound, which is read a second time: none waits in memory."""
        if not streams:
            return
        try:
            for packet in self._source.demux(streams):
                if packet.size and packet.dts is not None:
                    yield packet
        except self._av.FFmpegError as error:
            raise UserError(
                f"The sound of {self._source.name.removeprefix('file:')} is damaged: FFmpeg says "
                f"{error.strerror!r}. Copy the clip again from where it came."
            ) from error

    def _copy_sound(self, until: Fraction | None) -> None:
        while self._waiting is not None:
            packet = self._waiting
            if until is not None and packet.dts * packet.time_base > until:
                return
            packet.stream = self._sound[packet.stream_index]
            self._mux([packet])
            self._waiting = next(self._packets, None)

    def _mux(self, packets: list[Any]) -> None:
        self._begun = True  # PyAV makes the file now
        try:
            self._container.mux(packets)
        except self._av.FFmpegError as error:
            if isinstance(error, OSError):  # such as a full disk
                raise
            raise UserError(
                f"{self._path} cannot be written: FFmpeg says {error.strerror!r}. Another kind of "
                f"file may do: {', '.join(CONTAINERS)}."
            ) from error

    def _close_source(self) -> None:
        if self._source is not None:
            self._source.close()


def _common_timescale(bases: list[Fraction]) -> int:
    """Returns ticks a second in which all streams can begin exactly, as far as a file has them."""
    common = math.lcm(*(base.denominator for base in bases))
    return common if common <= _LARGEST_TIMESCALE else bases[0].denominator


def _swscale_matrix(colors: ClipColors) -> str:
    """Returns PyAV's name of a YUV matrix; what is not said is BT.601, as FFmpeg reads it."""
    names = {1: "ITU709", 4: "FCC", 7: "SMPTE240M", 9: "BT2020", 10: "BT2020"}
    return names.get(colors.matrix, "ITU601")
