"""The static site, served from a folder of its own by Python's web server."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.web.runtime import read_runtime
from tests.support.paths import ROOT
from tests.support.ports import free_port

PATIENCE_S = 30

# Texts whose contrast with what is behind them is below 4.5 (WCAG, level AA).
PALE_TEXTS = """() => {
    const numbers = color => (color.match(/[\\d.]+/g) || []).map(Number);
    const light = color => {
        const [r, g, b] = numbers(color).map(x => x / 255)
            .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = element => {
        for (; element; element = element.parentElement) {
            const color = getComputedStyle(element).backgroundColor;
            if (numbers(color)[3] !== 0) return color;
        }
        return "rgb(255, 255, 255)";
    };
    const pale = [];
    for (const element of document.querySelectorAll("body *")) {
        const words = [...element.childNodes]
            .filter(x => x.nodeType === Node.TEXT_NODE && x.textContent.trim());
        if (!words.length || !element.checkVisibility() || element.closest("svg")) continue;
        const [a, b] = [getComputedStyle(element).color, behind(element)].map(light);
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) pale.push(`${element.textContent.trim()}: ${contrast.toFixed(2)}`);
    }
    return pale;
}"""

# Controls and pictures without a name for screen readers.
NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, canvas, img, svg")]
    .filter(x => !(x.getAttribute("aria-label") || x.innerText || x.alt || x.title
        || [...(x.labels || [])].some(label => label.innerText.trim())
        || x.alt === "" && x.closest("[aria-label]")))
    .map(x => x.outerHTML.slice(0, 200))"""


def runtime_folder() -> Path:
    """Finds the npm package: in $STYA2K_RUNTIME, else where `make outside` puts it; or skips."""
    default = ROOT / ".venv" / "onnxruntime-web" / "package"
    folder = Path(os.environ.get("STYA2K_RUNTIME", default))
    try:
        read_runtime(folder)
    except UserError as error:
        pytest.skip(f"needs the npm package onnxruntime-web ({error})")
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder as any static host would; yields its URL."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    server = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait_for(url)
        yield url
    finally:
        server.terminate()
        server.wait()


def _wait_for(url: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.URLError:
            assert time.monotonic() < end, f"{url} does not answer"
            time.sleep(0.1)
