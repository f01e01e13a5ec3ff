"""Where results go and what is said of them; painting is left out."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.inference.results import Output, Result
from stya2k_jax.inference.stylize_files import Styling, stylize_files
from stya2k_jax.pictures.named import Named
from stya2k_jax.pictures.names import Pair
from stya2k_jax.pictures.reading import Layers
from tests.support.echo import Echo
from tests.support.picture_files import noise, saved


def run(contents, styles, output, *, stylizer=None, size_px=0, **options):
    """Returns failures and results."""
    results: list[Result] = []
    styling = Styling(styles, size_px, blended=options.pop("blended", False))
    failures = stylize_files(
        stylizer or Echo(),
        contents,
        styling,
        output,
        content_size=size_px,
        on_result=results.append,
        progress=False,
        **options,
    )
    return failures, results


@pytest.fixture
def content(tmp_path):
    return saved(tmp_path / "c.png", noise(0, 6, 9, 3))


@pytest.fixture
def style(tmp_path):
    return saved(tmp_path / "s.png", noise(1, 5, 5, 3))


def test_a_result_is_told_when_it_is_written(content, style, tmp_path):
    failures, [result] = run([content], [style], tmp_path / "out")
    assert not failures and result.target == tmp_path / "out" / "c_stylized_s.png"
    assert result.target.is_file() and result.pair == Pair("c", "s")
    assert (result.content, result.styles) == (content, (style,))
    assert result.size == (6, 9) and result.seconds >= 0 and result.frames is None
    np.testing.assert_array_equal(result.shown[1], noise(0, 6, 9, 3))


def test_one_result_may_have_a_file_of_its_own_or_the_output(content, style, tmp_path):
    file = tmp_path / "new" / "mine.webp"
    _, [result] = run([content], [style], Output(file.parent, file))
    assert result.target == file and [path.name for path in file.parent.iterdir()] == ["mine.webp"]
    stream = BytesIO()
    _, [result] = run([content], [style], Output(stream=stream))
    assert result.target is None
    np.testing.assert_array_equal(np.asarray(Image.open(stream)), noise(0, 6, 9, 3))


@pytest.mark.parametrize("output", [Output(file=Path("x.png")), Output(stream=BytesIO())])
def test_several_results_do_not_fit_into_one_place(content, style, output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = saved(tmp_path / "other.png", noise(2, 5, 5, 3))
    with pytest.raises(UserError, match="room for one result .* there would be 2; give a folder"):
        run([content], [style, other], output)
    _, results = run([content], [style, other], output._replace(file=None), blended=True)
    assert len(results) == 1  # a blend is one


def test_a_source_is_never_overwritten(content, style):
    for file in (content, style):
        before = file.read_bytes()
        with pytest.raises(UserError, match=f"{file} would be overwritten"):
            run([content], [style], Output(file.parent, file))
        assert file.read_bytes() == before


def test_nothing_is_written_where_results_are_only_shown(content, style, tmp_path):
    _, [result] = run([content], [style], Output(tmp_path / "out", nothing=True))
    assert result.target is None and result.shown is not None
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_no_files_have_names(style, tmp_path):
    alpha = Image.fromarray(noise(4, 6, 9))
    layers = Layers(Image.fromarray(noise(3, 6, 9, 3)), alpha)
    named = {Path("-"): Named("stdin", layers)}
    stylizer = Echo()
    _, [result] = run([Path("-")], [style], tmp_path / "out", named=named, stylizer=stylizer)
    assert result.target.name == "stdin_stylized_s.png" and stylizer.sizes == [(6, 9)]
    with Image.open(result.target) as image:
        np.testing.assert_array_equal(np.asarray(image)[..., 3], noise(4, 6, 9))
    twin = saved(tmp_path / "stdin.png", noise(5, 6, 9, 3))
    with pytest.raises(UserError, match="Two contents are called"):
        run([Path("-"), twin], [style], tmp_path / "out", named=named)


def test_a_picture_too_large_for_the_format_is_listed_and_the_others_done(content, style, tmp_path):
    strip = saved(tmp_path / "strip.png", np.zeros((1, 16384, 3), np.uint8))
    failures, results = run([strip, content], [style], Output(tmp_path / "out", suffix=".webp"))
    [(target, reason)] = failures.items()
    assert target.name == "strip_stylized_s.webp" and "16384x1 cannot be written as" in reason
    assert [result.content for result in results] == [content]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["c_stylized_s.webp"]


def test_a_file_where_a_folder_is_to_be_made_is_named(content, style, tmp_path):
    (tmp_path / "taken").write_text("a file")
    failures, _ = run([content], [style], Output(tmp_path, tmp_path / "taken" / "a.png"))
    [reason] = failures.values()
    assert reason.endswith(f"a.png cannot be written: {tmp_path}/taken is not a folder.")


def test_a_clip_has_frames_and_needs_a_file(content, style, tmp_path, capsys):
    pytest.importorskip("av")
    for i in range(3):
        saved(tmp_path / "walk" / f"{i}.png", noise(i, 16, 24, 3))
    walk = tmp_path / "walk"
    _, [result] = run([walk], [style], Output(tmp_path, tmp_path / "mine.mp4"), fps=5)
    assert (result.frames, result.size, result.shown) == (3, (16, 24), None)
    assert result.target.is_file() and capsys.readouterr().err == ""
    for output in (Output(nothing=True), Output(stream=BytesIO())):
        with pytest.raises(UserError, match="walk is a clip, which needs a file or a folder"):
            run([walk], [style], output, fps=5)
