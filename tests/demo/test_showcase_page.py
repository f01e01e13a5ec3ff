"""The showcase page in the system's chromium: slider, large pictures, names, contrast, width."""

import json

import pytest

from stya2k_jax.demo.showcase import write_showcase
from stya2k_jax.inference.stylizer import Stylizer
from tests.support.site import NAMELESS, PALE_TEXTS
from tests.support.small_model import small_model

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def showcase(tmp_path_factory):
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("showcase")
    rows = [{"step": i + 1, "loss": 9.0 - i / 10} for i in range(30)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return write_showcase(Stylizer(small_model()[0]), "small", folder / "demo", 64, run=folder)


@pytest.mark.parametrize(("width", "colors"), [(360, "dark"), (768, "light"), (1280, "dark")])
def test_the_page_suits_everybody(browser, showcase, width, colors):
    problems = []
    context = browser.new_context(viewport=dict(width=width, height=900), color_scheme=colors)
    page = context.new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(showcase.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(NAMELESS) == [] and page.evaluate(PALE_TEXTS) == []
    slider = page.locator("#hero input")
    slider.fill("80")
    cut = "getComputedStyle(document.querySelector('#hero')).getPropertyValue('--cut')"
    assert page.evaluate(cut) == "80%"
    image = page.locator(".grid td img").first
    before, height = (
        image.bounding_box()["width"],
        page.evaluate("document.body.scrollHeight"),
    )
    image.click()
    assert image.bounding_box()["width"] > 2 * before
    assert page.evaluate("document.body.scrollHeight") == height
    context.close()
    assert not problems
