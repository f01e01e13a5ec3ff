"""Report and preference study as a browser shows them: the system's chromium, by Playwright."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stya2k_jax.evaluation.measure_pairs import Measured
from stya2k_jax.evaluation.report import write_report
from stya2k_jax.evaluation.summary import summarize
from stya2k_jax.evaluation.votes import sum_votes
from stya2k_jax.pictures.arrays import write_png
from stya2k_jax.pictures.names import Pair
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.reports.picture_grids import Thumbnails
from stya2k_jax.reports.study_page import QUESTIONS, write_study
from tests.support.site import PALE_TEXTS

pytestmark = pytest.mark.browser
SYSTEMS = ("<i>ours</i>", "theirs")
COLOURS = {"<i>ours</i>": 200, "theirs": 60}  # of their pictures, by which the page is read


@pytest.fixture
def opened(browser):
    """Returns what opens a file in a window; nothing else may be asked for and nothing fail."""
    windows, problems = [], []

    def opened(path: Path):
        window = browser.new_context(viewport=dict(width=1280, height=940)).new_page()
        windows.append(window)
        window.set_default_timeout(60_000)
        window.on("pageerror", lambda error: problems.append(str(error)))
        window.on("console", lambda message: problems.append(message.text))
        own = (path.as_uri(), "data:", "blob:")
        window.on("request", lambda x: None if x.url.startswith(own) else problems.append(x.url))
        window.goto(path.as_uri())
        return window

    yield opened
    for window in windows:
        window.context.close()
    assert not problems


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Contents, styles, and every system's pictures, each of one colour."""
    folder = tmp_path_factory.mktemp("pictures")

    def painted(name: str, *colour: int) -> Path:
        path = folder / f"{name}.png"
        write_png(path, np.broadcast_to(np.array(colour, np.uint8), (40, 40, 3)))
        return path

    # Of contents and styles two have the same name.
    contents = {f"p{i}": painted(f"c{i}", 0, 40 * i, 0) for i in range(3)}
    styles = {f"p{i}": painted(f"s{i}", 0, 0, 40 * i) for i in range(2)}
    results = {
        system: {
            Pair(c, s): painted(f"{k}_{c}_{s}", COLOURS[system], 40 * int(c[1]), 40 * int(s[1]))
            for c in contents
            for s in styles
        }
        for k, system in enumerate(SYSTEMS)
    }
    return contents, styles, results


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(read_picture(path))


def colours(window, selector: str) -> list[list[int]]:
    """Returns the colours that the pictures are shown in, rounded as they were drawn."""
    script = """images => images.map(image => {
        const canvas = document.createElement("canvas");
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        return [...context.getImageData(5, 5, 1, 1).data].slice(0, 3);
    })"""
    window.wait_for_function(
        f"[...document.querySelectorAll({selector!r})].every(x => x.complete && x.naturalWidth)"
    )
    found = window.eval_on_selector_all(selector, script)
    return [[round(x / 20) * 20 for x in colour] for colour in found]


def test_the_report_shows_a_chosen_pair_of_all_systems(opened, pictures, tmp_path):
    contents, styles, results = pictures
    measured = {}
    for system in SYSTEMS:
        rows = [
            {"content": c, "style": s, "content_loss": i / 8, "style_loss": float(COLOURS[system])}
            for i, (c, s) in enumerate(results[system])
        ]
        measured[system] = Measured(rows, {}, results[system])
    write_report(
        tmp_path / "report.html",
        title="a & b",
        sentences=["said"],
        measured=measured,
        summaries={
            system: summarize(found.rows, ["content_loss", "style_loss"])
            for system, found in measured.items()
        },
        contents=contents,
        styles=styles,
        thumbnails=Thumbnails(pixels_of),
    )
    window = opened(tmp_path / "report.html")
    assert window.inner_text("h1") == "a & b"
    for colors in ("light", "dark"):
        window.emulate_media(color_scheme=colors)
        assert window.evaluate(PALE_TEXTS) == []
    assert colours(window, "#chosen img") == [[0, 0, 0], [0, 0, 0], [200, 0, 0], [60, 0, 0]]
    window.select_option("#content", "p1")
    window.select_option("#style", "p1")
    shown = [[0, 40, 0], [0, 0, 40], [200, 40, 40], [60, 40, 40]]
    assert colours(window, "#chosen img") == shown
    captions = window.locator("#chosen figcaption").all_inner_texts()
    assert captions[2:] == [
        f"{system}\ncontent loss 0.375\nstyle loss {COLOURS[system]}" for system in SYSTEMS
    ]
    captions = window.locator("h3:has-text('content loss ↓') + div figcaption").all_inner_texts()
    order = [f"{c}, {s}: {i / 8:.4g}" for i, (c, s) in enumerate(results[SYSTEMS[0]])]
    assert captions == 2 * (order[:3] + order[3:])  # best, then worst, of each system
    # A click enlarges a picture of the grid, and nothing moves.
    image = window.locator(".grid td img").first
    before, page = image.bounding_box()["width"], window.evaluate("document.body.scrollHeight")
    image.click()
    assert image.bounding_box()["width"] > 3 * before
    assert window.evaluate("document.body.scrollHeight") == page
    assert window.evaluate("document.documentElement.scrollWidth") <= 1280
    window.click("nav a:last-child")
    assert window.evaluate("scrollY") > 0 or page <= 940


def test_votes_of_the_study_are_exported_and_summed(opened, pictures, tmp_path):
    contents, styles, results = pictures
    write_study(tmp_path / "study.html", results, contents, styles, pixels_of)
    favourite = dict(zip(QUESTIONS, (SYSTEMS[0], SYSTEMS[1], SYSTEMS[0]), strict=True))
    orders = set()
    for visit in range(2):
        window = opened(tmp_path / "study.html")
        seen = []
        for group in range(6):
            assert window.inner_text("#where") == f"Group {group + 1} of 6"
            window.emulate_media(color_scheme=("light", "dark")[group % 2])
            assert window.evaluate(PALE_TEXTS) == []
            assert not [name for name in SYSTEMS if name in window.inner_text("body")]
            content, style, *shown = colours(window, "#group img")
            assert all(colour[1:] == [content[1], style[2]] for colour in shown)
            place = {system: [c[0] for c in shown].index(COLOURS[system]) for system in SYSTEMS}
            seen.append((content[1], style[2], place[SYSTEMS[0]]))
            window.click("#next")
            assert window.inner_text("#hint") == "Please answer every question."
            for name, system in favourite.items():
                if (visit, group) == (1, 5):  # one vote of twelve for the other
                    system = next(other for other in SYSTEMS if other != system)
                window.locator(f"input[name={name}]").nth(place[system]).check()
            window.click("#next")
        assert {pair[:2] for pair in seen} == {(40 * c, 40 * s) for c in range(3) for s in range(2)}
        orders.add(tuple(seen))
        with window.expect_download() as download:
            window.click("a[download]")
        download.value.save_as(tmp_path / "votes" / f"{visit}.json")
    assert len(orders) == 2  # shuffled anew: alike by chance once in 46,080 times
    votes = json.loads((tmp_path / "votes" / "0.json").read_text())["votes"]
    assert len(votes) == 6 and set(votes[0]["answers"]) == set(QUESTIONS)
    found = sum_votes(sorted((tmp_path / "votes").iterdir()))
    for name, system in favourite.items():
        assert {x: found[name][x]["votes"] == 11 for x in SYSTEMS} == {
            x: x == system for x in SYSTEMS
        }
    done = subprocess.run(
        [sys.executable, "-m", "stya2k_jax", "study", f"--votes={tmp_path / 'votes'}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.count("91.7%") == 3, done.stderr
