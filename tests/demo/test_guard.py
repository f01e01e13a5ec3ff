"""What the page's server refuses: files that nobody uploaded, other routes and other hosts."""

import asyncio
import json
import os
import signal
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.demo import guard
from stya2k_jax.demo.server import listen
from tests.support.demo_server import (
    PATIENCE_S,
    Served,
    paint_request,
    post,
    upload,
    uploaded,
)
from tests.support.picture_files import noise, saved

REFUSED = (400, "Upload the pictures.")


@pytest.fixture
def folder(tmp_path):
    """Makes uploads with one file, and beside them what a server has."""
    uploads = tmp_path / "uploads"
    (uploads / "abc").mkdir(parents=True)
    (uploads / "abc" / "photo.png").write_bytes(b"an upload")
    (tmp_path / "uploads-of-another" / "x.png").parent.mkdir()
    (tmp_path / "uploads-of-another" / "x.png").touch()
    (tmp_path / "secret.png").write_bytes(b"a secret")
    (uploads / "link.png").symlink_to(tmp_path / "secret.png")
    (uploads / "folder-link").symlink_to(tmp_path)
    (uploads / "dangling.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(uploads / "fifo.png")
    (uploads / "inside.png").symlink_to(uploads / "abc" / "photo.png")
    return uploads


FOREIGN = [
    *(
        "{0}/../secret.png",
        "{0}/abc/../../secret.png",
        "{0}/link.png",
        "{0}/folder-link/secret.png",
    ),
    *("{0}/dangling.png", "{0}/fifo.png", "{0}/abc", "{0}", "{0}/", "{0}/gone.png"),
    *(
        "{0}-of-another/x.png",
        "file://{0}/abc/photo.png",
        "{0}/abc/photo.png\0",
        "{0}%2Fabc%2Fphoto.png",
    ),
    *(
        "/dev/zero",
        "/dev/stdin",
        "/proc/self/environ",
        "/etc/passwd",
        "/",
        "",
        ".",
        "abc/photo.png",
    ),
    *("http://192.0.2.1/a.png", "//etc/passwd", "\udcff", "~/photo.png"),
]


@pytest.mark.parametrize("path", FOREIGN)
def test_only_regular_files_below_the_uploads_are_owned(folder, path):
    assert not guard.Uploads(folder).owns(path.format(folder))


@pytest.mark.parametrize("value", [None, 3, True, b"/etc/passwd", ["/etc/passwd"], {"path": "x"}])
def test_what_is_no_path_is_not_owned(folder, value):
    assert not guard.Uploads(folder).owns(value)


def test_uploads_are_owned_however_their_path_is_written(folder, monkeypatch):
    uploads = guard.Uploads(folder)
    monkeypatch.chdir(folder)
    for path in (f"{folder}/abc/photo.png", f"{folder}//abc/../abc/photo.png", "abc/photo.png"):
        assert uploads.owns(path)
    assert uploads.owns(f"{folder}/inside.png")


def test_the_file_system_is_not_asked_about_other_places(folder, monkeypatch):
    uploads = guard.Uploads(folder)

    def refuse(*given, **more):
        raise AssertionError(given)

    for name in ("stat", "lstat", "open", "scandir"):
        monkeypatch.setattr(os, name, refuse)
    assert not uploads.owns("/net/share/photo.png")


### Requests to a guarded application


def ask(
    folder: Path,
    method: str = "POST",
    path: str = "/gradio_api/queue/join",
    body: object = None,
    **headers: str,
) -> tuple[int, bytes, bytes | None]:
    """Sends a request; returns status, answer and the body that went through, if any."""
    given = []

    async def application(scope, receive, send):
        given.append((await receive()).get("body", b""))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"painted"})

    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    incoming = [{"type": "http.request", "body": data}]
    sent = []

    async def receive():
        return incoming.pop(0)

    async def send(message):
        sent.append(message)

    headers = {"host": "127.0.0.1:7860"} | headers
    scope = dict(
        type="http",
        method=method,
        path=path,
        headers=[(name.encode(), value.encode()) for name, value in headers.items()],
    )
    guarded = guard.Guard(application, guard.Uploads(folder), ["127.0.0.1", "localhost"], 1000)
    asyncio.run(guarded(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], given[0] if given else None


NESTED = [
    lambda x: {"data": [x]},
    lambda x: {"data": [[{"image": x, "caption": "a gallery"}]]},
    lambda x: {"data": [{"files": {"deep": [None, {"root": [x]}]}}]},
    lambda x: {"data": [], "event_data": {"value": x}},
    lambda x: [x],
    lambda x: x,
    lambda x: {"data": [{"path": x}]},
]


@pytest.mark.parametrize("nested", NESTED)
def test_a_foreign_path_is_refused_wherever_it_stands_in_a_request(folder, nested):
    own, foreign = str(folder / "abc" / "photo.png"), str(folder.parent / "secret.png")
    refused = ask(folder, body=nested(uploaded(foreign)))
    assert refused == (*REFUSED[:1], REFUSED[1].encode(), None)
    assert ask(folder, body={"data": [uploaded(own)]})[:2] == (200, b"painted")


def test_a_key_that_is_given_twice_is_checked_as_it_will_be_read(folder):
    own, foreign = str(folder / "abc" / "photo.png"), str(folder.parent / "secret.png")
    for first, second in ((own, foreign), (foreign, own)):
        body = f'{{"data": [{{"path": "{first}", "path": "{second}"}}]}}'.encode()
        status, _, read = ask(folder, body=body)
        assert status == 400 if second == foreign else foreign.encode() not in read


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_encoded_forms_of_a_path_are_seen_through(folder, encoding):
    body = json.dumps({"data": [uploaded("/etc/passwd")]}).replace("/", "\\u002f").encode(encoding)
    assert ask(folder, body=body)[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            ("GET", path)
            for path in ("/gradio_api/proxy=http://192.0.2.1/", "/monitoring", "/docs")
        ),
        *(("GET", path) for path in ("/gradio_api/file/etc/passwd", "/gradio_api/stream/a/b/1/p")),
        *(("POST", path) for path in ("/gradio_api/run/predict", "/gradio_api/api/x", "/login")),
        *(("POST", path) for path in ("/gradio_api/component_server", "/gradio_api/call/on_paint")),
        *(("PUT", "/"), ("OPTIONS", "/gradio_api/queue/join"), ("DELETE", "/"), ("POST", "/")),
    ],
)
def test_routes_that_the_page_does_not_use_are_refused(folder, method, path):
    assert ask(folder, method, path)[::2] == (400, None)


@pytest.mark.parametrize("path", FOREIGN)
def test_no_foreign_file_is_handed_out(folder, path):
    answer = ask(folder, "GET", f"/gradio_api/file={path.format(folder)}")
    assert answer == (*REFUSED[:1], REFUSED[1].encode(), None)


@pytest.mark.parametrize(
    "headers",
    [
        *(
            {"host": host}
            for host in ("evil.example", "evil.example:7860", "", "a@127.0.0.1", "127.1")
        ),
        *({"host": host} for host in ("127.0.0.1.evil.example", "192.0.2.1", "127.0.0.1/x", "[")),
        *({"origin": origin} for origin in ("http://evil.example", "null", "file://", "127.0.0.1")),
    ],
)
def test_other_hosts_and_pages_of_other_sites_are_refused(folder, headers):
    assert ask(folder, "GET", "/", **headers)[::2] == (400, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:7860", "localhost:80", "LOCALHOST"])
def test_the_names_of_the_server_are_answered(folder, host):
    assert ask(folder, "GET", "/", host=host, origin=f"http://{host}")[0] == 200


def test_a_page_for_the_network_answers_to_addresses_and_to_names_that_were_allowed():
    with listen("0.0.0.0", 0) as listener:
        hosts = guard.hosts_of(listener, ["Paint.Example"])
    name = socket.gethostname()
    for host in ("192.0.2.7:7860", "[2001:db8::1]:80", "localhost", name, "paint.example"):
        assert guard.is_own_request(hosts, host.encode(), None)
    assert not guard.is_own_request(hosts, b"evil.example", None)


def test_an_upload_without_end_is_cut_off(folder):
    async def application(scope, receive, send):
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    async def receive():
        return {"type": "http.request", "body": b"x" * 600, "more_body": True}

    guarded = guard.Guard(application, guard.Uploads(folder), ["localhost"], 1000)
    scope = dict(
        type="http", method="POST", path="/gradio_api/upload", headers=[(b"host", b"localhost")]
    )
    asyncio.run(guarded(scope, receive, None))


### A served page


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serves with a temporary folder of its own; returns the server and that folder."""
    place = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(place))
        with Served("mixer", tmp_path_factory.mktemp("notes")) as served:
            yield served, place


def result_of(url: str, visitor: str) -> dict:
    """Waits for the answer to a visitor's request."""
    address = f"{url}/gradio_api/queue/data?session_hash={visitor}"
    with urllib.request.urlopen(address, timeout=PATIENCE_S) as lines:
        for line in lines:
            if line.startswith(b"data:") and b"process_completed" in line:
                return json.loads(line[5:])["output"]
    raise AssertionError("no answer")


def test_nothing_of_the_server_is_painted_copied_or_told(served, tmp_path):
    server, place = served
    secret = saved(tmp_path / "secret.png", noise(7, 150, 200, 3))
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link.png").symlink_to(secret)
    before = sorted(place.rglob("*"))
    # What is not there is answered like what is.
    paths = [secret, tmp_path / "link.png", tmp_path / "fifo", tmp_path, tmp_path / "gone.png"]
    for path in [*paths, "/dev/zero", "/proc/self/environ", f"file://{secret}", "../secret.png"]:
        request = paint_request(server.url, uploaded(str(path)), "thief")
        assert post(f"{server.url}/gradio_api/queue/join", request) == REFUSED
        address = f"{server.url}/gradio_api/file={urllib.parse.quote(str(path))}"
        with pytest.raises(urllib.error.HTTPError, match="400") as refused:
            urllib.request.urlopen(address, timeout=PATIENCE_S)
        with refused.value as error:
            assert error.read().decode() == REFUSED[1]
    assert sorted(place.rglob("*")) == before


def test_an_upload_is_painted_after_all_that_and_its_result_handed_out(served, tmp_path):
    server, place = served
    path = saved(tmp_path / "photo.png", noise(8, 150, 200, 3))
    own = upload(server.url, path)
    assert Path(own).is_relative_to(place)
    request = paint_request(server.url, uploaded(own), "honest")
    assert post(f"{server.url}/gradio_api/queue/join", request)[0] == 200
    before, after = result_of(server.url, "honest")["data"][0]
    with urllib.request.urlopen(f"{server.url}/gradio_api/file={before['path']}") as file:
        picture = np.asarray(Image.open(file))
    assert picture.shape[2] == 3 and min(picture.shape[:2]) == 128
    assert after["path"] != before["path"]


def test_a_foreign_host_is_not_answered_nor_allowed_to_read(served):
    request = urllib.request.Request(
        f"{served[0].url}/config", headers={"Host": "evil.example", "Origin": "http://evil.example"}
    )
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        urllib.request.urlopen(request, timeout=PATIENCE_S)
    with refused.value as error:
        assert "access-control-allow-origin" not in error.headers


def test_a_signal_ends_the_server_while_it_paints_and_removes_the_uploads(tmp_path, monkeypatch):
    place = tmp_path / "served"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    with Served("slow", tmp_path) as server:
        own = upload(server.url, saved(tmp_path / "photo.png", noise(8, 150, 200, 3)))
        request = paint_request(server.url, uploaded(own), "patient")
        assert post(f"{server.url}/gradio_api/queue/join", request)[0] == 200
        address = f"{server.url}/gradio_api/queue/data?session_hash=patient"
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as lines:
            while b"process_starts" not in next(lines):
                pass
            time.sleep(0.5)  # so that it is not at the door
            server.process.send_signal(signal.SIGTERM)
            _, errors = server.process.communicate(timeout=PATIENCE_S)
    assert (server.process.returncode, errors) == (0, "")
    assert not list(place.glob("stya2k-demo-*"))
