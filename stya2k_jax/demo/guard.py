"""What the server of the page lets in: its own routes, its own names, and files that were uploaded.

Gradio checks paths only in a server that it launched itself; ours is mounted. So every request is
checked here, before Gradio sees it, and without touching any file outside of the uploads.
"""

import ipaddress
import json
import os
import re
import socket
import stat
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import urlsplit

_REFUSAL = b"Upload the pictures."  # the same for all that is refused: it tells nothing of files
_MAX_REQUEST_BYTES = 2**20  # of all but uploads
_GET = re.compile(
    r"/|/config/?|/(svelte|static|assets)/.*|/favicon\.ico|/manifest\.json|/robots\.txt|/theme\.css"
    r"|/gradio_api/(info/?|theme\.css|startup-events|upload_progress|heartbeat/.*|queue/data|file=.*)"
)
_POST = re.compile(r"/gradio_api/(upload|queue/join|cancel|reset)/?")
_FILE, _UPLOAD = "/gradio_api/file=", "/gradio_api/upload"


class Uploads:
    """The folder that holds what was uploaded and painted, and nothing else."""

    def __init__(self, folder: str | os.PathLike):
        """Takes the folder, which exists."""
        self.folder = os.path.realpath(folder)

    def owns(self, path: object) -> bool:
        """Returns whether a path leads to a regular file below the folder.

        The file system is asked only about paths that are written as below the folder, because to
        look at others (a network mount, say) may already block.
        """
        if not isinstance(path, str) or "\0" in path:
            return False
        if not self._is_below(os.path.abspath(path)):
            return False
        try:
            real = os.path.realpath(path, strict=True)
            return self._is_below(real) and stat.S_ISREG(os.lstat(real).st_mode)
        except OSError:
            return False

    def _is_below(self, path: str) -> bool:
        return path.startswith(self.folder + os.sep)


class Guard:
    """An ASGI application that hands on only what the page itself asks for.

    Refused are: other routes; other names in `Host` and `Origin`, as a page of another site sends
    them; bodies that are too long; and every `path` in a request that is not an upload's.
    """

    def __init__(
        self, app: Any, uploads: Uploads, hosts: Iterable[str], max_upload_bytes: int
    ) -> None:
        """Guards an application.

        Args:
          app: the ASGI application.
          uploads: the files that requests may name.
          hosts: names and addresses under which the page may be asked for, as `hosts_of` gives.
          max_upload_bytes: of a whole upload request.
        """
        self.app, self.uploads, self.hosts = app, uploads, frozenset(hosts)
        self.max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Answers a request, or hands it on."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None  # no websockets here
        headers = dict(scope["headers"])
        if not is_own_request(self.hosts, headers.get(b"host", b""), headers.get(b"origin")):
            return await _refuse(send, b"This address is not served here; see --allow_host.")
        path, method = scope["path"], scope["method"]
        if method in ("GET", "HEAD") and _GET.fullmatch(path):
            if path.startswith(_FILE) and not self.uploads.owns(path.removeprefix(_FILE)):
                return await _refuse(send)
            return await self.app(scope, receive, send)
        if method != "POST" or not _POST.fullmatch(path):
            return await _refuse(send)
        if path.startswith(_UPLOAD):
            return await self.app(scope, self._limited(receive), send)
        body = await _read(receive)
        if body is None:
            return await _refuse(send)
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):  # is refused further on, in words
            request = None
        else:
            if not all(map(self.uploads.owns, _paths_in(request))):
                return await _refuse(send)
            body = json.dumps(request).encode()  # read in this one way by all that follow
        messages = [{"type": "http.request", "body": body}]

        async def again() -> dict:
            return messages.pop() if messages else await receive()

        await self.app(scope, again, send)

    def _limited(self, receive: Any) -> Any:
        left = self.max_upload_bytes

        async def limited() -> dict:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        return limited


ANY_ADDRESS = "*"


def is_own_request(hosts: Collection[str], host: bytes, origin: bytes | None) -> bool:
    """Returns whether a request was meant for this server, and comes from no page of another site.

    Args:
      hosts: of `hosts_of`.
      host: the request's header of that name.
      origin: the same; None where there is none.
    """
    if not _is_host(hosts, host):
        return False
    if origin is None:
        return True
    scheme, separator, name = origin.partition(b"://")
    return bool(separator) and scheme in (b"http", b"https") and _is_host(hosts, name)


def _is_host(hosts: Collection[str], given: bytes) -> bool:
    try:
        name = urlsplit("//" + given.decode("ascii")).hostname
    except ValueError:
        return False
    if name is None or not re.fullmatch(rb"[\w.\-\[\]:]+", given):
        return False
    # By its address nobody can be led here from another site, unlike by a name.
    return name in hosts or (ANY_ADDRESS in hosts and _is_address(name))


def hosts_of(listener: socket.socket, allowed: Iterable[str] = ()) -> set[str]:
    """Returns the names under which a page is asked for: its address, and those allowed.

    A page on all addresses of the machine (0.0.0.0, ::) answers to any address, to the machine's
    name and to localhost, but to no other name.
    """
    host = listener.getsockname()[0]
    hosts = {host.lower(), *(name.lower() for name in allowed)}
    address = ipaddress.ip_address(host)
    if address.is_loopback or address.is_unspecified:
        hosts.add("localhost")
    if address.is_unspecified:
        name = socket.gethostname().lower()
        hosts |= {ANY_ADDRESS, name, f"{name}.local"}
    return hosts


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _paths_in(value: Any) -> Iterable[Any]:
    """Yields what stands under `path` anywhere in parsed JSON."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "path" in value:
                yield value["path"]
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


async def _read(receive: Any) -> bytes | None:
    """Returns the whole body, or None if it is too long or its sender is gone."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MAX_REQUEST_BYTES:
            return None
    return body


async def _refuse(send: Any, sentence: bytes = _REFUSAL) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": sentence})
