"""Reading a clip frame by frame, with everything that a copy has to keep."""

import os
from collections import Counter, deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stya2k_jax.errors import UserError
from stya2k_jax.video.clip_format import (
    BT709,
    CLIP_SUFFIXES,
    LIMITED_RANGE,
    ClipColors,
    ClipFormat,
    Frame,
    exact_conversion,
    file_url,
    import_av,
    scaled_size,
)
from stya2k_jax.video.orientation import to_upright

_HDR_TRANSFERS = (16, 18)  # PQ (SMPTE 2084) and HLG (ARIB STD-B67)
_YUV_MATRICES = (1, 2, 4, 5, 6, 7, 9, 10)
_ATTACHED_PICTURE = 1 << 10  # the flag of a stream that holds the cover of a record


class ClipReader:
    """Opens a clip and reads its frames once, in the order in which they are shown.

    Frames are 8-bit RGB. 10-bit clips are rounded to 8 bits. HDR (PQ and HLG) is mapped to BT.709,
    reference white (203 cd/m²) to white: what is brighter is clipped. Transparency is dropped.

    Attributes:
      format: see `ClipFormat`.
      expected: how many frames there should be; None where nothing says so.
      has_sound: whether there is a sound stream.
      notes: sentences about what the frames lack of the clip; complete after the last frame.
    """

    def __init__(self, path: str | os.PathLike, size_px: int = 0):
        """Reads the first frame.

        Args:
          path: a file that FFmpeg can read.
          size_px: short side to which frames are resized, the other side to an even number; 0 keeps
            the size.

        Raises:
          UserError: PyAV is not installed, or the file is missing, damaged or without video.
        """
        self._path, self._av = Path(path), import_av()
        if not self._path.is_file():
            raise UserError(f"{path} does not exist; give a clip ({', '.join(CLIP_SUFFIXES)}).")
        try:
            self._container = self._av.open(file_url(path), metadata_errors="ignore")
        except self._av.FFmpegError as error:
            raise UserError(
                f"{path} is not a clip that FFmpeg can read ({error.strerror}): it is damaged, cut "
                "off or of another kind. Copy it again from where it came."
            ) from error
        try:
            self._open(size_px)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "ClipReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    def frames(self) -> Iterator[Frame]:
        """Yields the frames; may be called once.

        Raises:
          UserError: the clip is damaged or cut off; the frames before are good.
        """
        pictures, i = self._pictures, 0
        picture, last, repaired = self._first, None, 0
        while picture is not None:
            pts = picture.pts
            if pts is None or (last is not None and pts <= last.pts):  # no two frames at one time
                pts = 0 if last is None else last.pts + max(last.duration, 1)
            pixels = np.ascontiguousarray(to_upright(self._pixels(picture), self.format.matrix))
            last = Frame(pixels, pts, picture.duration or 0, f"{i:06d}")
            yield last
            repaired += picture.is_corrupt
            picture, i = next(pictures, None), i + 1
        if repaired:
            self.notes.append(
                f"{self._path.name} has damaged frames, which are as FFmpeg mends them: {repaired}."
            )

    def _open(self, size_px: int) -> None:
        from av.video.reformatter import VideoReformatter

        streams = self._container.streams
        video = self._video = streams.best("video")
        if video is None or video.codec_context is None or video.disposition & _ATTACHED_PICTURE:
            raise UserError(f"{self._path} holds no video that FFmpeg can read.")
        video.thread_type = "AUTO"
        self._reformatter = VideoReformatter()
        self._pictures = self._decode()
        picture = self._first = next(self._pictures, None)
        if picture is None:
            raise UserError(f"{self._path} holds no frame.")
        self._size = scaled_size(picture.height, picture.width, size_px)
        colors = ClipColors(
            int(picture.color_primaries),
            int(picture.color_trc),
            int(picture.colorspace),
            int(picture.color_range),
        )
        self._is_hdr = colors.transfer in _HDR_TRANSFERS
        if self._is_hdr or colors.matrix not in _YUV_MATRICES:  # such as RGB, which MP4 has not
            colors = ClipColors(BT709, BT709, BT709, LIMITED_RANGE)
        matrix = picture.side_data.get("DISPLAYMATRIX")
        matrix = None if matrix is None else tuple(np.frombuffer(matrix, np.int32).tolist())
        height, width = to_upright(np.empty(self._size), matrix).shape
        rate = video.average_rate or video.guessed_rate or Fraction(25)
        self.format = ClipFormat(
            height, width, video.time_base, rate, video.sample_aspect_ratio, matrix, colors
        )
        self.expected = video.frames or None
        if not self.expected and self._container.duration:
            self.expected = round(self._duration() * rate / self._av.time_base)
        self.has_sound = bool(streams.audio)
        self.notes = [*self._left_out()]
        has_alpha = any(part.is_alpha for part in picture.format.components)
        if has_alpha or video.metadata.get("alpha_mode") == "1":
            self.notes.append(f"{self._path.name} has transparency, which the result lacks.")
        if self._is_hdr:
            self.notes.append(f"{self._path.name} is HDR; the result is not (BT.709, 8 bits).")

    def _left_out(self) -> Iterator[str]:
        others = [s for s in self._container.streams if s.index != self._video.index]
        kinds = Counter(s.type for s in others if s.type != "audio")
        if kinds:
            said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            yield f"{self._path.name} has other streams, which are left out: {said}."

    def _decode(self) -> Iterator[Any]:
        """Yields PyAV's frames; raises a UserError after the last one before the damage."""
        # An .avi says when packets are to be decoded, which has B-frames in another order.
        times: deque[int] | None = deque() if self._container.format.name == "avi" else None
        packets, cause = self._container.demux(), None
        number, second, furthest, is_whole = 0, 0.0, 0.0, True
        while cause is None and is_whole:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                if packet.pts is not None:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    furthest = max(furthest, end)
                is_whole = not packet.is_corrupt  # FFmpeg's name for one that the file cuts off
                if is_whole and packet.stream_index != self._video.index:
                    continue
                if times is not None and packet.dts is not None:
                    times.append(packet.dts)
                pictures = packet.decode() if is_whole else self._rest_of_decoder()
            except self._av.FFmpegError as error:
                pictures, cause = self._rest_of_decoder(), error
            for picture in pictures:
                if times:
                    picture.pts = times.popleft()
                number, second = number + 1, float(picture.pts or 0) * float(self._video.time_base)
                yield picture
        if cause is not None:
            raise UserError(
                f"{self._path} is damaged: after frame {number}, at {second:.2f} s, FFmpeg says "
                f"{cause.strerror!r}. Copy it again from where it came, or mend it with: "
                f"ffmpeg -i {self._path.name} mended.mp4"
            ) from cause
        if not is_whole or furthest < self._least_end():
            raise UserError(
                f"{self._path} is cut off at {second:.2f} s: the file ends before the clip does. "
                "Copy it again from where it came, or keep what is there with: "
                f"ffmpeg -i {self._path.name} whole.mp4"
            )

    def _rest_of_decoder(self) -> list[Any]:
        """Returns the frames that came before the damage and wait for their turn."""
        try:
            return self._video.decode(None)
        except self._av.FFmpegError:  # these are damaged too
            return []

    def _least_end(self) -> float:
        """Returns the second that packets reach at least, by the file's header, which may round."""
        if not self._container.duration:
            return 0.0
        start = self._container.start_time or 0
        return (start + 0.98 * self._duration()) / self._av.time_base - 0.25

    def _duration(self) -> int:
        """Returns how long the clip is, in units of `av.time_base`."""
        start = self._container.start_time or 0
        # Matroska and WebM count from 0, not from the first frame.
        counts_from_0 = "matroska" in self._container.format.name and start > 0
        return max(self._container.duration - (start if counts_from_0 else 0), 0)

    def _pixels(self, picture: Any) -> np.ndarray:
        from av.video.reformatter import ColorPrimaries, ColorTrc

        height, width = self._size
        mapping: dict[str, Any] = {}
        if self._is_hdr:
            mapping = dict(dst_color_trc=ColorTrc.BT709, dst_color_primaries=ColorPrimaries.BT709)
        # One reformatter for all: its tables for HDR take seconds to make.
        rgb = self._reformatter.reformat(
            picture,
            width,
            height,
            "rgb24",
            interpolation=exact_conversion(),
            **mapping,
        )
        return rgb.to_ndarray()
