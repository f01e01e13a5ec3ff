"""The command line of `evaluate.py`: the tables, and refusals before anything is computed."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.clips.evaluate import evaluate_stability, open_clips
from stya2k_jax.evaluation.systems import open_systems
from stya2k_jax.reports.paper_tables import beside_paper, clip_table
from stya2k_jax.weights.model_files import save_encoder
from tests.support.paths import ROOT
from tests.support.picture_files import noise, saved
from tests.support.small_model import small_model

TABLE_3 = {  # the paper's, by style
    "AdaAttN": (3.03, 3.46, 6.00, 3.78, 8.45),
    "StyA2K": (2.58, 2.56, 4.99, 3.21, 7.23),
}


def evaluate(*arguments: str) -> subprocess.CompletedProcess:
    root = ROOT
    command = [sys.executable, "evaluate.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=root)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    model, _ = small_model()
    save_encoder(folder / "judge", model.encoder, model.architecture)
    saved(folder / "c" / "c.png", noise(0, 32, 32, 3))
    saved(folder / "s" / "s.png", noise(1, 32, 32, 3))
    for i, system in enumerate(("StyTr2", "ours")):
        saved(folder / system / "c_stylized_s.png", noise(2 + i, 32, 32, 3))
    return folder


def test_table_1_lays_systems_beside_each_other_and_the_paper(given, tmp_path):
    done = evaluate(
        "--table=1",
        *(f"--system={name}={given / name}" for name in ("ours", "StyTr2")),
        *(f"--content_dir={given / 'c'}", f"--style_dir={given / 's'}"),
        *(f"--judge={given / 'judge'}", "--size=32", "--metrics=losses", f"--output={tmp_path}"),
        "--study",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    assert list(found) == ["ours", "StyTr2"]
    assert "The study is" in done.stdout and (tmp_path / "study.html").is_file()
    page = (tmp_path / "report.html").read_text()
    mean = found["StyTr2"]["style_loss_per_layer"]["mean"]
    assert f"<td>{mean:.4g}</td><td>–</td><td>–</td><td>0.83</td><td>1.2</td>" in page


def test_published_numbers_stand_beside_ours_under_the_same_protocol_only(given, tmp_path):
    def measured(output: str, *arguments: str) -> subprocess.CompletedProcess:
        return evaluate(
            *(f"--content_dir={given / 'c'}", f"--style_dir={given / 's'}", "--metrics=losses"),
            *(f"--judge={given / 'judge'}", f"--output={tmp_path / output}", *arguments),
        )

    theirs = ["--size=32", f"--system=StyTr2={given / 'StyTr2'}"]
    assert measured("theirs", *theirs).returncode == 0
    numbers = f"--published={tmp_path / 'theirs' / 'metrics.json'}"
    ours = [f"--system=ours={given / 'ours'}", "--table=1", numbers]
    done = measured("ours", "--size=32", *ours)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "ours" / "report.html").read_text()
    assert "StyTr2 (published)" in page and "under the same protocol as these" in page
    done = measured("twice", "--size=32", *ours, numbers)
    assert done.returncode == 1 and "holds StyTr2 (published), as an earlier" in done.stderr
    done = measured("other", "--size=40", *ours)
    assert done.returncode == 1 and "size_px: 32 there, 40 here" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to measure: give --checkpoint, --stylized_dir or --system"),
        (["--stylized_dir=/nowhere"], "--stylized_dir=/nowhere is no folder"),
        (["--systems_dir=evaluate.py"], "evaluate.py: "),
        (["--systems_dir=configs"], "--systems_dir=configs holds no folders"),
        (["--system=style itself=tests"], "a system may not be called 'style itself'"),
        (["--system=../a=tests"], "'../a' names a folder of results too"),
        (["--stylized_dir=tests", "--pan=a.png"], "--pan has no effect without --table=3"),
        (["--table=3", "--system=a=tests", "--size=64"], "--size has no effect with --table=3"),
        (["--stylized_dir=tests", "--study"], "--study compares systems; give --system=NAME=PATH"),
        (["--system=/somewhere"], "--system=/somewhere: give NAME=PATH"),
        (["--system=a=tests", "--system=a=docs"], "two systems are called a, tests and docs"),
        (["--system=tests=docs", "--stylized_dir=tests"], "two systems are called tests, docs and"),
        (["--system=a=/nowhere"], "/nowhere is neither a folder nor a model"),
        (
            ["--checkpoint=/nowhere"],
            "/nowhere does not exist; give a directory that convert_vgg.py",
        ),
    ],
)
def test_systems_that_are_not_there_are_refused(arguments, message, tmp_path):
    done = evaluate("--style_dir=s", f"--output={tmp_path / 'out'}", *arguments)
    assert done.returncode in (1, 2) and message in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_looks_at_no_judge_needs_none(given, tmp_path):
    both = [f"--content_dir={given / 'c'}", f"--style_dir={given / 's'}", "--size=32"]
    both += [f"--stylized_dir={given / 'ours'}", f"--output={tmp_path / 'out'}"]
    done = evaluate(*both, "--metrics=cfsd,ssim")
    assert done.returncode == 1 and "give --judge=DIRECTORY" in done.stderr
    done = evaluate(*both, "--metrics=ssim")
    assert done.returncode == 0, done.stderr
    assert "Encoder of the losses" not in (tmp_path / "out" / "report.html").read_text()


def test_a_folder_of_systems_is_as_good_as_naming_each(given, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(given / "ours", tmp_path / "systems" / name)
    done = evaluate(
        *("--table=2", f"--systems_dir={tmp_path / 'systems'}", f"--content_dir={given / 'c'}"),
        *(f"--style_dir={given / 's'}", f"--judge={given / 'judge'}", "--size=32"),
        *("--metrics=ssim", f"--output={tmp_path / 'out'}"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["metrics"]
    assert list(found) == ["one", "two"]


def test_table_3_measures_clips_and_shows_ratios(given, tmp_path):
    pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    for folder in ("videos/clip", "a/clip_stylized_s", "b/clip_stylized_s"):
        for t in range(3):
            saved(tmp_path / folder / f"{t}.png", noise(int(rng.integers(99)), 40, 48, 3))
    rows = evaluate_stability(
        open_clips([tmp_path / "videos"], []),
        [given / "s" / "s.png"],
        tmp_path / "out",
        open_systems([f"a={tmp_path / 'a'}", f"b={tmp_path / 'b'}"]),
        baseline="a",
    )
    assert [row["system"] for row in rows] == ["unstylized", "a", "b"]
    page = (tmp_path / "out" / "report.html").read_text()
    a, b = (row["warping_1_interval_1"] for row in rows[1:])
    assert f"<td>{b / a:.4g}</td>" in page and "b / a" in page
    assert "clip (3 frames of 48 x 40, estimated flow)" in page


def test_table_3_names_the_folders_that_a_system_lacks(given, tmp_path):
    for t in range(2):
        saved(tmp_path / "clip" / f"{t}.png", noise(t, 32, 32, 3))
    style = given / "s" / "s.png"
    clips, systems = open_clips([tmp_path / "clip"], []), open_systems([f"a={tmp_path}"])
    with pytest.raises(UserError, match="a lacks folders of frames in .*: clip_stylized_s. Frames"):
        evaluate_stability(clips, [style], tmp_path / "out", systems)
    assert not (tmp_path / "out").exists()


def test_table_3_takes_known_flow_from_files_beside_the_frames(given, tmp_path):
    scene = np.random.default_rng(0).integers(0, 256, (40, 49, 3), dtype=np.uint8)
    for system in ("clips", "still"):  # which shows the first frame once more
        folder = tmp_path / system / ("clip" if system == "clips" else "clip_stylized_s")
        folder.mkdir(parents=True)
        for t in range(2):
            left = t if system == "clips" else 0
            Image.fromarray(scene[:, left : left + 48]).save(folder / f"{t}.png")
    (tmp_path / "clips" / "clip" / "flow").mkdir()
    flow = np.broadcast_to(np.array([-1.0, 0.0]), (40, 48, 2))
    np.savez(tmp_path / "clips" / "clip" / "flow" / "0.npz", flow=flow)
    done = evaluate(
        *("--table=3", f"--video_dir={tmp_path / 'clips'}", f"--system=still={tmp_path / 'still'}"),
        *(f"--style_dir={given / 's'}", f"--output={tmp_path / 'out'}"),
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out" / "metrics.json").read_text())["rows"]
    unstylized, still = (row["warping_2_interval_1"] for row in rows)
    expected = np.mean((scene[:, 1:48] / 255 - scene[:, :47] / 255) ** 2)
    assert unstylized == 0
    np.testing.assert_allclose(still, expected, rtol=1e-5)
    assert "clip (2 frames of 48 x 40, known flow)" in (tmp_path / "out/report.html").read_text()


def test_ratios_of_the_papers_own_table_are_those_it_implies():
    rows = [
        {"system": system, "content": "clip", "style": f"s{i}", "error": value}
        for system, values in TABLE_3.items()
        for i, value in enumerate(values)
    ]
    table = clip_table(rows, "error", baseline="AdaAttN")
    for ratio in ("0.8515", "0.7399", "0.8317", "0.8492", "0.8556"):
        assert f"<td>{ratio}</td>" in table


def test_what_a_table_lacks_is_a_dash():
    table = beside_paper({"ours": {}, "Full": {}}, {"full": (0.5, 1.0, 0.5), "no_da": (1, 2, 3)})
    dash, printed = "<td>–</td>", "<td>0.5</td><td>1</td><td>0.5</td>"
    assert f"<td>ours</td>{6 * dash}</tr>" in table
    assert f"<td>Full</td>{3 * dash}{printed}</tr>" in table
    assert f"<td>no_da</td>{3 * dash}<td>1</td><td>2</td><td>3</td></tr>" in table


def test_names_that_are_not_utf_8_are_measured_and_reported(tmp_path):
    content, style = (os.fsdecode(name) for name in (b"caf\xe9", b"wave\xff"))
    for folder, name in (("c", content), ("s", style), ("out", f"{content}_stylized_{style}")):
        saved(tmp_path / folder / f"{name}.png", noise(0, 48, 48, 3))
    folders = [f"--content_dir={tmp_path / 'c'}", f"--style_dir={tmp_path / 's'}"]
    system = f"--system={content}={tmp_path / 'out'}"
    output = f"--output={tmp_path / 'report'}"
    done = evaluate(system, *folders, "--metrics=ssim", "--size=32", output)
    assert done.returncode == 0 and not done.stderr.startswith("error"), done.stderr
    assert "caf\\udce9" in (tmp_path / "report" / "metrics.csv").read_text("utf-8")
    assert json.loads((tmp_path / "report" / "metrics.json").read_text("utf-8"))
    assert (tmp_path / "report" / "report.html").read_text("utf-8")
