"""The server of `stya2k webcam` paints frames of its own page, and refuses everything else."""

import http.client
import json
import threading
import time
from contextlib import closing
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.commands.webcam import find_styles
from stya2k_jax.demo.camera_server import MAX_FRAME_BYTES, CameraServer
from stya2k_jax.demo.server import listen
from stya2k_jax.errors import UserError
from tests.support.picture_files import encoded, noise, saved

WIDTH, HEIGHT = 60, 40
FATAL = 7, 7  # a frame of this size meets a bug


class Tint:
    """Stands in for `Stylizer`: a result has the style's mean color."""

    def encode_style(self, image):
        return tuple(int(x) for x in np.asarray(image).mean((0, 1)))

    def __call__(self, frame, style):
        if frame.size == FATAL:
            raise RuntimeError("a secret")
        return Image.new("RGB", frame.size, style)


@pytest.fixture(scope="module")
def served():
    styles = {"red": Image.new("RGB", (20, 20), "red"), "blue": Image.new("RGB", (300, 90), "blue")}
    with listen("127.0.0.1", 0) as listener, CameraServer(Tint(), styles, listener) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield listener.getsockname()
        server.shutdown()
        thread.join()


def ask(served, method: str, path: str, body: bytes | None = None, **headers: str):
    """Returns status, type and body of an answer."""
    with closing(http.client.HTTPConnection(*served, timeout=60)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()


def frame(width: int = WIDTH, height: int = HEIGHT, kind: str = "JPEG") -> bytes:
    return encoded(Image.new("RGB", (width, height), "green"), kind)


def test_a_frame_comes_back_painted(served):
    for style, color in (("0", (255, 0, 0)), ("1", (0, 0, 255))):
        status, kind, body = ask(served, "POST", f"/frame/{style}", frame())
        image = Image.open(BytesIO(body))
        assert (status, kind, image.format) == (200, "image/jpeg", "JPEG")
        assert image.size == (WIDTH, HEIGHT)
        np.testing.assert_allclose(np.asarray(image), np.broadcast_to(color, (40, 60, 3)), atol=3)


def test_one_connection_serves_many_frames(served):
    with closing(http.client.HTTPConnection(*served, timeout=60)) as connection:
        for _ in range(3):
            connection.request("POST", "/frame/0", frame())
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read()
            assert not answer.will_close


def test_the_page_its_parts_and_its_styles_are_served(served):
    status, kind, page = ask(served, "GET", "/")
    assert status == 200 and kind.startswith("text/html")
    for name in ("style.css", "camera.js"):
        assert name.encode() in page
        assert ask(served, "GET", f"/{name}")[0] == 200
    assert json.loads(ask(served, "GET", "/styles")[2]) == ["red", "blue"]
    assert Image.open(BytesIO(ask(served, "GET", "/styles/1")[2])).width == 128


@pytest.mark.parametrize(
    "path",
    ["/styles/2", "/styles/-1", "/styles/²", "/styles/", "/../guard.py", "/camera_server.py"],
)
def test_nothing_else_is_served(served, path):
    assert ask(served, "GET", path.replace("²", "%C2%B2"))[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
    ],
)
@pytest.mark.parametrize("method, path", [("GET", "/"), ("POST", "/frame/0")])
def test_pages_of_other_sites_are_refused(served, headers, method, path):
    body = frame() if method == "POST" else None
    status, kind, said = ask(served, method, path, body, **headers)
    assert (status, kind) == (400, "text/plain") and b"not served" in said


def test_its_own_page_may_ask(served):
    origin = "http://{}:{}".format(*served)
    assert ask(served, "POST", "/frame/0", frame(), Origin=origin)[0] == 200
    assert ask(served, "GET", "/", Host=f"localhost:{served[1]}")[0] == 200


@pytest.mark.parametrize(
    "body, said",
    [
        (b"", "not a picture"),
        (b"\xff\xd8\xff" + bytes(100), "not a picture"),
        (frame()[:300], "The frame"),
        (frame(4000, 4000, "PNG"), "4000×4000"),
        (bytes(MAX_FRAME_BYTES + 1), "4 MB"),
    ],
)
def test_a_bad_frame_is_answered_in_words_and_the_next_one_painted(served, body, said):
    try:
        status, kind, answer = ask(served, "POST", "/frame/0", body)
    except ConnectionError:  # it did not wait for so much
        assert len(body) > MAX_FRAME_BYTES
    else:
        assert (status, kind) == (400, "text/plain") and said in answer.decode()
    assert ask(served, "POST", "/frame/0", frame())[0] == 200


def test_a_bug_is_described_where_the_server_runs_and_nowhere_else(served, capsys):
    status, kind, said = ask(served, "POST", "/frame/0", frame(*FATAL))
    assert (status, kind) == (500, "text/plain") and b"an error of its own" in said
    assert b"secret" not in said and ask(served, "POST", "/frame/0", frame())[0] == 200
    deadline = time.monotonic() + 10
    printed = capsys.readouterr().err
    while "RuntimeError: a secret" not in printed and time.monotonic() < deadline:
        time.sleep(0.05)
        printed += capsys.readouterr().err
    assert "RuntimeError: a secret" in printed


@pytest.mark.parametrize("length", [None, "many", "-1", "9" * 30])
def test_a_frame_without_a_fair_length_is_refused(served, length):
    with closing(http.client.HTTPConnection(*served, timeout=60)) as connection:
        connection.putrequest("POST", "/frame/0")
        if length is not None:
            connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status == 400


def test_a_style_that_is_not_there_paints_nothing(served):
    assert ask(served, "POST", "/frame/2", frame())[0] == 404


def test_styles_are_files_folders_and_drawn_ones(tmp_path, capsys):
    for name in ("a/one.png", "a/two.png", "b/one.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        saved(tmp_path / name, noise(0, 30, 50, 3))
    (tmp_path / "a" / "broken.png").write_bytes(b"no picture")
    found = find_styles([str(tmp_path / "a"), str(tmp_path / "b/one.png"), "drawn:waves"])
    assert list(found) == ["one.png", "two.png", "one.png (2)", "waves"]
    assert {image.size for image in found.values()} == {(256, 256)}
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'a' / 'broken.png'}")


def test_styles_that_cannot_be_used_are_said(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="None of these"):
        find_styles([str(tmp_path / "broken.png")])
    with pytest.raises(UserError, match="exist"):
        find_styles([str(tmp_path / "absent.png")])
    for i in range(30):
        saved(tmp_path / f"{i}.png", noise(0, 8, 8, 3))
    with pytest.raises(UserError, match="31 paintings"):
        find_styles([str(tmp_path)])
    with pytest.raises(UserError, match="25 paintings"):
        find_styles(["drawn:waves"] * 25)
