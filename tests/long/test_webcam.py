"""The page of `stya2k webcam` in the system's chromium, whose camera shows a moving picture."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.site import NAMELESS, PALE_TEXTS

pytestmark = pytest.mark.browser
PATIENCE_MS = 120_000
VIEW = "document.querySelector('#camera-view').toDataURL()"


@pytest.fixture
def webcam():
    """Serves a2k-mini and two drawn styles; gives the process and where it is."""
    command = [sys.executable, "-m", "stya2k_jax", "webcam", "drawn:waves", "drawn:mosaic"]
    process = subprocess.Popen(
        [*command, f"--port={free_port()}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    words = process.stdout.readline().split()
    assert words and words[0] == "Open"
    yield process, words[1]
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport=dict(width=360, height=800))
    context.grant_permissions(["camera"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()


def says(page, words: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect(page.locator("#status")).to_contain_text(words, timeout=PATIENCE_MS)


def test_the_camera_is_painted_until_it_is_stopped(webcam, page):
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    process, url = webcam
    page.goto(url)
    page.wait_for_selector("#styles button:nth-of-type(2)")
    assert page.evaluate(NAMELESS) == [] and page.evaluate(PALE_TEXTS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#start")
    says(page, "frames a second, painted at 320 × 240")
    first = page.evaluate(VIEW)
    page.wait_for_function(f"before => {VIEW} !== before", arg=first)
    page.click("#styles [title=mosaic]")
    page.select_option("#height", "192")
    says(page, "painted at 256 × 192")
    page.click("#stop")
    says(page, "Stopped.")
    assert page.locator("#camera-view").is_hidden()
    assert page.evaluate("document.querySelector('#video').srcObject") is None
    page.click("#start")
    says(page, "frames a second")
    assert not problems
    process.terminate()
    assert process.wait(60) == 0
    says(page, "The program that paints has ended; start it again.")
