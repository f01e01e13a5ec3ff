"""An evaluation from pictures to report, on 32 x 32 pictures and a narrow judge."""

import dataclasses
import html.parser
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.evaluation import speed
from stya2k_jax.evaluation.evaluate_pictures import Options, evaluate
from stya2k_jax.evaluation.judge import Judge
from stya2k_jax.evaluation.protocol import Protocol
from stya2k_jax.evaluation.results import ROWS_FILE
from stya2k_jax.evaluation.systems import REFERENCES, System, open_systems
from stya2k_jax.files.json_files import write_json
from stya2k_jax.files.settings import SETTINGS_FILE
from stya2k_jax.metrics import content_and_style as metrics
from stya2k_jax.metrics import ssim
from stya2k_jax.metrics.patterns import patterns
from stya2k_jax.metrics.rims import rims
from stya2k_jax.weights.model_files import save_model
from tests.support import rounding
from tests.support.paths import ROOT, reference_path
from tests.support.picture_files import noise, saved
from tests.support.reference_weights import needs_reference
from tests.support.small_model import encode, small_model

pytest.importorskip("skimage")
SIDE = 32


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A model, three contents, two styles; not all of them are squares of SIDE."""
    folder = tmp_path_factory.mktemp("given")
    save_model(folder / "model", small_model()[0])
    contents = [
        saved(folder / "c" / f"c{i}.png", noise(i, SIDE, SIDE + 5 * i, 3)) for i in range(3)
    ]
    styles = [
        saved(folder / "s" / f"s{i}.png", noise(9 + i, 40, SIDE + 8 * i, 3)) for i in range(2)
    ]
    return folder / "model", contents, styles


def systems_of(**paths: Path) -> dict[str, System]:
    return open_systems([f"{name}={path}" for name, path in paths.items()])


def evaluated(given, output, systems=None, **options):
    model, contents, styles = given
    systems = systems or systems_of(ours=model)
    protocol = Protocol(
        judge=model,
        size_px=SIDE,
        measure=("losses", "form_b", "ssim", "cfsd", "ssim_gaussian_rgb"),
    )
    options = Options(**dict(batch_size=2) | options)
    return evaluate(protocol, contents, styles, output, systems, options)


@pytest.fixture(scope="module")
def done(given, tmp_path_factory):
    output = tmp_path_factory.mktemp("done")
    return output, evaluated(given, output, references=True)


def measured_rows(output: Path) -> list[dict]:
    lines = (output / ROWS_FILE).read_text().splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


def as_pixels(path: Path) -> np.ndarray:
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def taps_of_pair(given, output: Path, pair: dict) -> list[dict[str, np.ndarray]]:
    """Returns the taps of a pair's stylized picture, content and style, each computed alone."""
    by_name = {path.stem: path for path in (*given[1], *given[2])}
    name = f"{pair['content']}_stylized_{pair['style']}.png"
    files = (output / "stylized" / "ours" / name, by_name[pair["content"]], by_name[pair["style"]])
    return [encode()(as_pixels(file)[None] / np.float32(255)) for file in files]


def assert_equal_but_for_rounding(row: dict, expected: dict, taps: list[dict]) -> None:
    """Compares a pair's numbers of two batches, whose features are summed in another order."""
    error = rounding.of_features(small_model()[1]["vgg"])
    allowed = rounding.of_metrics(error, *({tap: x[0] for tap, x in t.items()} for t in taps))
    for name, value in expected.items():
        if isinstance(value, float):
            kinds = ("form_b", "content", "style", "cfsd")  # SSIM has no features
            rtol = next((allowed[kind] for kind in kinds if kind in name), 0)
            np.testing.assert_allclose(row[name], value, rtol=rtol, err_msg=name)


def test_every_pair_is_measured_as_the_metrics_alone_would(given, done):
    _, contents, styles = given
    rows = {(row["content"], row["style"]): row for row in done[1]["ours"].rows}
    assert len(rows) == 6
    for c, s in ((contents[0], styles[1]), (contents[2], styles[0])):
        row = rows[c.stem, s.stem]
        taps = taps_of_pair(given, done[0], row)
        content = metrics.content_terms(taps[0], taps[1])
        style = metrics.style_terms(*(metrics.statistics(taps[i]) for i in (0, 2)))
        expected = {
            "content_loss": sum(content.values())[0],
            "content_loss_relu5_1": content["relu5_1"][0],
            "style_loss": sum(style.values())[0],
            "style_loss_per_layer": sum(style.values())[0] / 5,
            "content_loss_form_b": sum(metrics.raw_content_terms(*taps[:2]).values())[0] / 2,
        }
        assert_equal_but_for_rounding(row, {k: float(x) for k, x in expected.items()}, taps)
        stylized = as_pixels(done[0] / "stylized" / "ours" / f"{c.stem}_stylized_{s.stem}.png")
        np.testing.assert_allclose(row["ssim"], ssim.ssim(stylized, as_pixels(c)))
        other = ssim.ssim(stylized, as_pixels(c), "gaussian_rgb")
        np.testing.assert_allclose(row["ssim_gaussian_rgb"], other)


def test_patterns_and_rims_compare_the_stylized_picture_with_its_content():
    judge = Judge(None, size_px=64, measure=("patterns", "rims"))
    stylized, content = pictures = noise(1, 64, 64, 3), np.full((64, 64, 3), 50, np.uint8)
    content[:, 32:] = 190
    found = judge.compare(*(judge.features(x) for x in (*pictures, content)))
    expected = {f"pattern_{p}px": x for p, x in patterns(stylized, content).items()}
    assert found == expected | {"rims": rims(stylized, content)} and found["rims"] > 0


def test_the_references_are_the_limits_of_the_metrics(done):
    unchanged, itself = (done[1][name].rows for name in REFERENCES)
    assert len(unchanged) == len(itself) == 6
    for row in unchanged:
        assert row["content_loss"] < 1e-12 and row["ssim"] == 1 and row["style_loss"] > 0.1
        assert row["cfsd"] == 0
    for row in itself:
        assert row["style_loss"] < 1e-12 and row["content_loss"] > 1 and row["cfsd"] > 0


def test_a_broken_evaluation_goes_on_and_no_number_changes(given, done, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(done[0], output)
    whole = measured_rows(output)[:6]
    # As if it had been killed while the second batch was written, and before the last picture.
    lines = (output / ROWS_FILE).read_text().splitlines()
    (output / ROWS_FILE).write_text("\n".join(lines[:3])[:-9])
    (output / "stylized" / "ours" / "c2_stylized_s1.png").unlink()
    assert len(measured_rows(output)) < 6
    evaluated(given, output)
    assert sorted(measured_rows(output), key=str) == sorted(whole, key=str)


KILLED = """
import os, signal
from stya2k_jax.commands import evaluate
from stya2k_jax.evaluation import measure_pairs

def dying(function, calls):
    left = iter(range(calls))
    def call(*arguments):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return call

measure_pairs.write_png = dying(measure_pairs.write_png, {pictures})
os.fsync = dying(os.fsync, {batches})
evaluate.main()
"""


@pytest.mark.faults
def test_a_killed_evaluation_loses_at_most_the_batch_in_work(given, tmp_path):
    batch, folder, killed = 4, tmp_path / "pictures", tmp_path / "killed"
    for kind, number in (("c", 6), ("s", 5)):
        for i in range(number):
            saved(folder / kind / f"{kind}{i}.png", noise(50 * number + i, SIDE, SIDE, 3))

    def run(output: Path, *start: str) -> int:
        command = [sys.executable, *(start or ["evaluate.py"]), f"--output={output}"]
        command += [f"--checkpoint={given[0]}", f"--judge={given[0]}", f"--batch_size={batch}"]
        command += [f"--content_dir={folder / 'c'}", f"--style_dir={folder / 's'}"]
        command += ["--timing_runs=0", "--metrics=losses,form_b", f"--size={SIDE}"]
        return subprocess.run(command, cwd=ROOT).returncode

    def pictures() -> dict[Path, int]:
        stylized = killed / "stylized" / given[0].name
        return {path: path.stat().st_mtime_ns for path in stylized.glob("*_stylized_*.png")}

    # In the middle of a content's styles, and as the fourth batch is written.
    assert run(killed, "-c", KILLED.format(pictures=8, batches=0)) == -signal.SIGKILL
    first = pictures()
    assert len(first) == 8 and not (killed / ROWS_FILE).exists()
    assert run(killed, "-c", KILLED.format(pictures=99, batches=3)) == -signal.SIGKILL
    assert len(pictures()) == 30 and first.items() <= pictures().items()  # none was painted twice
    before = measured_rows(killed)
    assert 3 * batch <= len(before) <= 4 * batch
    assert run(killed) == run(tmp_path / "whole") == 0
    assert measured_rows(killed)[: len(before)] == before
    assert len(measured_rows(killed)) == 30
    assert measured_rows(killed) == measured_rows(tmp_path / "whole")
    for name in ("metrics.csv", "metrics.json", "report.html"):
        assert (killed / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_what_is_measured_is_not_measured_again(given, done):
    before = (done[0] / ROWS_FILE).read_text()
    evaluated(given, done[0], references=True)
    assert (done[0] / ROWS_FILE).read_text() == before


def test_the_size_of_a_batch_changes_no_number_beyond_rounding(given, done, tmp_path):
    folder = systems_of(ours=done[0] / "stylized" / "ours")
    found = evaluated(given, tmp_path, batch_size=4, systems=folder)["ours"].rows
    assert found == done[1]["ours"].rows  # not even that: pairs are compared one by one


def test_other_settings_or_another_model_are_refused(given, done, tmp_path):
    model, contents, styles = given
    with pytest.raises(UserError, match=r"contents.c2: \w+ before, absent now"):
        evaluated((model, contents[:2], styles), done[0])
    save_model(tmp_path / "other", small_model(seed=8)[0])
    with pytest.raises(UserError, match=r"checkpoint: \w+ before, \w+ now"):
        evaluated(given, done[0], systems=systems_of(ours=tmp_path / "other"))


def test_pairs_that_cannot_be_measured_are_counted_and_named(given, done, tmp_path):
    model, contents, styles = given
    folder = tmp_path / "pictures"
    for path in (done[0] / "stylized" / "ours").iterdir():
        if path.suffix == ".png":
            folder.mkdir(exist_ok=True)
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "c0_stylized_s0.png").unlink()
    (folder / "c1_stylized_s0.png").write_text("no picture")
    saved(folder / "other.png", noise(0, 8, 8, 3))
    found = evaluated(given, tmp_path / "out", systems=systems_of(theirs=folder))["theirs"]
    assert len(found.rows) == 4
    # The others have the numbers they have in full batches.
    expected = {(row["content"], row["style"]): row for row in done[1]["ours"].rows}
    for row in found.rows:
        whole = expected[row["content"], row["style"]]
        assert_equal_but_for_rounding(row, whole, taps_of_pair(given, done[0], row))
    counts = json.loads((tmp_path / "out" / "metrics.json").read_text())["pairs"]["theirs"]
    assert (counts["expected"], counts["done"], counts["failed"]) == (6, 4, 2)
    assert "there is no c0_stylized_s0" in counts["failures"]["c0_stylized_s0"]
    assert "c1_stylized_s0.png is not a picture" in counts["failures"]["c1_stylized_s0"]
    assert counts["files_of_no_pair"] == [str(folder / "other.png")]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "theirs: 6 pairs expected, 4 done, 2 failed" in page
    assert "1 files belong to no pair (other.png)" in page


class Page(html.parser.HTMLParser):
    """Collects the sources of a page's pictures and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.sources, self.links, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name == "src"]
        self.links += [value for name, value in attributes if name == "href"]

    def handle_data(self, data):
        self.words.append(data)


def test_the_report_needs_no_other_file_and_says_the_protocol(done):
    page = Page((done[0] / "report.html").read_text())
    assert all(link.startswith("#") for link in page.links)
    assert all(s.startswith("data:image/jpeg;base64,") for s in page.sources)
    text = " ".join(page.words)
    for words in (
        "3 contents and 2 styles, every pair.",
        "cut to the largest square around its middle",
        "VGG-19 of width 0.125",
        "summed over relu1_1 to relu5_1",
        "ours: 6 pairs expected, 6 done, 0 failed.",
        "content unchanged",
    ):
        assert words in text
    mean = json.loads((done[0] / "metrics.json").read_text())["metrics"]["ours"]["ssim"]["mean"]
    assert f"{mean:.4g}" in text


def test_the_command_evaluates_a_folder(given, done, tmp_path):
    model, contents, styles = given
    command = [sys.executable, "evaluate.py", f"--stylized_dir={done[0] / 'stylized' / 'ours'}"]
    command += [f"--content_dir={path}" for path in contents]
    command += [f"--style_dir={styles[0].parent}", f"--judge={model}", f"--size={SIDE}"]
    run = subprocess.run(
        [*command, f"--output={tmp_path}", "--metrics=losses"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    assert "6 pairs measured, 0 failed" in run.stdout
    ours = {(row["content"], row["style"]): row for row in measured_rows(tmp_path)}
    for row in done[1]["ours"].rows:
        found = ours[row["content"], row["style"]]
        expected = {"style_loss": row["style_loss"]}
        assert_equal_but_for_rounding(found, expected, taps_of_pair(given, done[0], row))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(measure=("losses", "beauty")), "there is no metric beauty; choose of losses, form_b"),
        (dict(measure=()), "no metric chosen"),
        (dict(measure=("lpips",)), "LPIPS needs its weights: give --lpips=FILE"),
        (dict(judge=None, measure=("ssim", "cfsd")), "the losses need the directory of an encoder"),
        (dict(measure=("ssim",), cfsd_vgg=Path("vgg")), "--cfsd_vgg has no effect: cfsd is not"),
        (dict(measure=("losses",), form_b_size_px=64), "--form_b_size has no effect: form_b is"),
        (dict(measure=("patterns",), size_px=63), "patterns need pictures of 64 pixels"),
        (dict(measure=("ssim",), crop="center"), "there is no crop 'center'; choose of centre, sq"),
    ],
)
def test_metrics_that_cannot_be_computed_are_refused_at_once(given, options, message):
    with pytest.raises(UserError, match=message):
        Protocol(**{"judge": given[0]} | options)


def test_nothing_is_computed_before_all_is_known_to_be_there(given, tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr(speed, "measure_in_own_process", lambda *given: timed.append(given))
    model, contents, styles = given
    saved(tmp_path / "theirs" / "nobody.png", noise(0, 8, 8, 3))
    systems, ours = systems_of(ours=model, theirs=tmp_path / "theirs"), systems_of(ours=model)
    options = Options(timing_runs=1)
    protocol = Protocol(judge=model, size_px=SIDE, measure=("losses",))
    with pytest.raises(UserError, match="theirs holds no picture of any pair"):
        evaluate(protocol, contents, styles, tmp_path / "out", systems, options)
    with pytest.raises(WeightsError, match="There is no encoder in nowhere"):
        other = dataclasses.replace(protocol, judge=Path("nowhere"))
        evaluate(other, contents, styles, tmp_path / "out", ours, options)
    write_json(tmp_path / "out" / SETTINGS_FILE, {"size_px": 512})
    with pytest.raises(UserError, match="size_px: 512 before, 32 now"):
        evaluate(protocol, contents, styles, tmp_path / "out", ours, options)
    assert not timed and len(list((tmp_path / "out").iterdir())) == 1


@needs_reference
def test_lpips_is_measured_where_its_weights_are_given(given, done, tmp_path):
    model, contents, styles = given
    protocol = Protocol(
        judge=model,
        lpips=reference_path("weights", "alexnet_lpips.safetensors"),
        size_px=SIDE,
        measure=("lpips",),
    )
    folder = systems_of(theirs=done[0] / "stylized" / "ours")
    with jax.default_matmul_precision("highest"):
        options = Options(references=True, batch_size=2)
        found = evaluate(protocol, contents, styles[:1], tmp_path, folder, options)
    assert all(row["lpips"] > 0.01 for row in found["theirs"].rows)
    assert all(row["lpips"] == 0 for row in found["content unchanged"].rows)
