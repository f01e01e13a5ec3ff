"""How fast the static site paints in chromium, beside onnxruntime in Python with one thread.

stya2k export --format=web --runtime=package --output=site   # see docs/web.md
python -m benchmarks.site --site=site
python -m benchmarks.site --site=site --size=256 --nocamera

Needs chromium, Playwright and onnxruntime. The two take turns on one drawn picture, with the style
kept. Then the page paints chromium's camera, which shows a moving picture, at each height.
"""

import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime
from absl import flags
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from stya2k_jax.commands import command_line
from tests.support.chromium import launched
from tests.support.site import served

SITE = flags.DEFINE_string("site", "site", "Folder of the site, with the runtime in it.")
SIZE = flags.DEFINE_enum("size", "512", ["256", "384", "512"], "Side of the picture in pixels.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "How often each is timed; the first two warm up.")
CAMERA = flags.DEFINE_bool("camera", True, "Measure the camera's rate too.")
CAMERA_S = flags.DEFINE_integer("camera_s", 10, "Seconds before the camera's rate is read.")
PATIENCE_MS = 120_000


def main(_) -> None:
    """Times a picture, then the camera."""
    site = Path(SITE.value)
    photo, style = (site / "examples" / x for x in ("contents-landscape.jpg", "styles-waves.jpg"))
    in_python = onnxruntime_of(site, photo, style, int(SIZE.value))
    with served(site) as url, sync_playwright() as playwright:
        browser = launched(playwright)
        page = browser.new_page()
        page.goto(url)
        page.click("#photo-examples [aria-label=landscape]")
        page.click("#style-examples [aria-label=waves]")
        page.select_option("#size", SIZE.value)
        expect(page.locator("#status")).to_have_text("Ready to paint.")
        rounds = [(in_browser(page), in_python()) for _ in range(ROUNDS.value)][2:]
        ours, theirs = (statistics.median(x) for x in zip(*rounds, strict=True))
        print(f"{SIZE.value}x{SIZE.value}: chromium {ours:.3f} s, {page.inner_text('#status')}")
        print(f"onnxruntime in Python, one thread: {theirs:.3f} s; ratio {ours / theirs:.2f}")
        for height in ("240", "192", "128") if CAMERA.value else ():
            page.select_option("#camera-size", height)
            page.click("#camera-start")
            page.wait_for_timeout(1000 * CAMERA_S.value)
            print(page.inner_text("#camera-status"))
            page.click("#camera-stop")
        browser.close()


def onnxruntime_of(site: Path, photo: Path, style: Path, size_px: int):
    """Returns what paints the photograph once and returns the seconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    encode, paint = (
        onnxruntime.InferenceSession(site / f"{half}.onnx", options)
        for half in ("style", "content")
    )
    names = [output.name for output in encode.get_outputs()]
    keys = dict(zip(names, encode.run(names, {"picture": floats(style)}), strict=True))
    size = np.array([size_px, size_px], np.int32)
    inputs = {"picture": floats(photo, size_px), "size": size, **keys}

    def seconds() -> float:
        begin = time.perf_counter()
        paint.run(["stylized"], inputs)
        return time.perf_counter() - begin

    return seconds


def floats(path: Path, size_px: int | None = None) -> np.ndarray:
    """Reads a square picture as `[1, H, W, 3]`, floats in [0, 1], at a size."""
    image = Image.open(path)
    image = image if size_px is None else image.resize((size_px, size_px))
    return np.asarray(image, np.float32)[None] / 255


def in_browser(page: Page) -> float:
    """Paints once in the page and returns the worker's seconds."""
    page.evaluate("delete document.querySelector('#result').dataset.seconds")
    page.click("#paint")
    done = page.locator("#result[data-seconds]")
    done.wait_for(timeout=PATIENCE_MS)
    expect(page.locator("#status")).to_contain_text("Painted", timeout=PATIENCE_MS)
    return float(done.get_attribute("data-seconds"))


if __name__ == "__main__":
    command_line.run(main)
