"""The system's chromium, as Playwright starts it."""

import shutil
from typing import Any


def launched(playwright: Any) -> Any:
    """Starts it with a camera that shows a moving picture and may be used without asking."""
    camera = [f"--use-fake-{what}-for-media-stream" for what in ("device", "ui")]
    return playwright.chromium.launch(
        executable_path=shutil.which("chromium"), args=["--no-sandbox", *camera]
    )
