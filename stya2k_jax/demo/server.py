"""A page to try the model on one's own pictures: `stya2k demo`.

It is served to this machine alone unless `--host` says otherwise, and asks nothing of the internet.
"""

import errno
import json
import os
import signal
import socket
import tempfile
from contextlib import suppress
from typing import Any

from stya2k_jax.errors import UserError, require

_MAX_REQUEST_BYTES = 2**20  # but for uploads, which have a limit of their own


def listen(host: str, port: int) -> socket.socket:
    """Takes the port; browsers that come before the model is loaded wait.

    Raises:
      UserError: the port is in use, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} of {host} is in use; choose another --port.") from error
        reason = error.strerror or error
        raise UserError(
            f"cannot listen on port {port} of {host}: {reason}; choose another --host or --port."
        ) from error


def serve(stylizer: Any, listener: socket.socket) -> None:
    """Serves the page until SIGINT or SIGTERM, after which no uploaded file is left.

    Args:
      stylizer: a `stya2k_jax.Stylizer`.
      listener: of `listen`.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it unwinds as Ctrl-C does
    with tempfile.TemporaryDirectory(prefix="stya2k-demo-") as files:
        os.environ["GRADIO_TEMP_DIR"] = files  # which Gradio reads while it is imported
        server = _server(stylizer)
        print(f"Open {url_of(listener)} (Ctrl-C ends the demo)", flush=True)
        with suppress(KeyboardInterrupt):  # raised when all is served
            server.run(sockets=[listener])


def url_of(listener: socket.socket) -> str:
    """Returns where a browser of this machine finds what is served there."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"  # one of the names by which it is reached
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(stylizer: Any) -> Any:
    gradio = require("gradio", "demo", "The demo")
    import uvicorn  # these two come with Gradio
    from fastapi import FastAPI

    from stya2k_jax.demo.page import build, look
    from stya2k_jax.demo.painting import MAX_FILE_BYTES

    undocumented = dict(docs_url=None, redoc_url=None, openapi_url=None)  # their pages load scripts
    # Everything that an environment variable could switch on is said.
    app = gradio.mount_gradio_app(
        FastAPI(**undocumented),
        build(stylizer),
        path="/",
        app_kwargs=undocumented,
        **look(),
        footer_links=[],
        max_file_size=MAX_FILE_BYTES,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
    )
    config = uvicorn.Config(
        UploadsOnly(app), log_level="error", lifespan="on", timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)


class UploadsOnly:
    """An ASGI application without the requests that name a file by its address on the internet.

    Gradio would fetch it from there, for anybody who asks; here pictures are uploaded.
    """

    def __init__(self, app: Any):
        """Takes the application."""
        self.app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Answers a request, or hands it on."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if "://" in scope["path"]:
            return await _refuse(send)
        if scope["method"] != "POST" or scope["path"].endswith("/upload"):
            return await self.app(scope, receive, send)
        body, more = b"", True
        while more and len(body) <= _MAX_REQUEST_BYTES:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if more or len(body) > _MAX_REQUEST_BYTES or _names_an_address(body):
            return await _refuse(send)
        read = [{"type": "http.request", "body": body}]

        async def again() -> dict:
            return read.pop() if read else await receive()

        await self.app(scope, again, send)


async def _refuse(send: Any) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": b"Upload the pictures."})


def _names_an_address(body: bytes) -> bool:
    found = []

    def look(values: dict) -> dict:
        found.append(str(values.get("path", "")))
        return values

    try:
        json.loads(body, object_hook=look)
    except (ValueError, RecursionError):  # is refused further on
        return False
    return any("://" in path for path in found)
