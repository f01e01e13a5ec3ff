"""Batches: each picture once an epoch, real crops, and the same whoever reads them and when."""

import itertools
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.data import LoadAndCrop, batches, open_source
from stya2k_jax.errors import UserError
from stya2k_jax.images import PictureError

CONTENTS, STYLES = 6, 5


def write_flat(folder: Path, count: int, channel: int) -> None:
    """Writes pictures of one colour each; the level of `channel` tells which it is."""
    folder.mkdir()
    for i in range(count):
        colour = [0, 0, 0]
        colour[channel] = 10 * (i + 1)
        Image.new("RGB", (9, 7), tuple(colour)).save(folder / f"{i}.png")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    write_flat(root / "content", CONTENTS, channel=0)
    write_flat(root / "style", STYLES, channel=1)
    return root


@pytest.fixture
def sources(folders):
    return [open_source(str(folders / kind), kind) for kind in ("content", "style")]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Sources in which no two crops are alike."""
    root, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for kind, count in (("content", 7), ("style", 5)):
        (root / kind).mkdir()
        for i in range(count):
            pixels = rng.integers(0, 256, (21, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / kind / f"{i}.png")
    return [open_source(str(root / kind), kind) for kind in ("content", "style")]


def first(count: int, sources, **options) -> list[dict[str, np.ndarray]]:
    options = dict(batch_size=4, load_size=8, crop_size=8, seed=0) | options
    return list(itertools.islice(batches(*sources, **options), count))


def shown(found: list[dict[str, np.ndarray]]) -> tuple[list[int], list[int]]:
    """Returns which contents and which styles the batches show, in order."""
    return tuple(
        [int(picture[0, 0, channel]) // 10 - 1 for batch in found for picture in batch[kind]]
        for kind, channel in (("content", 0), ("style", 1))
    )


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        for kind in ("content", "style"):
            np.testing.assert_array_equal(a[kind], b[kind])


### What a batch is


def test_a_batch_is_8_bit_crops_of_contents_and_styles():
    drawn = [open_source("demo:", kind) for kind in ("content", "style")]
    for batch in first(2, drawn, batch_size=3, load_size=20, crop_size=12):
        assert sorted(batch) == ["content", "style"]
        for pictures in batch.values():
            assert pictures.shape == (3, 12, 12, 3) and pictures.dtype == np.uint8
        assert not np.array_equal(batch["content"], batch["style"])


def test_pictures_of_any_mode_and_shape_make_one_batch(tmp_path):
    for i, (mode, size) in enumerate([("L", (40, 9)), ("RGBA", (3, 50)), ("1", (1, 1))]):
        Image.new(mode, size).save(tmp_path / f"{i}.png")
    source = open_source(f"folder:{tmp_path}", "content")
    (batch,) = first(1, [source, source], batch_size=3)
    assert batch["content"].shape == (3, 8, 8, 3)


def test_crops_are_squares_cut_out_of_the_resized_picture_mirrored_half_of_the_time():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 17, 3), dtype=np.uint8))
    resized = np.asarray(image.resize((12, 12), Image.Resampling.BICUBIC))
    cuts = {}
    for top, left in itertools.product(range(12 - 9 + 1), repeat=2):
        cut = resized[top : top + 9, left : left + 9]
        cuts[cut.tobytes()] = (top, left, False)
        cuts[cut[:, ::-1].tobytes()] = (top, left, True)
    crop, rng = LoadAndCrop(load_size=12, crop_size=9), np.random.default_rng(0)
    seen = [cuts[crop(image, rng).tobytes()] for _ in range(400)]  # a KeyError: not a cut
    assert len(set(seen)) == 4 * 4 * 2  # every corner occurs, both ways round
    assert 0.4 < np.mean([mirrored for *_, mirrored in seen]) < 0.6


def test_a_crop_of_the_load_size_is_the_whole_picture(sources):
    for batch in first(2, sources, load_size=8, crop_size=8):
        for pictures in batch.values():
            assert (pictures == pictures[:, :1, :1]).all()


### Order


def test_every_content_and_every_style_is_shown_once_an_epoch(sources):
    contents, styles = shown(first(15, sources, batch_size=4))  # 60 pairs: whole epochs of both
    for epoch in range(60 // CONTENTS):
        assert sorted(contents[CONTENTS * epoch :][:CONTENTS]) == list(range(CONTENTS))
    for epoch in range(60 // STYLES):
        assert sorted(styles[STYLES * epoch :][:STYLES]) == list(range(STYLES))


def test_the_order_and_the_pairs_change_from_epoch_to_epoch(sources):
    contents, styles = shown(first(15, sources, batch_size=4))
    orders = {tuple(contents[CONTENTS * epoch :][:CONTENTS]) for epoch in range(10)}
    assert len(orders) > 5
    assert len(set(zip(contents, styles, strict=True))) > 15  # of 30 there are


def test_pairs_change_even_where_both_folders_have_as_many_pictures(sources):
    content, _ = sources
    batch = first(6, [content, content], batch_size=CONTENTS)
    pairs = [
        set(zip(b["content"][:, 0, 0, 0].tolist(), b["style"][:, 0, 0, 0].tolist(), strict=True))
        for b in batch
    ]
    assert any(pairs[0] != other for other in pairs[1:])
    assert any(a != b for pair in pairs for a, b in pair)


def test_batches_are_a_function_of_the_seed(noisy):
    options = dict(load_size=20, crop_size=12)
    once = first(3, noisy, seed=1, **options)
    assert_equal(once, first(3, noisy, seed=1, **options))
    for batch, other in zip(once, first(3, noisy, seed=2, **options), strict=True):
        assert not np.array_equal(batch["content"], other["content"])
        assert not np.array_equal(batch["style"], other["style"])


def test_a_picture_is_cut_anew_each_time_it_is_shown(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "only.png")
    only = open_source(str(tmp_path), "content")
    (batch,) = first(1, [only, only], batch_size=32, load_size=12, crop_size=8)
    for pictures in batch.values():
        assert len({picture.tobytes() for picture in pictures}) > 16  # of 50 there are


@pytest.mark.parametrize("start", [1, 2, 5, 40])
def test_starting_at_a_batch_is_skipping_those_before(noisy, start):
    options = dict(load_size=10, crop_size=7)
    expected = first(start + 3, noisy, **options)[start:]
    assert_equal(first(3, noisy, start=start, **options), expected)


def test_worker_processes_change_nothing(noisy):
    options = dict(batch_size=2, load_size=12, crop_size=8, start=3)
    assert_equal(first(5, noisy, workers=2, **options), first(5, noisy, **options))


### Errors


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_is_an_error_that_names_it_and_not_left_out(sources, tmp_path, workers):
    write_flat(tmp_path / "content", 3, channel=0)
    path = tmp_path / "content" / "1.png"
    path.write_bytes(path.read_bytes()[:45])
    contents = open_source(str(tmp_path / "content"), "content")
    with pytest.raises(PictureError, match=f"{path} "):
        first(1, [contents, sources[1]], batch_size=3, workers=workers)


def test_worker_processes_end_when_nobody_wants_more(noisy):
    before = len(multiprocessing.active_children())
    some = batches(*noisy, batch_size=2, load_size=8, crop_size=8, seed=0, workers=1)
    next(some)
    assert len(multiprocessing.active_children()) == before + 1
    del some
    assert len(multiprocessing.active_children()) == before


@pytest.mark.parametrize("kind", ["content", "style"])
def test_a_folder_that_is_missing_or_empty_is_named_with_its_field(tmp_path, kind):
    with pytest.raises(PictureError, match=f"config.{kind}: {tmp_path}/no does not exist"):
        open_source(str(tmp_path / "no"), kind)
    with pytest.raises(PictureError, match=f"config.{kind}: {tmp_path} holds no pictures"):
        open_source(f"folder:{tmp_path}", kind)
    with pytest.raises(PictureError, match=f"set --config.{kind}=FOLDER, or --config.{kind}=demo:"):
        open_source("", kind)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(crop_size=9), "crop_size=9 is larger than load_size=8"),
        (dict(crop_size=0), "crop_size=0 is too small; use at least 1"),
        (dict(load_size=0, crop_size=0), "load_size=0 is too small"),
        (dict(seed=-1), "seed=-1 is too small; use at least 0"),
        (dict(workers=-1), "workers=-1 is too small"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(sources, options, message):
    options = dict(batch_size=4, load_size=8, crop_size=8, seed=0) | options
    with pytest.raises(UserError, match=message):
        batches(*sources, **options)  # nothing is asked of the iterator yet
