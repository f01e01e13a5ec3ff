"""The study's page shows every system without naming it on screen, and its votes add up."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.votes import sum_votes, wilson_interval
from stya2k_jax.pictures.names import Pair
from stya2k_jax.reports.study_page import QUESTIONS, write_study

CONTENTS = {f"c{i}": Path(f"c{i}.png") for i in range(3)}
STYLES = {"</script>": Path("s.png")}
PAIRS = [Pair(c, s) for c in CONTENTS for s in STYLES]


def pixels_of(path: Path) -> np.ndarray:
    seed = sum(map(ord, str(path)))
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def id_of(page: str) -> str:
    return re.search(r'"id": "(\w+)"', page)[1]


def written(path: Path, **options) -> dict:
    """Writes a study and returns what its script is given."""
    systems = {name: {pair: Path(name + pair.content) for pair in PAIRS} for name in ("us", "they")}
    del systems["they"][PAIRS[0]]
    write_study(path, systems, CONTENTS, STYLES, pixels_of, **options)
    text = path.read_text()
    return json.loads(re.search(r"^const study = (.*);$", text, re.MULTILINE)[1])


def test_a_page_shows_the_pairs_that_every_system_has(tmp_path):
    study = written(tmp_path / "study.html")
    assert [g["group"] for g in study["groups"]] == [pair.stem for pair in PAIRS[1:]]
    for group in study["groups"]:
        assert sorted(group["results"]) == ["k0", "k1"]
        assert {group["content"], group["style"]} <= set(study["pictures"])
    assert sorted(study["keys"].values()) == ["they", "us"]
    page = (tmp_path / "study.html").read_text()
    assert page.count("</script>") == 1  # a name cannot end the script
    assert not re.search(r"(src|href)=.https?:", page)


@pytest.mark.parametrize(
    "name", ["__STUDY__", "<!--<script>", '"', "{{ 1 }}", "&lt;", "\\", "\udcff"]
)
def test_a_page_takes_any_name(tmp_path, name):
    systems = {system: {Pair(name, name): Path(system)} for system in (name, "they")}
    files = {name: Path("a.png")}
    write_study(tmp_path / "a.html", systems, files, files, pixels_of)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    study = json.loads(re.search(r"^const study = (.*);$", page, re.MULTILINE)[1])
    assert sorted(study["keys"].values()) == sorted([name, "they"])
    assert study["groups"][0]["group"] == Pair(name, name).stem
    assert list(study["questions"]) == list(QUESTIONS)  # in their order
    assert page.count("<script") == page.count("</script>") == 1 and "<!--" not in page


def test_as_many_groups_are_drawn_as_are_asked_for_the_same_by_seed(tmp_path):
    groups = [written(tmp_path / "a.html", groups=1, seed=seed)["groups"] for seed in (3, 3)]
    assert len(groups[0]) == 1 and groups[0] == groups[1]


def test_other_pictures_make_another_study(tmp_path):
    ids = {written(tmp_path / "a.html", seed=seed, groups=1)["id"] for seed in (0, 0, 3)}
    assert len(ids) == 2
    systems = {name: {PAIRS[0]: Path(name)} for name in ("us", "they")}
    write_study(tmp_path / "a.html", systems, CONTENTS, STYLES, pixels_of)
    first = (tmp_path / "a.html").read_text()
    write_study(
        tmp_path / "a.html", systems | {"us": {PAIRS[0]: Path("x")}}, CONTENTS, STYLES, pixels_of
    )
    assert first.count('"id": "') == 1 and id_of(first) != id_of((tmp_path / "a.html").read_text())


def test_a_study_needs_two_systems_with_a_pair_in_common(tmp_path):
    one = {"us": {PAIRS[0]: Path("a")}}
    with pytest.raises(UserError, match="a study compares systems; it got 1"):
        write_study(tmp_path / "a.html", one, CONTENTS, STYLES, pixels_of)
    with pytest.raises(UserError, match="no pair has a picture of every one of us, they"):
        two = one | {"they": {PAIRS[1]: Path("b")}}
        write_study(tmp_path / "a.html", two, CONTENTS, STYLES, pixels_of)


def export(path: Path, answers: list[str], study: str = "x") -> Path:
    """Writes what the page exports: one answer, as a key, to all questions of each group."""
    votes = [
        {"group": str(i), "answers": dict.fromkeys(QUESTIONS, a)} for i, a in enumerate(answers)
    ]
    text = {"study": study, "keys": {"k0": "they", "k1": "us"}, "votes": votes}
    path.write_text(json.dumps(text))
    return path


def test_votes_of_all_participants_add_up(tmp_path):
    export(tmp_path / "a.json", ["k0", "k1", "k1"])
    export(tmp_path / "b.json", ["k1"])
    found = sum_votes([tmp_path / "a.json", tmp_path / "b.json"])
    assert list(found) == list(QUESTIONS)
    assert found["overall"]["us"]["votes"] == 3 and found["overall"]["us"]["share"] == 0.75
    command = [sys.executable, "-m", "stya2k_jax", "study", f"--votes={tmp_path}"]
    command += [f"--votes={tmp_path / 'b.json'}"]  # once more: counts once
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "(4 votes)" in done.stdout and "75.0%" in done.stdout


VOTES = {"study": "x", "keys": {"k0": "us"}, "votes": [{"answers": dict.fromkeys(QUESTIONS, "k0")}]}


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"", b"{", b"{}", b"[]", b"3", b"null", b"\xff", b"[" * 100_000),
        *({"study": x} for x in (None, 1, [], {})),
        *({"keys": x} for x in (None, [], "k0", {}, {"k0": 1}, {"k0": []})),
        *({"votes": x} for x in (None, 1, {"a": 1}, [1], [None], [{}], [{"answers": []}])),
        *({"votes": [{"answers": dict.fromkeys(QUESTIONS, x)}]} for x in (None, "k9", [], {})),
        {"votes": [{"answers": {"content": "k0"}}]},  # to one question of three
    ],
)
def test_what_is_no_file_of_votes_is_refused_by_name(tmp_path, damaged):
    text = damaged if isinstance(damaged, bytes) else json.dumps(VOTES | damaged).encode()
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(UserError, match="a.json is no file of votes"):
        sum_votes([tmp_path / "a.json"])


def test_votes_of_another_study_are_refused_by_file(tmp_path):
    paths = [export(tmp_path / f"{s}.json", ["k0"], study=s) for s in "xy"]
    with pytest.raises(UserError, match="y.json holds votes of another study than .*x.json"):
        sum_votes(paths)


def test_the_interval_is_wilsons():
    # Of 10 votes 3: the roots of (p - 0.3)^2 = z^2 p (1 - p) / 10.
    z = 1.959964
    roots = np.roots([1 + z**2 / 10, -(0.6 + z**2 / 10), 0.09])
    np.testing.assert_allclose(wilson_interval(3, 10), sorted(roots), rtol=1e-6)
    assert wilson_interval(0, 5)[0] == 0 and wilson_interval(5, 5)[1] == 1
    assert wilson_interval(0, 0) == (0.0, 1.0)
