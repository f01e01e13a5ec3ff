"""Files in, files out: names, sizes, blends, saved styles, clips, and what cannot be read."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax import Stylizer, UserError
from stya2k_jax.errors import PictureError
from stya2k_jax.inference.contents import find_contents
from stya2k_jax.inference.stylize_files import STYLES_AT_ONCE, Styling, stylize_files
from stya2k_jax.pictures.reading import read_picture
from tests.support.picture_files import noise, saved
from tests.support.small_model import small_model

HEIGHT, WIDTH = 16, 24


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer(small_model()[0])


CONTENT, STYLE = noise(0, HEIGHT, WIDTH, 3), noise(1, HEIGHT, HEIGHT, 3)


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def stylize(stylizer, contents, styles, output, content_size=0, style_size=0, **options):
    styling = {name: options.pop(name) for name in Styling._fields if name in options}
    return stylize_files(
        stylizer,
        contents,
        Styling(styles, style_size, **styling),
        output,
        content_size=content_size,
        **options,
    )


@pytest.fixture
def files(tmp_path):
    contents = [saved(tmp_path / "c" / f"c{i}.png", noise(i, *CONTENT.shape)) for i in range(2)]
    styles = [saved(tmp_path / "s" / f"s{i}.png", noise(9 + i, *STYLE.shape)) for i in range(2)]
    return contents, styles


def test_every_pair_becomes_a_file_named_after_both(stylizer, files, tmp_path):
    contents, styles = files
    output = tmp_path / "new" / "output"
    assert stylize(stylizer, contents, styles, output) == {}
    names = ["c0_stylized_s0.png", "c0_stylized_s1.png", "c1_stylized_s0.png", "c1_stylized_s1.png"]
    assert sorted(os.listdir(output)) == names
    for content, style in ((c, s) for c in contents for s in styles):
        name = f"{content.stem}_stylized_{style.stem}.png"
        with Image.open(output / name) as image:
            np.testing.assert_array_equal(np.asarray(image), np.asarray(stylizer(content, style)))


def test_contents_and_styles_are_resized_by_their_short_side(stylizer, tmp_path):
    content = saved(tmp_path / "wide.png", noise(0, 2 * HEIGHT, 2 * WIDTH, 3))
    style = saved(tmp_path / "style.png", noise(1, 5, 5, 3))
    stylize(stylizer, [content], [style], tmp_path / "out", content_size=HEIGHT, style_size=HEIGHT)
    with Image.open(tmp_path / "out" / "wide_stylized_style.png") as image:
        assert image.size == (WIDTH, HEIGHT)


def test_more_styles_than_are_kept_in_memory_are_all_done(stylizer, tmp_path):
    content = saved(tmp_path / "c.png", CONTENT)
    count = STYLES_AT_ONCE + 1
    styles = [saved(tmp_path / "s" / f"{i}.png", noise(i, *STYLE.shape)) for i in range(count)]
    (tmp_path / "broken.png").write_text("no picture")
    failures = stylize(stylizer, [tmp_path / "broken.png", content], styles, tmp_path / "out")
    assert list(failures) == [tmp_path / "broken.png"]  # once, though each round tries it
    assert sorted(os.listdir(tmp_path / "out")) == [f"c_stylized_{i}.png" for i in range(count)]


def test_files_that_cannot_be_read_are_listed_and_the_others_done(stylizer, files, tmp_path):
    contents, styles = files
    bad_content, bad_style = tmp_path / "bad.jpg", tmp_path / "worse.jpg"
    bad_content.write_text("no picture")
    bad_style.write_bytes(b"")
    failures = stylize(
        stylizer, [bad_content, *contents], [styles[0], bad_style, styles[1]], tmp_path / "out"
    )
    assert sorted(failures) == [bad_content, bad_style]
    for path, reason in failures.items():
        assert str(path) in reason
    assert len(os.listdir(tmp_path / "out")) == 4


def test_results_that_would_overwrite_each_other_are_refused_before_any_is_made(
    stylizer, files, tmp_path
):
    contents, styles = files
    twin = saved(tmp_path / "other" / "c0.jpg", CONTENT)
    with pytest.raises(UserError, match="Two contents are called 'c0': .*c0.png and .*c0.jpg"):
        stylize(stylizer, [*contents, twin], styles, tmp_path / "out")
    with pytest.raises(UserError, match="Two styles are called 'c0'"):
        stylize(stylizer, styles, [*contents, twin], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_given_twice_is_done_and_others_of_its_folder_untouched(stylizer, files, tmp_path):
    contents, styles = files
    assert stylize(stylizer, [contents[0]] * 2, [styles[0]], tmp_path / "out") == {}
    assert os.listdir(tmp_path / "out") == ["c0_stylized_s0.png"]


### Control


def test_a_blend_is_one_picture_named_after_all_styles(stylizer, files, tmp_path):
    (content, _), styles = files
    output = tmp_path / "out"
    stylize(stylizer, [content], styles, output, blended=True, weights=[3, 1])
    assert os.listdir(output) == ["c0_stylized_s0+s1.png"]
    expected = stylizer(content, stylizer.encode_style(styles, [0.75, 0.25]))
    np.testing.assert_array_equal(pixels_of(output / "c0_stylized_s0+s1.png"), expected)


def test_a_saved_style_may_be_part_of_a_blend(stylizer, files, tmp_path):
    contents, styles = files
    kept = tmp_path / f"{styles[0].stem}.safetensors"
    stylizer.encode_style(styles[0]).save(kept)
    for paths, folder in ((styles, "pictures"), ([kept, styles[1]], "kept")):
        styling = Styling(paths, size_px=0, weights=(0.3, 0.7), blended=True)
        assert stylize_files(stylizer, contents, styling, tmp_path / folder, content_size=0) == {}
    for path in (tmp_path / "pictures").iterdir():
        assert path.read_bytes() == (tmp_path / "kept" / path.name).read_bytes()


def test_a_blend_of_which_a_style_cannot_be_read_is_refused(stylizer, files, tmp_path):
    (content, _), styles = files
    (tmp_path / "broken.png").write_text("no picture")
    with pytest.raises(UserError, match="A blend needs all of its styles: .*broken.png"):
        stylize(stylizer, [content], [*styles, tmp_path / "broken.png"], tmp_path, blended=True)


def test_options_reach_every_picture(stylizer, files, tmp_path):
    (content, _), (style, _) = files
    mask = saved(tmp_path / "mask.png", np.tile(np.uint8([0, 255]), (HEIGHT, WIDTH // 2)))
    options = dict(alpha=0.5, preserve_color="luminance", content_mask=mask)
    stylize(stylizer, [content], [style], tmp_path / "out", **options)
    expected = stylizer(content, style, **options)
    np.testing.assert_array_equal(pixels_of(tmp_path / "out" / "c0_stylized_s0.png"), expected)


def test_a_saved_style_paints_as_its_picture(stylizer, files, tmp_path):
    (content, _), styles = files
    first, again = tmp_path / "first", tmp_path / "again"
    stylize(stylizer, [content], styles, first, save_to=first)
    kept = sorted(first.glob("*.safetensors"))
    assert [path.stem for path in kept] == ["s0", "s1"]
    stylize(stylizer, [content], kept, again)
    for name in ("c0_stylized_s0.png", "c0_stylized_s1.png"):
        np.testing.assert_array_equal(pixels_of(again / name), pixels_of(first / name))


def test_a_folder_of_frames_becomes_a_clip(stylizer, files, tmp_path):
    av = pytest.importorskip("av")
    _, (style, _) = files
    frames = [saved(tmp_path / "walk" / f"{i}.png", noise(i, *CONTENT.shape)) for i in range(5)]
    assert find_contents([str(frames[0].parent)], fps=10) == [frames[0].parent]
    stylize(stylizer, [frames[0].parent], [style], tmp_path / "out", fps=10)
    with av.open(str(tmp_path / "out" / "walk_stylized_s0.mp4")) as clip:
        stream = clip.streams.video[0]
        times = [float(frame.pts * stream.time_base) for frame in clip.decode(stream)]
    np.testing.assert_allclose(times, np.arange(5) / 10, atol=1e-3)


def test_a_clip_that_cannot_be_read_is_listed_and_the_others_done(stylizer, files, tmp_path):
    pytest.importorskip("av")
    (content, _), (style, _) = files
    broken = tmp_path / "broken.mp4"
    broken.write_text("no clip")
    failures = stylize(stylizer, [broken, content], [style], tmp_path / "out")
    assert list(failures) == [broken] and str(broken) in failures[broken]
    assert os.listdir(tmp_path / "out") == ["c0_stylized_s0.png"]


def test_pictures_and_clips_of_a_folder_are_found_and_nothing_else(tmp_path):
    picture = saved(tmp_path / "a.png", CONTENT)
    (tmp_path / "b.mp4").write_bytes(b"")
    (tmp_path / "c.txt").write_bytes(b"")
    assert find_contents([str(tmp_path)]) == [picture, tmp_path / "b.mp4"]
    picture.unlink()
    assert find_contents([str(tmp_path)]) == [tmp_path / "b.mp4"]
    (tmp_path / "b.mp4").unlink()
    with pytest.raises(PictureError, match="holds no pictures"):
        find_contents([str(tmp_path)])


def test_transparency_of_a_content_is_in_its_result(stylizer, files, tmp_path):
    _, (style, _) = files
    clear = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))[..., None]
    content = saved(tmp_path / "cut.png", np.concatenate([CONTENT, clear], axis=2))
    stylize(stylizer, [content], [style], tmp_path / "out")
    found = pixels_of(tmp_path / "out" / "cut_stylized_s0.png")
    np.testing.assert_array_equal(found[..., 3:], clear)
    on_white = np.asarray(read_picture(content))
    np.testing.assert_array_equal(found[..., :3], stylizer(on_white, read_picture(style)))
    stylize(stylizer, [content], [style], tmp_path / "small", content_size=HEIGHT // 2)
    small = pixels_of(tmp_path / "small" / "cut_stylized_s0.png")
    assert small.shape == (HEIGHT // 2, WIDTH // 2, 4)


def test_frames_with_transparency_are_said_to_lose_it(stylizer, files, tmp_path, capsys):
    pytest.importorskip("av")
    _, (style, _) = files
    clear = np.full((HEIGHT, WIDTH, 1), 99, np.uint8)
    saved(tmp_path / "walk" / "0.png", np.concatenate([CONTENT, clear], axis=2))
    stylize(stylizer, [tmp_path / "walk"], [style], tmp_path / "out", fps=5)
    assert "walk has transparency, which the result lacks" in "".join(capsys.readouterr())


### What goes wrong


def test_a_result_that_cannot_be_written_is_listed_and_the_others_done(stylizer, files, tmp_path):
    contents, styles = files
    taken = tmp_path / "out" / "c0_stylized_s1.png"
    taken.mkdir(parents=True)
    failures = stylize(stylizer, contents, styles, tmp_path / "out")
    assert list(failures) == [taken] and f"{taken} cannot be written: " in failures[taken]
    assert len(list((tmp_path / "out").glob("*.png"))) == 4


def test_names_that_are_too_long_are_cut_and_stay_apart(stylizer, tmp_path):
    contents = [saved(tmp_path / "c" / f"{'c' * 200}{i}.png", CONTENT) for i in range(2)]
    styles = [saved(tmp_path / "s" / f"{'ü' * 100}{i}.png", STYLE) for i in range(2)]
    output = tmp_path / "out"
    assert stylize(stylizer, contents, styles, output, blended=True, save_to=output) == {}
    names = os.listdir(output)
    assert len(names) == 3 and all(len(os.fsencode(name)) <= 220 for name in names)


def test_hidden_and_unfinished_clips_and_folders_named_so_are_no_contents(tmp_path):
    clip = tmp_path / "a.mp4"
    (tmp_path / ".trash").mkdir()
    (tmp_path / "folder.mp4").mkdir()
    for name in ("a.mp4", "._a.mp4", ".trash/b.mp4", "c.partial.mp4"):
        (tmp_path / name).write_bytes(b"")
    assert find_contents([str(tmp_path)]) == [clip]


def test_a_photograph_and_a_clip_of_one_name_do_not_clash(stylizer, files, tmp_path):
    pytest.importorskip("av")
    (content, _), (style, _) = files
    (content.parent / "c0.mov").write_bytes(b"no clip")
    failures = stylize(stylizer, [content, content.parent / "c0.mov"], [style], tmp_path / "out")
    assert list(failures) == [content.parent / "c0.mov"]
    assert os.listdir(tmp_path / "out") == ["c0_stylized_s0.png"]


def test_pictures_of_one_name_in_different_subfolders_keep_their_folders(stylizer, files, tmp_path):
    _, (style, _) = files
    root = tmp_path / "photos"
    for place in (".", "june", "july/first"):
        saved(root / place / "1.png", noise(len(place), *CONTENT.shape))
    contents = find_contents([str(root)])
    assert stylize(stylizer, contents, [style], tmp_path / "out", folders=[root]) == {}
    found = {path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.png")}
    assert found == {Path(p, "1_stylized_s0.png") for p in (".", "june", "july/first")}


def test_results_inside_the_folder_of_contents_are_no_contents(tmp_path):
    picture = saved(tmp_path / "a.png", CONTENT)
    result = saved(tmp_path / "out" / "a_stylized_s.png", CONTENT)
    assert find_contents([str(tmp_path)], output=tmp_path / "out") == [picture]
    assert find_contents([str(tmp_path)]) == [picture, result]
    assert find_contents([str(tmp_path / "out")], output=tmp_path / "out") == [result]


def test_a_folder_that_may_not_be_entered_is_listed_and_the_others_done(
    stylizer, files, tmp_path, monkeypatch
):
    contents, (style, _) = files
    closed = tmp_path / "c" / "closed"
    closed.mkdir()
    scandir = os.scandir

    def refusing(path):
        if os.fspath(path) == os.fspath(closed):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find_contents([str(tmp_path / "c")])
    failures = stylize(stylizer, found, [style], tmp_path / "out")
    assert list(failures) == [closed] and str(closed) in failures[closed]
    assert len(os.listdir(tmp_path / "out")) == len(contents)


def test_attention_is_shown_again_by_a_second_run(stylizer, files, tmp_path):
    (content, _), (style, _) = files
    output = tmp_path / "out"
    for _ in range(2):
        assert stylize(stylizer, [content], [style], output, attention_at=(3, 5)) == {}
    (output / "c0_stylized_s0_attention" / "mine.txt").write_text("kept")
    failures = stylize(stylizer, [content], [style], output, attention_at=(3, 5))
    assert list(failures) == [output / "c0_stylized_s0_attention"]
    assert (output / "c0_stylized_s0_attention" / "mine.txt").read_text() == "kept"
