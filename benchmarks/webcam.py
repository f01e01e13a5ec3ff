"""How many frames a second `stya2k webcam` paints of chromium's camera, a moving picture.

python -m benchmarks.webcam

Needs chromium and Playwright; the browser takes its part of the cores.
"""

import subprocess
import sys

from absl import flags
from playwright.sync_api import sync_playwright

from stya2k_jax.commands import command_line
from tests.support.chromium import launched
from tests.support.ports import free_port

STYLE = flags.DEFINE_string("style", "drawn:waves", "As in `stya2k webcam`.")
SECONDS = flags.DEFINE_integer("seconds", 10, "Before a rate is read.")


def main(_) -> None:
    """Prints what the page says at each height."""
    command = [sys.executable, "-m", "stya2k_jax", "webcam", STYLE.value]
    with subprocess.Popen(
        [*command, f"--port={free_port()}"], stdout=subprocess.PIPE, text=True
    ) as server:
        url = server.stdout.readline().split()[1]
        with sync_playwright() as playwright:
            browser = launched(playwright)
            page = browser.new_page()
            page.goto(url)
            page.wait_for_selector("#styles button")
            page.click("#start")
            for height in ("192", "240", "360", "480"):
                page.select_option("#height", height)
                page.wait_for_timeout(1000 * SECONDS.value)
                print(page.inner_text("#status"), flush=True)
            browser.close()
        server.terminate()


if __name__ == "__main__":
    command_line.run(main)
