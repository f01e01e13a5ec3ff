"""Whatever a file or a system is called, it is shown, and the page stays what it is."""

import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest

from stya2k_jax.errors import PictureError
from stya2k_jax.evaluation.measure_pairs import Measured
from stya2k_jax.evaluation.report import write_report
from stya2k_jax.evaluation.summary import summarize
from stya2k_jax.pictures.names import Pair
from stya2k_jax.reports.page import write_page
from stya2k_jax.reports.paper_tables import clip_table
from stya2k_jax.reports.picture_grids import Thumbnails

pytest.importorskip("matplotlib")
HOSTILE = (
    "__STYLES__",
    "__NUMBERS__",
    "{{ 7 * 7 }}",
    "{% endblock %}",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "</style>",
    '" onload="alert(1)',
    "' x='",
    "a & b &amp; c",
    "<img src=x>",
    "__proto__",
    "\\u003c\\",
    "\udcff",
)


class Page(html.parser.HTMLParser):
    """Collects a page's tags, its attributes' values and its texts."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.values, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.values += [value for _, value in attributes]
        assert {name for name, _ in attributes} <= KNOWN, attributes

    def handle_data(self, data):
        self.texts.append(data)


KNOWN = {
    *(
        "alt",
        "charset",
        "class",
        "content",
        "name",
        "data-system",
        "href",
        "id",
        "lang",
        "loading",
        "src",
        "tabindex",
    ),
    *("title", "value", "colspan", "aria-label", "role"),
    *("version", "viewbox", "xmlns", "xmlns:xlink", "xlink:href", "clip-path", "d", "style"),
    *("transform", "type", "x", "y", "width", "height"),
}


def pixels_of(path: Path) -> np.ndarray:
    if path.stem.endswith("gone"):
        raise PictureError("gone")
    return np.zeros((8, 8, 3), np.uint8)


def report(path: Path, name: str) -> str:
    pair, other = Pair(name, name), Pair(f"{name}gone", name)
    contents = {pair.content: Path(f"{name}.png"), other.content: Path(f"{name}gone.png")}
    rows = [{"content": c, "style": s, "content_loss": 1.0, "style_loss": 2.0} for c, s in (pair,)]
    measured = {
        system: Measured(rows, {other: f"{name}: no"}, {pair: Path(f"{name}.png")}, [Path(name)])
        for system in (name, "theirs")
    }
    write_report(
        path,
        title=name,
        sentences=[name],
        measured=measured,
        summaries={s: summarize(rows, ["content_loss", "style_loss"]) for s in measured},
        contents=contents,
        styles={name: Path(f"{name}.png")},
        thumbnails=Thumbnails(pixels_of),
        notes=[name],
        tables=[clip_table([{"system": name, "content": name, "style": name, name: 1.0}], name)],
    )
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return Page(report(tmp_path_factory.mktemp("plain") / "a.html", "plain"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_report_shows_any_name_and_has_no_other_tags_than_for_a_plain_one(name, plain, tmp_path):
    text = report(tmp_path / "a.html", name)
    page = Page(text)
    assert page.tags == plain.tags
    shown = name.encode("utf-8", "xmlcharrefreplace").decode()
    shown = name if shown == name else "\ufffd"  # as browsers, and Python's parser, show it
    for found, expected in ((page.values, plain.values), (page.texts, plain.texts)):
        if "/" not in name:  # as in no file's name
            assert found.count(shown) == expected.count("plain")
        assert found.count(shown) >= 3
    (numbers,) = re.findall(r"^const numbers = (.*);$", text, re.MULTILINE)
    found = json.loads(numbers)
    assert found == 2 * [{Pair(name, name).stem: ["content loss 1", "style loss 2"]}]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_clips_page_shows_any_name(name, tmp_path):
    tables = [clip_table([{"system": name, "content": name, "style": "s", "m": 1.0}], "m", name)]
    values = dict(title=name, summary=name, note=name, sentences=[name], tables=tables)
    write_page(tmp_path / "a.html", "clips.html", **values)
    page = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert page.tags.count("script") == 0 and page.tags.count("style") == 1
    assert page.tags.count("h1") == 1 and page.tags.count("img") == 0
