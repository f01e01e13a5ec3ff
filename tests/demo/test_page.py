"""The demo: what its button does, the server around it, and the page as a browser shows it.

Servers run in processes of their own. The browser is the system's chromium, driven by Playwright;
without one of them, or without Gradio, the tests that need it are skipped by name.
"""

import json
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax import UserError
from stya2k_jax.demo import page, painting
from stya2k_jax.demo.server import listen, url_of
from stya2k_jax.errors import PictureError
from stya2k_jax.pictures.modes import to_rgb
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.pictures.resizing import resize_short_side
from tests.support.commands import run_command
from tests.support.demo_server import (
    PATIENCE_S,
    Mixer,
    Served,
    needs_gradio,
    page_config,
    paint_index,
    post,
    real_stylizer,
    start,
)
from tests.support.picture_files import encoded
from tests.support.ports import free_port

SIZE = 128
SETTINGS = dict(alpha=1.0, size_px=SIZE, preserve_color="none")


def tinted_noise(seed: int, height: int = 150, width: int = 200) -> Image.Image:
    """Draws noise around a colour of its own."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 200, 3) + rng.integers(0, 56, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture
def files(tmp_path):
    """Saves a content and four styles of different sizes."""
    sizes = [(150, 200), (128, 128), (300, 140), (90, 100), (200, 130)]
    paths = []
    for i, size in enumerate(sizes):
        paths.append(tmp_path / f"picture {i}.png")
        tinted_noise(i, *size).save(paths[-1])
    return paths


def resized(path: Path, size_px: int = SIZE) -> Image.Image:
    return resize_short_side(read_picture(path), size_px)


### What the button does


@pytest.mark.parametrize("size_px", [128, 192])
@pytest.mark.parametrize(("alpha", "colour"), [(0.0, "none"), (0.7, "luminance"), (1.5, "match")])
def test_it_paints_what_the_stylizer_makes_of_the_resized_pictures(files, size_px, alpha, colour):
    settings = dict(alpha=alpha, size_px=size_px, preserve_color=colour)
    before, after = painting.paint(Mixer(), files[0], files[1:2], [1], **settings)
    content, style = (resized(path, size_px) for path in files[:2])
    assert min(content.size) == size_px and before.size == after.size
    np.testing.assert_array_equal(before, content)
    mixer = Mixer()
    encoded = mixer.encode_style([style], weights=[1.0])
    expected = mixer(content, encoded, alpha=alpha, preserve_color=colour)
    np.testing.assert_array_equal(after, expected)
    assert (alpha == 0) == np.array_equal(before, after)


def test_styles_are_mixed_by_their_weights_and_places_without_one_are_left_out(files):
    mixer = Mixer()
    styles = [files[1], None, files[2], files[3]]
    _, after = painting.paint(mixer, files[0], styles, [0.75, 1, 0.25, 0], **SETTINGS)
    assert mixer.mixed == [[0.75, 0.25]]
    content, *means = (np.asarray(resized(path), np.float64) for path in files[:3])
    colour = 0.75 * means[0].mean((0, 1)) + 0.25 * means[1].mean((0, 1))
    np.testing.assert_allclose(after, content + (colour - content) / 2, atol=1.001)  # cut to 8 bits


def test_progress_is_told_in_order(files):
    told = []
    painting.paint(
        Mixer(), *(files[0], files[1:2], [1]), **SETTINGS, report=lambda *args: told.append(args)
    )
    fractions = [done for done, _ in told]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] < 1
    assert len({what for _, what in told}) == len(told) == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (dict(alpha=1.6), "strength is 1.6; choose one from 0 to 1.5"),
        (dict(alpha=-0.1), "strength"),
        (dict(alpha=float("nan")), "strength"),
        (dict(size_px=127), "size is 127 pixels; choose one from 128 to 1024"),
        (dict(size_px=1025), "size"),
        (dict(preserve_color="some"), "none, luminance, match, not by 'some'"),
        (dict(weights=[float("nan")] * 4), "weight"),
        (dict(weights=[-1] * 4), "weight"),
        (dict(weights=[0] * 4), "All styles have weight 0"),
        (dict(weights=[0, 1, 1, 1], styles=[0, None, None, None]), "All styles have weight 0"),
        (dict(content=None), "no content yet; upload"),
        (dict(styles=[None] * 4), "no style yet; upload"),
    ],
)
def test_what_is_missing_or_out_of_range_is_said(files, changed, message):
    given = SETTINGS | dict(content=files[0], styles=files[1:], weights=[1] * 4) | changed
    given["styles"] = [files[1] if style == 0 else style for style in given["styles"]]
    with pytest.raises(UserError, match=message):
        painting.paint(Mixer(), **given)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_usual_kinds_of_files_are_read_whatever_their_name(tmp_path, kind):
    path = tmp_path / "picture.txt"
    path.write_bytes(encoded(tinted_noise(0), kind))
    with Image.open(path) as image:
        expected = resize_short_side(to_rgb(image), SIZE)
    np.testing.assert_array_equal(painting.read_upload(path, "The content", SIZE), expected)


def test_a_picture_at_the_limit_of_its_shape_is_read(tmp_path):
    path = tmp_path / "wide.png"
    tinted_noise(0, 64, 4 * 64).save(path)
    assert painting.read_upload(path, "The content", SIZE).size == (4 * SIZE, SIZE)
    tinted_noise(0, 64, 4 * 64 + 1).save(path)
    with pytest.raises(PictureError, match="257×64 pixels; its long side may be at most 4 times"):
        painting.read_upload(path, "The content", SIZE)


def test_a_picture_that_a_camera_has_stored_turned_ends_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter
    path = tmp_path / "phone.jpg"
    path.write_bytes(encoded(tinted_noise(0, 100, 200), "JPEG", exif=exif))
    assert painting.read_upload(path, "The content", SIZE).size == (SIZE, 2 * SIZE)


BAD = {
    "text": (b"no picture at all\n", "is not a picture"),
    "nothing": (b"", "is not a picture"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "is not a picture"),
    "postscript": (encoded(tinted_noise(0), "EPS"), "is not a picture"),
    "cut_off": (encoded(tinted_noise(0), "PNG")[:5000], "cannot be read"),
    "bomb": (encoded(Image.new("1", (20_000, 20_000)), "PNG"), "too large|megapixels"),
    "too_many_pixels": (encoded(Image.new("1", (8000, 7000)), "PNG"), "8000×7000.*50 megapixels"),
    "thin": (encoded(Image.new("RGB", (30_000, 2)), "PNG"), "30000×2.*Crop it"),
    "tall": (encoded(Image.new("RGB", (2, 30_000)), "PNG"), "2×30000.*Crop it"),
    "too_many_bytes": (b"\x89PNG" + bytes(painting.MAX_FILE_BYTES), "32.0 MB.*at most 32 MB"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_is_refused_by_its_place_and_not_by_the_servers_path(tmp_path, files, name):
    data, message = BAD[name]
    path = tmp_path / "upload.png"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=f"^Style 2 .*({message})") as refused:
        painting.paint(Mixer(), files[0], [files[1], path], [1, 1], **SETTINGS)
    assert str(tmp_path) not in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["too_many_pixels", "thin", "tall"])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch, name):
    def decode(data, name):
        raise AssertionError("decoded")

    monkeypatch.setattr(painting, "decode_picture", decode)
    (tmp_path / "upload.png").write_bytes(BAD[name][0])
    with pytest.raises(PictureError):
        painting.read_upload(tmp_path / "upload.png", "The content", SIZE)


def test_an_upload_that_was_tidied_away_is_asked_for_again(tmp_path):
    with pytest.raises(PictureError, match="The content is no longer on the server; upload it"):
        painting.read_upload(tmp_path / "gone.png", "The content", SIZE)


### The command


def test_a_port_in_use_is_one_message_and_exit_code_1():
    needs_gradio()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_command("-m", "stya2k_jax", "demo", f"--port={port}")
    assert ended.returncode == 1 and not ended.stdout
    assert ended.stderr == f"error: port {port} of 127.0.0.1 is in use; choose another --port.\n"


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(UserError, match="cannot listen on port 7860 of 192.0.2.1: .*--host"):
        listen("192.0.2.1", 7860)  # reserved for documentation


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost"), ("::1", "[::1]")]
)
def test_the_address_that_is_printed_is_one_to_open(host, shown):
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with listen(host, 0) as listener:
        assert url_of(listener) == f"http://{shown}:{listener.getsockname()[1]}"


def test_without_gradio_the_command_says_what_to_install():
    code = "import sys; sys.modules['gradio'] = None; from stya2k_jax.__main__ import main; main()"
    ended = run_command("-c", code, "demo", f"--port={free_port()}")
    assert ended.returncode == 1 and not ended.stdout
    message = "error: The demo needs Gradio; install it with: pip install 'stya2k-jax[demo]'\n"
    assert ended.stderr == message


def test_the_command_serves_this_machine_alone_and_ends_without_leaving_files(
    tmp_path, monkeypatch
):
    needs_gradio()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    port = free_port()
    process = start("-m", "stya2k_jax", "demo", f"--port={port}")
    try:
        assert process.stdout.readline() == f"Open http://127.0.0.1:{port} (Ctrl-C ends the demo)\n"
        assert page_config(f"http://127.0.0.1:{port}")["title"] == "StyA2K"
        with pytest.raises(ConnectionRefusedError):  # 0.0.0.0 would accept this
            socket.create_connection(("127.0.0.2", port), timeout=PATIENCE_S)
        assert any(tmp_path.glob("stya2k-demo-*"))
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output, errors) == (0, "", "")
    assert not any(tmp_path.glob("stya2k-demo-*"))


### The server


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Served("mixer", tmp_path_factory.mktemp("served")) as served:
        yield served
        assert served.end() == ""


def test_nothing_is_told_to_gradios_makers_nor_kept_in_the_browser(served):
    config = page_config(served.url)
    assert config["analytics_enabled"] is False and config["run_history"] is False
    assert config["footer_links"] == []


def test_no_request_passes_the_queue_by(served):
    index, inputs = paint_index(served.url)
    body = dict(data=[None] * len(inputs), fn_index=index, session_hash="x")
    for name in ("predict", "on_paint"):
        status, _ = post(f"{served.url}/gradio_api/run/{name}", body)
        assert status >= 400


@pytest.mark.parametrize("address", ["http://pictures.invalid/a.png", "HTTPS://192.0.2.1/a.png"])
def test_a_picture_named_by_its_address_is_not_fetched(served, address):
    index, inputs = paint_index(served.url)
    picture = {"path": address, "meta": {"_type": "gradio.FileData"}}
    body = dict(data=[picture] * len(inputs), fn_index=index, session_hash="x")
    escaped = json.dumps(body).replace("://", ":\\u002f\\u002f").encode()
    for data in (body, escaped):
        assert post(f"{served.url}/gradio_api/queue/join", data) == (400, "Upload the pictures.")
    for route in ("file=", "file/", "proxy=", "stream/"):
        with pytest.raises(urllib.error.HTTPError, match="400") as refused:
            urllib.request.urlopen(f"{served.url}/gradio_api/{route}{address}", timeout=PATIENCE_S)
        refused.value.close()
    assert not served.elsewhere()


def test_a_request_that_is_too_long_or_no_json_is_refused(served):
    url = f"{served.url}/gradio_api/queue/join"
    assert post(url, b"{" + b" " * 2**21)[0] == 400
    assert post(url, b"no json")[0] == 422


### The browser


class Visitor:
    """One window of the browser on the page."""

    def __init__(self, browser, url: str):
        """Opens the page."""
        self.requests: list[str] = []
        self.window = browser.new_context(viewport=dict(width=1280, height=940)).new_page()
        self.window.set_default_timeout(1000 * PATIENCE_S)
        self.window.on("request", lambda request: self.requests.append(request.url))
        self.window.goto(url)
        self.window.wait_for_selector("#paint")

    def upload(self, place: str, path: Path) -> None:
        """Gives a file to a place and waits until it is shown there."""
        self.window.set_input_files(f"#{place} input[type=file]", path)
        self.window.wait_for_selector(f"#{place} img", state="attached")

    def set(self, slider: str, value: float) -> None:
        """Types a value beside a slider."""
        self.window.fill(f"#{slider} input[type=number]", str(value))
        self.window.press(f"#{slider} input[type=number]", "Tab")

    def press_paint(self) -> None:
        """Asks for a picture."""
        self.window.click("#paint")

    def result(self) -> np.ndarray:
        """Waits for the picture and downloads it, uint8 `[H, W, 3]`."""
        self.window.wait_for_selector("#result a[download], .toast-body")
        assert not self.window.locator(".toast-body").count(), self.message()
        with self.window.expect_download() as download:
            self.window.click("#result a[download] button")
        return np.asarray(Image.open(download.value.path()).convert("RGB"))

    def message(self) -> str:
        """Waits for a message on the page, closes it and returns it."""
        toast = self.window.wait_for_selector(".toast-body")
        text = toast.inner_text()
        self.window.click(".toast-close")
        self.window.wait_for_selector(".toast-body", state="detached")
        return text


@pytest.fixture
def visit(browser):
    """Returns what opens a page in a window of its own, closed after the test."""
    opened = []

    def visit(served: Served) -> Visitor:
        opened.append(Visitor(browser, served.url))
        return opened[-1]

    yield visit
    for visitor in opened:
        visitor.window.context.close()


@pytest.mark.browser
def test_an_upload_is_painted_as_from_python_and_nothing_outside_is_asked(served, visit, files):
    visitor = visit(served)
    visitor.upload("content", files[0])
    visitor.upload("style-1", files[1])
    visitor.upload("style-3", files[3])
    visitor.set("weight-3", 0.5)
    visitor.set("alpha", 0.6)
    visitor.set("size", 192)
    visitor.window.get_by_label("luminance").check()
    visitor.press_paint()
    _, expected = painting.paint(
        Mixer(),
        files[0],
        [files[1], files[3]],
        [1, 0.5],
        alpha=0.6,
        size_px=192,
        preserve_color="luminance",
    )
    np.testing.assert_array_equal(visitor.result(), expected)
    elsewhere = [url for url in visitor.requests if not url.startswith((served.url, "data:"))]
    assert not [url for url in elsewhere if not url.startswith("blob:")]
    assert not served.elsewhere()


@pytest.mark.browser
def test_two_visitors_at_once_get_each_his_own_picture(served, visit, files):
    visitors = [visit(served), visit(served)]
    for visitor, style in zip(visitors, files[1:3], strict=True):
        visitor.upload("content", files[0])
        visitor.upload("style-1", style)
        visitor.set("size", SIZE)
    for visitor in visitors:
        visitor.press_paint()
    results = [visitor.result() for visitor in visitors]
    for result, style in zip(results, files[1:3], strict=True):
        _, expected = painting.paint(Mixer(), files[0], [style], [1], **SETTINGS)
        np.testing.assert_array_equal(result, expected)
    assert not np.array_equal(*results)


@pytest.mark.browser
def test_a_bad_upload_is_answered_by_a_sentence_on_the_page(served, visit, files, tmp_path):
    visitor = visit(served)
    visitor.press_paint()
    assert "There is no content yet; upload a picture" in visitor.message()
    visitor.upload("content", files[0])
    path = tmp_path / "<b>upload.png"
    path.write_bytes(BAD["text"][0])
    visitor.upload("style-1", path)
    visitor.press_paint()
    message = visitor.message()
    assert "Style 1 is not a picture (JPEG, PNG" in message and "Traceback" not in message
    for name, data in (("note.txt", b"text"), ("large.png", BAD["too_many_bytes"][0])):
        (tmp_path / name).write_bytes(data)
        visitor.window.set_input_files("#style-2 input[type=file]", tmp_path / name)
        assert name in visitor.message()


@pytest.mark.browser
def test_examples_fill_the_next_free_place_and_can_be_painted(served, visit):
    contents, styles = page.contents_and_styles(page.EXAMPLES_PX)
    visitor = visit(served)
    examples = visitor.window.locator(".gallery-item")
    assert examples.count() == len(contents) + len(styles)
    examples.first.click()
    visitor.window.wait_for_selector("#content img")
    for place in range(1, page.MAX_STYLES + 1):
        examples.nth(len(contents) + place).click()
        visitor.window.wait_for_selector(f"#style-{place} img")
    examples.last.click()
    assert "All 4 styles are taken" in visitor.message()
    visitor.set("size", SIZE)
    visitor.press_paint()
    content, *chosen = (
        resize_short_side(image, SIZE)
        for image in [next(iter(contents.values())), *list(styles.values())[1:5]]
    )
    mixer = Mixer()
    expected = mixer(content, mixer.encode_style(chosen, weights=[0.25] * 4))
    np.testing.assert_array_equal(visitor.result(), expected)


@pytest.mark.browser
def test_a_bug_is_told_without_its_traceback_which_the_server_prints(visit, files, tmp_path):
    with Served("broken", tmp_path) as served:
        visitor = visit(served)
        visitor.upload("content", files[0])
        visitor.upload("style-1", files[1])
        visitor.press_paint()
        message = visitor.message()
        assert "The server met an error of its own" in message and "secret" not in message
        assert "RuntimeError: a secret" in served.end()


@pytest.mark.browser
def test_the_model_paints_on_the_page_what_it_paints_from_python(visit, files, tmp_path):
    with Served("real", tmp_path) as served:
        visitor = visit(served)
        visitor.upload("content", files[0])
        for place, path in ((1, files[1]), (2, files[2])):
            visitor.upload(f"style-{place}", path)
        visitor.set("weight-2", 0.5)
        visitor.set("alpha", 0.8)
        visitor.set("size", SIZE)
        visitor.window.get_by_label("luminance").check()
        visitor.press_paint()
        result = visitor.result()
        assert served.end() == ""
    stylizer = real_stylizer()
    style = stylizer.encode_style([resized(path) for path in files[1:3]], weights=[2 / 3, 1 / 3])
    expected = stylizer(resized(files[0]), style, alpha=0.8, preserve_color="luminance")
    # Two processes may compile differently.
    difference = np.abs(result.astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 1
