"""Numbers of other evaluations are shown under the same protocol only."""

import json
import re

import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.published import read_published

SETTINGS = {
    "size_px": 256,
    "crop": "centre",
    "judge": "aa",
    "lpips": "bb",
    "cfsd_vgg": None,
    "measure": ["losses", "lpips", "ssim"],
    "contents": {"c": "12"},
    "styles": {"s": "34"},
}
METRICS = {
    "MicroAST": {"style_loss": {"mean": 4.17, "median": 2.4}, "lpips": {"mean": 0.6}},
    "content unchanged": {"style_loss": {"mean": 14.1}},
}


def published(path, **changes):
    path.write_text(json.dumps({"settings": SETTINGS, "metrics": METRICS} | changes))
    return path


def test_means_of_the_same_protocol_are_read_by_system(tmp_path):
    path = published(tmp_path / "metrics.json")
    found = read_published(path, SETTINGS)
    assert found == {"MicroAST (published)": METRICS["MicroAST"]}
    # What only one of both has measured needs not agree.
    ours = SETTINGS | {"measure": ["losses", "cfsd"], "lpips": None, "cfsd_vgg": "cc"}
    assert read_published(path, ours) == found
    ours = SETTINGS | {"measure": ["lpips", "ssim"], "judge": None}
    assert read_published(path, ours) == found


def test_cfsd_on_the_judge_needs_the_same_judge(tmp_path):
    theirs = SETTINGS | {"measure": ["cfsd"]}
    path = published(tmp_path / "metrics.json", settings=theirs)
    read_published(path, theirs)
    with pytest.raises(UserError, match="judge: aa there, xx here"):
        read_published(path, theirs | {"judge": "xx"})


def test_means_are_numbers(tmp_path):
    metrics = {"MicroAST": {"lpips": {"mean": "0.6"}}}
    found = read_published(published(tmp_path / "metrics.json", metrics=metrics), SETTINGS)
    assert found["MicroAST (published)"]["lpips"]["mean"] == 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size_px": 512}, "size_px: 512 there, 256 here"),
        ({"crop": "square"}, "crop: square there, centre here"),
        ({"judge": "xx"}, "judge: xx there, aa here"),
        ({"lpips": "xx"}, "lpips: xx there, bb here"),
        ({"styles": {"s": "35"}}, "styles.s: 35 there, 34 here"),
        ({"contents": {"c": "12", "d": "13"}}, "contents.d: 13 there, absent here"),
    ],
)
def test_another_protocol_is_refused_by_field(tmp_path, change, message):
    path = published(tmp_path / "metrics.json", settings=SETTINGS | change)
    message = f"(?s)metrics.json has another protocol.*{re.escape(message)}"
    with pytest.raises(UserError, match=message):
        read_published(path, SETTINGS)


def test_pairs_that_are_lacking_or_another_file_are_refused(tmp_path):
    pairs = {"MicroAST": {"expected": 30, "done": 29}}
    with pytest.raises(UserError, match="metrics.json lacks pairs of MicroAST"):
        read_published(published(tmp_path / "metrics.json", pairs=pairs), SETTINGS)
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "binary.json").write_bytes(b"\xff")
    for name in ("other.json", "binary.json", "nowhere.json"):
        with pytest.raises(UserError, match=f"{name} is no metrics.json of an evaluation"):
            read_published(tmp_path / name, SETTINGS)


LPIPS = {"mean": 0.6, "median": 0.5, "ci95": [0.4, 0.7]}


@pytest.mark.parametrize(
    "change",
    [
        *({"settings": x} for x in (None, [], {}, {"measure": "losses"}, {"measure": 3})),
        *({"metrics": x} for x in (None, [], {"a": []}, {"a": {"lpips": 0.6}})),
        {"metrics": {"a": {"lpips": {"median": 0.5}}}},  # no mean
        *(
            {"metrics": {"a": {"lpips": LPIPS | {"mean": x}}}}
            for x in (None, "x", [], float("nan"))
        ),
        *({"metrics": {"a": {"lpips": LPIPS | {"median": x}}}} for x in (None, "x")),
        *({"metrics": {"a": {"lpips": LPIPS | {"ci95": x}}}} for x in (None, 1, [1], [1, 2, 3])),
        *({"pairs": x} for x in (3, [], {"a": 1}, {"a": {}}, {"a": {"done": 1, "expected": "2"}})),
    ],
)
def test_damaged_numbers_are_refused_by_file(tmp_path, change):
    path = published(tmp_path / "metrics.json", **change)
    with pytest.raises(UserError, match="metrics.json is no metrics.json of an evaluation"):
        read_published(path, SETTINGS)


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"null", b"{", b"[" * 100_000])
def test_what_is_no_object_is_refused_by_file(tmp_path, text):
    (tmp_path / "metrics.json").write_bytes(text)
    with pytest.raises(UserError, match="metrics.json is no metrics.json of an evaluation"):
        read_published(tmp_path / "metrics.json", SETTINGS)
