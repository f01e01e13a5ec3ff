"""The demo served by a process of its own, and what stands in for its `Stylizer`."""

import importlib.util
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax import Stylizer
from stya2k_jax.demo.server import listen, serve
from tests.support.paths import ROOT
from tests.support.small_model import small_model

PATIENCE_S = 120


class Mixer:
    """Stands in for `Stylizer`: mixes the content with the styles' mean color.

    Fails if two use it at once.
    """

    def __init__(self, pause_s: float = 0.0):
        """Waits for a while with each picture."""
        self.pause_s, self.busy, self.mixed = pause_s, False, []

    def encode_style(self, images, weights=None):
        """Returns the weighted mean of the styles' colors."""
        self.mixed.append([round(weight, 6) for weight in weights])
        means = [np.asarray(image, np.float64).mean((0, 1)) for image in images]
        return sum(w * mean for w, mean in zip(weights, means, strict=True))

    def __call__(self, content, style, *, alpha=1.0, preserve_color="none"):
        assert not self.busy
        self.busy = True
        time.sleep(self.pause_s)
        self.busy = False
        pixels = np.asarray(content, np.float64)
        keep = {"none": 1.0, "luminance": 0.5, "match": 0.25}[preserve_color]
        return Image.fromarray(np.uint8(pixels + alpha / 2 * keep * (style - pixels)))


def start(*command: str) -> subprocess.Popen:
    """Starts Python with a command line, in a process whose output can be read as text."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def needs_gradio() -> None:
    """Skips the test where Gradio is not installed."""
    if not importlib.util.find_spec("gradio"):
        pytest.skip("the demo needs Gradio: pip install '.[demo]'")


def serve_and_note(kind: str, connections: str) -> None:
    """Runs in a process of its own: serves, and writes down which hosts it looks for."""

    def note(event: str, args: tuple) -> None:
        if event not in ("socket.connect", "socket.getaddrinfo"):
            return
        host = args[0] if event == "socket.getaddrinfo" else args[1][0]
        with open(connections, "a", encoding="utf-8") as file:
            file.write(f"{host}\n")

    sys.addaudithook(note)
    sys.modules["uvloop"] = None  # which raises no such events; uvicorn takes asyncio then
    stylizers = {
        "mixer": lambda: Mixer(pause_s=0.3),
        "slow": lambda: Mixer(pause_s=1000),
        "broken": Broken,
        "real": real_stylizer,
    }
    with listen("127.0.0.1", 0) as listener:
        serve(stylizers[kind](), listener)


class Broken:
    """Stands in for a `Stylizer` with a bug."""

    def encode_style(self, images, weights=None):
        raise RuntimeError("a secret")


def real_stylizer() -> Stylizer:
    """Returns one of the small model."""
    return Stylizer(small_model()[0])


class Served:
    """A page that another process serves, until the end of a `with` block."""

    def __init__(self, kind: str, folder: Path):
        """Waits until it is served."""
        needs_gradio()
        self._connections = folder / f"{kind}.txt"
        call = f"serve_and_note({kind!r}, {str(self._connections)!r})"
        self.process = start("-c", f"from tests.support.demo_server import serve_and_note; {call}")
        said = self.process.stdout.readline()
        assert said.startswith("Open http"), self.process.communicate()
        self.url = said.split()[1]

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE_S)

    def elsewhere(self) -> list[str]:
        """Returns the hosts that it has looked for beside this machine."""
        if not self._connections.exists():
            return []
        hosts = self._connections.read_text(encoding="utf-8").splitlines()
        return [host for host in hosts if host not in ("127.0.0.1", "localhost")]

    def end(self) -> str:
        """Ends it by SIGTERM and returns what it wrote to stderr."""
        self.process.terminate()
        errors = self.process.communicate(timeout=PATIENCE_S)[1]
        assert self.process.returncode == 0
        return errors


def post(url: str, content: object, **headers: str) -> tuple[int, str]:
    """Sends JSON, or bytes as they are; returns the status and the answer."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def page_config(url: str) -> dict:
    with urllib.request.urlopen(f"{url}/config", timeout=PATIENCE_S) as answer:
        return json.load(answer)


def paint_index(url: str) -> tuple[int, list[int]]:
    """Returns the number of the paint event and of its inputs."""
    config = page_config(url)
    [button] = [x["id"] for x in config["components"] if x["props"].get("elem_id") == "paint"]
    [event] = [x for x in config["dependencies"] if [button, "click"] in map(list, x["targets"])]
    return event["id"], event["inputs"]


def upload(url: str, path: Path) -> str:
    """Uploads a picture; returns its path on the server."""
    mark = "a-line-between-files"
    head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n'
    body = f"{head}Content-Type: image/png\r\n\r\n".encode() + path.read_bytes()
    body += f"\r\n--{mark}--\r\n".encode()
    kind = f"multipart/form-data; boundary={mark}"
    status, answer = post(f"{url}/gradio_api/upload", body, **{"content-type": kind})
    assert status == 200, answer
    return json.loads(answer)[0]


def paint_request(url: str, picture: object, visitor: str) -> dict:
    """Returns the request of a click on Paint, with one picture as content and first style."""
    index, inputs = paint_index(url)
    components = {x["id"]: x["props"].get("elem_id") or "" for x in page_config(url)["components"]}
    known = {"content": picture, "style-1": picture, "alpha": 0.5, "size": 128, "colour": "none"}
    data = [
        known.get(name, 1 if name.startswith("weight") else None)
        for name in (components[number] for number in inputs)
    ]
    return dict(data=data, fn_index=index, session_hash=visitor)


def uploaded(path: str) -> dict:
    """Returns how a request names a file."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
