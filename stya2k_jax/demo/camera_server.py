"""A page that paints what the camera sees: `stya2k webcam`.

The browser sends one frame after another; this process paints each and sends it back. So all cores
and compiled programs are used, which no page in a browser can do. It answers to this machine alone.
"""

import json
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image

from stya2k_jax.demo.guard import hosts_of, is_own_request
from stya2k_jax.demo.painting import promised_size
from stya2k_jax.demo.server import url_of
from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.pictures.reading import decode_picture
from stya2k_jax.pictures.writing import encoded
from stya2k_jax.reports.page import source

MAX_FRAME_BYTES = 4 * 2**20
MAX_FRAME_PX = 1280 * 960
STYLE_PX = 256  # side of a style: attention to small keys is quick
_SHOWN_STYLE_PX = 128
_QUALITY = 92
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_IDLE_S = 60  # after which a silent connection is closed
_PATIENCE_S = 10  # at the end, with a frame that is being painted


class CameraServer(ThreadingHTTPServer):
    """Serves the page, the styles and painted frames."""

    daemon_threads = True

    def __init__(self, stylizer: Any, styles: Mapping[str, Image.Image], listener: socket.socket):
        """Encodes the styles.

        Args:
          stylizer: a `stya2k_jax.Stylizer`.
          styles: pictures by the names that the page shows.
          listener: of `demo.server.listen`, on an address of this machine alone.
        """
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.hosts = listener, hosts_of(listener)
        self.names = list(styles)
        self.shown = [_jpeg(_thumbnail(image)) for image in styles.values()]
        self._stylizer, self._painting = stylizer, threading.Lock()
        self._styles = [stylizer.encode_style(image) for image in styles.values()]

    def paint(self, data: bytes, style: int) -> bytes:
        """Paints a frame, one at a time.

        Args:
          data: a picture's file.
          style: its number.

        Returns:
          A JPEG of the same size.

        Raises:
          UserError: it is no picture, too large or too small.
        """
        frame = _frame(data)
        with self._painting:
            return _jpeg(self._stylizer(frame, self._styles[style]))

    def server_close(self) -> None:
        """Waits for the frame that is being painted: Python must not end in the middle of it."""
        self._painting.acquire(timeout=_PATIENCE_S)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Is silent where a browser has left, as at the end of every visit."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection of a browser."""

    server: CameraServer
    protocol_version = "HTTP/1.1"  # keeps the connection from frame to frame
    timeout = _IDLE_S

    def do_GET(self) -> None:
        if not self._is_own():
            return
        page = files("stya2k_jax.demo") / "camera"
        kind, _, number = self.path.removeprefix("/").partition("/")
        if self.path == "/":
            self._answer((page / "index.html").read_bytes(), "text/html; charset=utf-8")
        elif self.path == "/camera.js":
            script = source("camera_switch.js") + (page / "camera.js").read_text(encoding="utf-8")
            self._answer(script.encode(), "text/javascript; charset=utf-8")
        elif self.path == "/style.css":
            self._answer(source("style.css").encode(), "text/css; charset=utf-8")
        elif self.path == "/styles":
            self._answer(json.dumps(self.server.names).encode(), "application/json")
        elif kind == "styles" and (index := self._index(number)) is not None:
            self._answer(self.server.shown[index], "image/jpeg")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")

    def do_POST(self) -> None:
        if not self._is_own():
            return
        kind, _, number = self.path.removeprefix("/").partition("/")
        index = self._index(number)
        length = self.headers.get("Content-Length", "")
        if kind != "frame" or index is None:
            return self._refuse(HTTPStatus.NOT_FOUND, "There is no such painting.")
        if not (length.isascii() and length.isdecimal() and int(length) <= MAX_FRAME_BYTES):
            return self._refuse(HTTPStatus.BAD_REQUEST, "Send a frame of at most 4 MB.")
        data = self.rfile.read(int(length))
        try:
            painted = self.server.paint(data, index)
        except UserError as error:
            return self._answer(str(error).encode(), "text/plain", HTTPStatus.BAD_REQUEST)
        except Exception:
            sentence = "The program met an error of its own, which its output describes."
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, sentence)
            raise
        self._answer(painted, "image/jpeg")

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def version_string(self) -> str:
        return "stya2k"

    def _index(self, number: str) -> int | None:
        if not (number.isascii() and number.isdecimal() and len(number) < 6):
            return None
        return int(number) if int(number) < len(self.server.names) else None

    def _is_own(self) -> bool:
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if is_own_request(
            self.server.hosts, host.encode(), None if origin is None else origin.encode()
        ):
            return True
        self._refuse(HTTPStatus.BAD_REQUEST, "This address is not served here.")
        return False

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self.close_connection = True  # what was sent with the request is not read
        self._answer(sentence.encode(), "text/plain", status)

    def _answer(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def serve_camera(stylizer: Any, styles: Mapping[str, Image.Image], listener: socket.socket) -> None:
    """Serves the page until SIGINT or SIGTERM; takes what `CameraServer` takes."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), CameraServer(stylizer, styles, listener) as server:
        print(f"Open {url_of(listener)} (Ctrl-C ends it)", flush=True)
        server.serve_forever()


def _frame(data: bytes) -> Image.Image:
    """Reads a frame; nothing is decoded before its size is known to be fair."""
    width, height = promised_size(data)
    if width * height > MAX_FRAME_PX:
        raise PictureError(f"The frame has {width}×{height} pixels; send at most 1280×960.")
    return decode_picture(data, "The frame")


def _thumbnail(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((_SHOWN_STYLE_PX, _SHOWN_STYLE_PX))
    return small


def _jpeg(image: Image.Image) -> bytes:
    return encoded(np.asarray(image), ".jpg", quality=_QUALITY)
