"""Decodes a part of a JPEG file, in the time of that part.

A JPEG file can only be decoded from its start, except from its restart markers on. `write_jpeg`
puts one every few blocks along each row of blocks, so that a window can be cut out of the file
before it is decoded: what remains is a smaller JPEG file of the pieces that the window touches.
"""

from io import BytesIO

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, as Pillow has it

BLOCK_PX = 8
MOST_BLOCKS = 8  # between restart markers

_START_OF_FRAME, _OTHER_FRAMES = 0xC0, {*range(0xC1, 0xD0)} - {0xC4, 0xC8, 0xCC}
_RESTART, _END, _SCAN, _INTERVAL = 0xD0, 0xD9, 0xDA, 0xDD
_APPLICATION = range(0xE1, 0xF0)  # orientation, colour spaces: to be read by Pillow


def write_jpeg(image: Image.Image, quality: int) -> bytes:
    """Returns a JPEG file of the RGB picture that `decode_window` can take apart.

    Colours keep their resolution; half of it, the usual, would blur the edges between the colours
    of a painting, and decoders smooth such colours across the borders of blocks.
    """
    columns = -(-image.width // BLOCK_PX)
    blocks = max(n for n in range(1, MOST_BLOCKS + 1) if columns % n == 0)
    file = BytesIO()
    options = dict(quality=quality, subsampling="4:4:4", restart_marker_blocks=blocks)
    image.save(file, "JPEG", exif=b"", **options)
    return file.getvalue()


def decode_window(data: bytes, size: tuple[int, int], box: Box) -> Image.Image | None:
    """Returns exactly what decoding the file and cropping it would, or None: do that.

    None is for files that are not of `write_jpeg`, have another size in pixels than `size`, or are
    damaged.
    """
    try:
        height_at, interval, scan = _parse(data)
    except (IndexError, ValueError):
        return None
    height, width = (_number(data, height_at + 2 * i) for i in range(2))
    step, across = interval * BLOCK_PX, -(-width // (interval * BLOCK_PX))
    down = -(-height // BLOCK_PX)
    if (width, height) != size or -(-width // BLOCK_PX) % interval:
        return None
    starts, ends = _intervals(data, scan)
    if len(starts) != across * down:
        return None
    left, top, right, bottom = box
    x0, x1 = left // step, -(-right // step)
    y0, y1 = top // BLOCK_PX, -(-bottom // BLOCK_PX)
    header = bytearray(data[:scan])
    sides = min(y1 * BLOCK_PX, height) - y0 * BLOCK_PX, min(x1 * step, width) - x0 * step
    header[height_at : height_at + 4] = b"".join(side.to_bytes(2, "big") for side in sides)
    parts = [header]
    chosen = (y * across + x for y in range(y0, y1) for x in range(x0, x1))
    for count, i in enumerate(chosen):
        if count:  # the markers' numbers must follow each other
            parts.append(bytes((0xFF, _RESTART + (count - 1) % 8)))
        parts.append(data[starts[i] : ends[i]])
    parts.append(bytes((0xFF, _END)))
    x, y = x0 * step, y0 * BLOCK_PX
    try:
        image = Image.open(BytesIO(b"".join(parts)), formats=["JPEG"])
        return image.crop((left - x, top - y, right - x, bottom - y))
    except (OSError, SyntaxError, ValueError):
        return None


def _parse(data: bytes) -> tuple[int, int, int]:
    """Returns where the height is (the width follows), the blocks between markers, and the scan.

    Raises:
      ValueError, IndexError: it is not a baseline JPEG file of three colours in 4:4:4 with restart
        markers.
    """
    at, height_at, interval = 2, 0, 0
    while data[at + 1] != _SCAN:
        marker = data[at + 1]
        if data[at] != 0xFF or marker in _OTHER_FRAMES or marker in _APPLICATION:
            raise ValueError
        if marker == _START_OF_FRAME:
            height_at = at + 5
            colours, sampling = data[at + 9], data[at + 11 : at + 20 : 3]
            if colours != 3 or sampling != b"\x11\x11\x11":
                raise ValueError
        elif marker == _INTERVAL:
            interval = _number(data, at + 4)
        at += 2 + _number(data, at + 2)
    if not height_at or not interval or not data.endswith(bytes((0xFF, _END))):
        raise ValueError
    return height_at, interval, at + 2 + _number(data, at + 2)


def _intervals(data: bytes, scan: int) -> tuple[list[int], list[int]]:
    """Returns where what is between restart markers starts and ends."""
    codes = np.frombuffer(data, np.uint8)[scan:]
    marks = np.flatnonzero(codes[:-1] == 0xFF)  # in the scan, such a byte is a marker or stuffed
    marks = marks[(codes[marks + 1] & 0xF8) == _RESTART] + scan
    return [scan, *(marks + 2).tolist()], [*marks.tolist(), len(data) - 2]


def _number(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]
