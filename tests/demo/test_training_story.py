"""What the page says of a training is what the run's files say."""

import json
import re
from pathlib import Path

import pytest

from stya2k_jax.demo.training_story import read_log, story_of
from stya2k_jax.errors import UserError

pytest.importorskip("matplotlib")


def write_run(folder: Path, losses: list[float], config: dict | None = None) -> Path:
    rows = [
        {"step": i + 1, "loss": y, "loss_a2k": y / 2, "grad_norm": 1.0, "images_per_second": 4.0}
        for i, y in enumerate(losses)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if config:
        (folder / "config.json").write_text(json.dumps({"config": config}))
    return folder


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([8.0] * 10 + [6.0] * 10, "The loss fell from 8 to 6, by 25%."),
        ([6.0] * 10 + [8.0] * 10, "The loss rose from 6 to 8, by 33%; train longer"),
        ([8.0, 7.9] * 10, "The loss stayed near"),
        ([8.0], "The loss is 8; a curve needs more steps."),
    ],
)
def test_the_sentence_compares_beginning_and_end(losses, expected, tmp_path):
    assert story_of(write_run(tmp_path, losses)).sentences[1].startswith(expected)


def test_it_says_what_was_trained_and_how_long(tmp_path):
    config = {"initial": "a2k-mini", "content": "demo:", "batch_size": 2}
    (first, _) = story_of(write_run(tmp_path, [1.0] * 40, config)).sentences
    assert first.startswith(
        "a2k-mini was trained further on pictures that the project draws, for 40 steps of 2 "
        "pictures; it took 20 seconds."
    )


def test_nothing_is_said_of_a_recipe_that_is_missing_and_no_path_is_shown(tmp_path):
    assert (
        story_of(write_run(tmp_path, [1.0]))
        .sentences[0]
        .startswith("A model was trained, for 1 step.")
    )
    config = {"initial": "/secret/run", "content": "/secret/photos", "batch_size": "x"}
    assert "secret" not in "".join(story_of(write_run(tmp_path, [1.0], config)).sentences)


def test_of_two_lines_of_a_step_the_last_one_counts(tmp_path):
    rows = [(1, 7.0), (2, 5.0), (2, 4.0)]
    lines = [json.dumps({"step": step, "loss": loss, "grad_norm": 1.0}) for step, loss in rows]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert [row["loss"] for row in read_log(tmp_path).values()] == [7.0, 4.0]
    assert "grad_norm" not in story_of(tmp_path).curve


def test_the_curve_is_a_line_and_no_cloud(tmp_path):
    svg = story_of(write_run(tmp_path, [1.0, 2.0, 3.0, 4.0])).curve
    assert not re.search(r"<use [^>]*fill-opacity", svg) and svg.count("clip-path") >= 4


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b"{}", b'{"step": 1, "loss": "x"}', b"3"])
def test_a_damaged_log_is_refused_by_file(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_bytes(text)
    with pytest.raises(UserError, match="metrics.jsonl is no log of a training run"):
        story_of(tmp_path)
    with pytest.raises(UserError, match="nowhere/metrics.jsonl is no log"):
        story_of(tmp_path / "nowhere")


def test_a_run_without_steps_has_no_story(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match="has no steps yet"):
        story_of(tmp_path)
