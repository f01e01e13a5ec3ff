"""A page to try the model on one's own pictures: `stya2k demo`.

It is served to this machine alone unless `--host` says otherwise, and asks nothing of the internet.
"""

import errno
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from stya2k_jax.demo.guard import Guard, Uploads, hosts_of
from stya2k_jax.errors import UserError, require

_PATIENCE_S = 3  # after a signal, for what is being painted


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


def serve(
    stylizer: Any,
    listener: socket.socket,
    allowed_hosts: Iterable[str] = (),
    programs: Sequence[Future] = (),
) -> None:
    """Serves the page until SIGINT or SIGTERM, after which no uploaded file is left.

    A picture that is being painted then may end within `_PATIENCE_S` seconds.

    Args:
      stylizer: a `stya2k_jax.Stylizer`.
      listener: of `listen`.
      allowed_hosts: names beside its own address under which the page may be asked for.
      programs: that are being compiled; until they are there, the page says so.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it unwinds as Ctrl-C does
    with tempfile.TemporaryDirectory(prefix="stya2k-demo-") as files:
        os.environ["GRADIO_TEMP_DIR"] = files  # which Gradio reads while it is imported

        def leave() -> None:  # Python itself would wait for the thread that paints
            shutil.rmtree(files, ignore_errors=True)
            os._exit(0)

        server = _server(
            stylizer, Uploads(files), hosts_of(listener, allowed_hosts), programs, leave
        )
        print(f"Open {url_of(listener)} (Ctrl-C ends the demo)", flush=True)
        with suppress(KeyboardInterrupt):  # raised when all is served
            server.run(sockets=[listener])


def url_of(listener: socket.socket) -> str:
    """Returns where a browser of this machine finds what is served there."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"  # one of the names by which it is reached
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(
    stylizer: Any,
    uploads: Uploads,
    hosts: Iterable[str],
    programs: Sequence[Future],
    leave: Callable[[], None],
) -> Any:
    gradio = require("gradio", "demo", "The demo")
    import uvicorn  # these two come with Gradio
    from fastapi import FastAPI

    from stya2k_jax.demo.page import build, look
    from stya2k_jax.demo.painting import MAX_FILE_BYTES

    undocumented = dict(docs_url=None, redoc_url=None, openapi_url=None)  # their pages load scripts
    # Everything that an environment variable could switch on is said.
    app = gradio.mount_gradio_app(
        FastAPI(**undocumented),
        build(stylizer, uploads, programs),
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
    guarded = Guard(app, uploads, hosts, max_upload_bytes=2 * MAX_FILE_BYTES)
    config = uvicorn.Config(guarded, log_level="error", lifespan="on", timeout_graceful_shutdown=1)

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            super().handle_exit(sig, frame)
            logging.getLogger("uvicorn.error").disabled = True  # of requests that are cut off
            timer = threading.Timer(_PATIENCE_S, leave)
            timer.daemon = True
            timer.start()

    return Server(config)
