"""The static site in the system's chromium: it paints what onnxruntime does, for everybody.

It is served from a folder of its own with the runtime copied in; no other request may leave it.
Without chromium, Playwright, the ONNX converter or the npm package the tests are skipped by name.
"""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from stya2k_jax import load
from stya2k_jax.pictures.synthetic import draw_content, draw_style
from stya2k_jax.web import runtime
from stya2k_jax.web.write_site import write_site
from tests.support.picture_files import ORIENTATION, noise, saved
from tests.support.site import NAMELESS, PALE_TEXTS, runtime_folder, served

pytestmark = pytest.mark.browser
PATIENCE_MS = 180_000  # of one that shares two cores with others
TOLERANCE = 2  # of 255
BOTH_KINDS = pytest.mark.parametrize("colors", ["light", "dark"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of a2k-mini."""
    pytest.importorskip("jax2onnx")
    folder = tmp_path_factory.mktemp("site") / "site"
    write_site(load(dtype="float32"), folder, runtime_folder())
    return folder


@pytest.fixture(scope="module")
def url(site):
    with served(site) as url:
        yield url


@pytest.fixture
def opened(browser, url):
    """Returns what opens the page; nothing else may be asked for, and nothing be complained of."""
    contexts, problems = [], []

    def opened(width: int = 1280, **options):
        context = browser.new_context(viewport=dict(width=width, height=900), **options)
        contexts.append(context)
        context.grant_permissions(["camera"])
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        own = (url, "data:", "blob:")
        page.route(
            lambda address: not address.startswith(own),
            lambda route: (problems.append(route.request.url), route.abort()),
        )
        page.goto(url)
        page.wait_for_selector("#style-examples button:nth-of-type(6)")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A photograph with odd sides and two paintings that the page need not resize."""
    folder = tmp_path_factory.mktemp("files")
    landscape = draw_content(2, 301)[:201]
    return (
        saved(folder / "photo.png", landscape),
        saved(folder / "wide.png", draw_style(3, 384)[:256]),
        saved(folder / "tall.png", draw_style(1, 384)[:, :320]),
    )


def says(page, pattern: str, place: str = "#status") -> str:
    """Waits until the page says something, and returns it."""
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect(page.locator(place)).to_have_text(re.compile(pattern), timeout=PATIENCE_MS)
    return page.inner_text(place)


def paint(page) -> str:
    page.click("#paint")
    return says(page, "^Painted")


def download(page, path) -> np.ndarray:
    """Returns the picture that the page saves, uint8 `[H, W, 3]`."""
    page.wait_for_timeout(500)  # the link follows a slider a little later
    with page.expect_download() as found:
        page.click("#download")
    found.value.save_as(path)
    return np.asarray(Image.open(path).convert("RGB"))


def painted_by_onnxruntime(site, photo, paintings, shares=None) -> np.ndarray:
    """Returns what the site's programs paint in Python."""
    onnxruntime = pytest.importorskip("onnxruntime")
    style = onnxruntime.InferenceSession(site / "style.onnx")
    count = len(paintings)
    content = onnxruntime.InferenceSession(
        site / ("content.onnx" if count == 1 else f"content_{count}.onnx")
    )
    names = [output.name for output in style.get_outputs()]
    inputs = {}
    for i, painting in enumerate(paintings):
        for name, array in zip(names, style.run(names, {"picture": floats(painting)}), strict=True):
            inputs[name if count == 1 else f"{i}.{name}"] = array
    if count > 1:
        inputs["shares"] = np.array(shares, np.float32)
    picture = floats(photo)
    height, width = picture.shape[1:3]
    missing = [(0, -side % 64) for side in (height, width)]
    inputs["picture"] = np.pad(picture, ((0, 0), *missing, (0, 0)), mode="edge")
    inputs["size"] = np.array([height, width], np.int32)
    wanted = {x.name for x in content.get_inputs()}
    given = {name: array for name, array in inputs.items() if name in wanted}
    (stylized,) = content.run(["stylized"], given)
    return np.clip(np.round(stylized[0, :height, :width] * 255), 0, 255)


def floats(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), np.float32)[None] / 255


### What it paints


def test_it_paints_what_onnxruntime_does_twice_and_encodes_each_style_once(
    opened, site, files, tmp_path
):
    photo, wide, tall = files
    page = opened()
    page.evaluate(
        """() => {
            self.said = [];
            const status = document.querySelector("#status");
            const options = {childList: true, characterData: true, subtree: true};
            new MutationObserver(() => said.push(status.textContent)).observe(status, options);
        }"""
    )
    page.set_input_files("#photo-file", photo)
    page.set_input_files("#style-file", wide)
    says(page, "^Ready to paint")
    assert paint(page).startswith("Painted 301 × 201 in ")
    first = download(page, tmp_path / "first.png")
    assert first.shape == (201, 301, 3)
    expected = painted_by_onnxruntime(site, photo, [wide])
    assert np.abs(first - expected).max() <= TOLERANCE
    assert np.abs(first - floats(photo)[0] * 255).mean() > 10  # it is another picture
    page.set_input_files("#style-file", tall)
    page.locator("#chosen input").first.fill("25")
    page.locator("#chosen input").last.fill("75")
    page.evaluate("said.length = 0")
    paint(page)
    second = download(page, tmp_path / "second.png")
    expected = painted_by_onnxruntime(site, photo, [wide, tall], [0.25, 0.75])
    assert np.abs(second - expected).max() <= TOLERANCE
    assert page.evaluate("said.filter(x => x.startsWith('Encoding')).length") == 1


def test_strength_mixes_and_the_slider_uncovers_without_painting_again(opened, files, tmp_path):
    page = opened()
    page.set_input_files("#photo-file", files[0])
    page.click("#style-examples button[aria-label=mosaic]")
    says(page, "^Ready")
    paint(page)
    whole = download(page, tmp_path / "whole.png").astype(float)
    photo = floats(files[0])[0] * 255
    page.fill("#strength", "40")
    half = download(page, tmp_path / "half.png")
    assert np.abs(half - (0.6 * photo + 0.4 * whole)).max() <= 1
    page.fill("#strength", "0")
    np.testing.assert_array_equal(download(page, tmp_path / "none.png"), photo.round())
    slider = page.locator("#compare input")
    cut = "getComputedStyle(document.querySelector('#compare')).getPropertyValue('--cut')"
    assert page.evaluate(cut) == "50%"
    slider.fill("20")
    assert page.evaluate(cut) == "20%"
    slider.focus()
    slider.press("ArrowRight")
    assert float(page.evaluate(cut).removesuffix("%")) > 20


def test_a_photograph_stands_upright_and_may_have_40_megapixels(opened, tmp_path):
    turned = Image.fromarray(draw_content(0, 300)[:200])
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    large = saved(tmp_path / "large.jpg", np.tile(noise(0, 155, 258, 3), (32, 32, 1)), quality=80)
    page = opened()
    page.click("#style-examples button[aria-label=waves]")
    page.set_input_files("#photo-file", tmp_path / "turned.jpg")
    assert "200 × 300" in says(page, "turned.jpg", "#photo-name")
    page.select_option("#size", "256")
    assert paint(page).startswith("Painted 171 × 256 in ")
    page.set_input_files("#photo-file", large)
    assert "8256 × 4960" in says(page, "large.jpg", "#photo-name")
    page.click("#paint")
    says(page, "^Painted 256 × 154 in ")


def test_a_damaged_file_is_named_in_a_sentence_and_the_page_goes_on(opened, files, tmp_path):
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8\xff" + noise(1, 500).tobytes())
    page = opened()
    for place in ("#photo-file", "#style-file"):
        page.set_input_files(place, damaged)
        says(page, "^damaged.jpg is no picture that this browser can read")
    assert page.locator("#chosen li").count() == 0
    page.set_input_files("#photo-file", files[0])
    says(page, "^Choose a painting")
    for _ in range(2):
        page.set_input_files("#style-file", files[1:])
    says(page, "^Three paintings are chosen already; remove one first")
    assert page.locator("#chosen li").count() == 3


def test_files_of_another_model_or_runtime_are_refused(browser, site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("changed") / "site"
    shutil.copytree(site, folder)
    with open(folder / "weights.bin", "r+b") as file:
        file.seek(1000)
        file.write(b"changed")
    with served(folder) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.click("#photo-examples button >> nth=0")
        page.click("#style-examples button >> nth=0")
        says(page, "^Ready")
        page.click("#paint")
        says(page, "weights.bin cannot be loaded, or is not the file that this page expects")
        context.close()


def test_without_a_copy_the_runtime_comes_from_the_cdn(browser, site, tmp_path):
    folder = tmp_path / "site"
    shutil.copytree(site, folder, ignore=shutil.ignore_patterns(runtime.FOLDER))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["runtime"]["base"] = runtime.CDN
    (folder / "manifest.json").write_text(json.dumps(manifest))
    asked = []

    def answer(route) -> None:  # in the place of the CDN
        asked.append(route.request.url.removeprefix(runtime.CDN))
        headers = {"Access-Control-Allow-Origin": "*"}
        route.fulfill(path=site / runtime.FOLDER / asked[-1], headers=headers)

    with served(folder) as url:
        context = browser.new_context()
        context.route(f"{runtime.CDN}*", answer)
        page = context.new_page()
        page.goto(url)
        page.click("#photo-examples button >> nth=0")
        page.click("#style-examples button >> nth=0")
        page.select_option("#size", "256")
        says(page, "^Ready")
        paint(page)
        context.close()
    assert sorted(asked) == sorted(runtime.FILES["wasm"])


### The camera


def test_the_camera_is_painted_until_it_is_stopped(opened):
    page = opened()
    page.click("#camera-start")
    says(page, "^Choose a painting first", "#camera-status")
    page.click("#style-examples button[aria-label=mosaic]")
    page.select_option("#camera-size", "128")
    page.click("#camera-start")
    words = says(page, "frames a second, painted at 171 × 128", "#camera-status")
    assert float(words.split()[0]) > 0
    picture = "document.querySelector('#camera-view').toDataURL()"
    first = page.evaluate(picture)
    page.wait_for_timeout(3000)
    assert page.evaluate(picture) != first
    page.click("#camera-stop")
    page.click("#camera-start")  # at once: the first round must end, and not go on beside it
    says(page, "frames a second", "#camera-status")
    page.click("#camera-stop")
    says(page, "^Stopped", "#camera-status")
    assert page.locator("#camera-view").is_hidden()
    assert page.evaluate("document.querySelector('#camera').srcObject") is None


### Who can use it


def test_it_can_be_used_by_the_keyboard_alone(opened):
    page = opened()
    focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.id"

    def go_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(focused) == name:
                return
        raise AssertionError(f"{name} is not reached by Tab")

    go_to("landscape")
    page.keyboard.press("Enter")
    go_to("waves")
    page.keyboard.press("Space")
    says(page, "^Ready")
    assert page.get_attribute("#style-examples [aria-label=waves]", "aria-pressed") == "true"
    go_to("size")
    page.keyboard.press("2")  # 256 pixels
    go_to("paint")
    page.keyboard.press("Enter")
    says(page, "^Painted 256 × 256")


@BOTH_KINDS
def test_names_contrast_and_width_suit_everybody(opened, colors):
    page = opened(360, color_scheme=colors)
    page.click("#photo-examples button >> nth=1")
    page.click("#style-examples button >> nth=1")
    page.click("#style-examples button >> nth=2")
    page.select_option("#size", "256")
    says(page, "^Ready")
    paint(page)
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(PALE_TEXTS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    beyond = page.evaluate(
        """() => [...document.querySelectorAll("main *")]
            .filter(x => x.checkVisibility() && x.getBoundingClientRect().right > 360.5)
            .map(x => x.outerHTML.slice(0, 100))"""
    )
    assert beyond == []


def test_the_page_says_that_pictures_stay_here(opened):
    assert "The page sends nothing" in opened().inner_text("header")
