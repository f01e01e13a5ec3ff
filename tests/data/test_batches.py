"""Batches: each picture once an epoch, real crops, and the same whoever reads them and when."""

import itertools
import logging
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stya2k_jax.data.batches import BatchOptions, ReadAndCrop, batches, recolored
from stya2k_jax.data.opening import open_source
from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.pictures.resizing import squash

CONTENTS, STYLES = 6, 5
KINDS = ("content", "style")


def write_flat(folder: Path, count: int, channel: int) -> None:
    """Writes pictures of one colour each; the level of `channel` tells which it is."""
    folder.mkdir()
    for i in range(count):
        colour = [0, 0, 0]
        colour[channel] = 10 * (i % 25 + 1)
        Image.new("RGB", (9, 7), tuple(colour)).save(folder / f"{i:03d}.png")


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
    return list(itertools.islice(stream(sources, **options), count))


def stream(sources, start: int = 0, rows: Sequence[int] | None = None, **options):
    options = dict(batch_size=4, load_size=8, crop_size=8, seed=0) | options
    return batches(*sources, BatchOptions(**options), start, rows)


def shown(found: list[dict[str, np.ndarray]]) -> tuple[list[int], list[int]]:
    """Returns which contents and which styles the batches show, in order."""
    return tuple(
        [int(picture[0, 0, channel]) // 10 - 1 for batch in found for picture in batch[kind]]
        for kind, channel in (("content", 0), ("style", 1))
    )


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert sorted(a) == sorted(b) == ["content", "content_id", "style", "style_id"]
        for name in a:
            assert a[name].dtype == b[name].dtype
            np.testing.assert_array_equal(a[name], b[name])


def damage(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:45])
    return path


### What a batch is


def test_a_batch_is_8_bit_crops_of_contents_and_styles():
    drawn = [open_source("demo:", kind) for kind in ("content", "style")]
    for batch in first(2, drawn, batch_size=3, load_size=20, crop_size=12):
        assert sorted(batch) == ["content", "content_id", "style", "style_id"]
        for pictures in (batch[kind] for kind in KINDS):
            assert pictures.shape == (3, 12, 12, 3) and pictures.dtype == np.uint8
        assert not np.array_equal(batch["content"], batch["style"])


def test_pictures_of_any_mode_and_shape_make_one_batch(tmp_path):
    for i, (mode, size) in enumerate([("L", (40, 9)), ("RGBA", (3, 50)), ("1", (1, 1))]):
        Image.new(mode, size).save(tmp_path / f"{i}.png")
    source = open_source(f"folder:{tmp_path}", "content")
    (batch,) = first(1, [source, source], batch_size=3)
    assert batch["content"].shape == (3, 8, 8, 3)


def test_crops_are_squares_cut_out_of_the_resized_picture_mirrored_half_of_the_time(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 17, 3), dtype=np.uint8))
    resized = np.asarray(image.resize((12, 12), Image.Resampling.BICUBIC))
    cuts = {}
    for top, left in itertools.product(range(12 - 9 + 1), repeat=2):
        cut = resized[top : top + 9, left : left + 9]
        cuts[cut.tobytes()] = (top, left, False)
        cuts[cut[:, ::-1].tobytes()] = (top, left, True)
    image.save(tmp_path / "only.png")
    only = open_source(str(tmp_path), "content")
    crop, rng = ReadAndCrop(only, "content", load_size=12, crop_size=9), np.random.default_rng(0)
    # A KeyError would be something that is not cut out of the picture.
    seen = [cuts[crop(0, rng)["content"].tobytes()] for _ in range(400)]
    assert len(set(seen)) == 4 * 4 * 2  # every corner occurs, both ways round
    assert 0.4 < np.mean([mirrored for *_, mirrored in seen]) < 0.6


def test_a_crop_of_the_load_size_is_the_whole_picture(sources):
    for batch in first(2, sources, load_size=8, crop_size=8):
        for pictures in (batch[kind] for kind in KINDS):
            assert (pictures == pictures[:, :1, :1]).all()


def test_without_a_load_size_crops_come_from_squares_of_the_short_side(tmp_path):
    rng, image = np.random.default_rng(0), Image.new("RGB", (20, 12))
    image.putdata([tuple(x) for x in rng.integers(0, 256, (240, 3))])
    image.save(tmp_path / "only.png")
    square = np.asarray(squash(image, 12))
    cuts = set()
    for top, left in itertools.product(range(4), repeat=2):
        cut = square[top : top + 9, left : left + 9]
        cuts |= {cut.tobytes(), cut[:, ::-1].tobytes()}
    only = open_source(str(tmp_path), "content")
    crop, rng = ReadAndCrop(only, "content", load_size=0, crop_size=9), np.random.default_rng(1)
    assert {crop(0, rng)["content"].tobytes() for _ in range(400)} == cuts
    enlarged = ReadAndCrop(only, "content", load_size=0, crop_size=16)(0, rng)["content"]
    whole = np.asarray(squash(image, 16))
    assert any(np.array_equal(enlarged, x) for x in (whole, whole[:, ::-1]))


def test_a_batch_says_which_pictures_it_shows(sources):
    found = first(5, sources)
    for batch in found:
        assert batch["content_id"].dtype == batch["style_id"].dtype == np.int64
    assert shown(found) == tuple(
        [int(i) for batch in found for i in batch[f"{kind}_id"]] for kind in KINDS
    )


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


def test_recoloring_changes_the_palettes_of_styles_alone(noisy):
    plain, changed = (first(6, noisy, recolor=amount) for amount in (0.0, 1.0))
    assert_equal(changed, first(6, noisy, recolor=1.0))
    for before, after in zip(plain, changed, strict=True):
        np.testing.assert_array_equal(before["content"], after["content"])
        assert not np.array_equal(before["style"], after["style"])


def test_recoloring_lets_the_channels_change_places_in_its_share_of_pictures():
    red = Image.new("RGB", (4, 4), (200, 30, 30))
    strongest = [
        np.asarray(recolored(red, np.random.default_rng(i), 0.5))[0, 0].argmax() for i in range(300)
    ]
    elsewhere = np.mean(np.array(strongest) != 0)
    assert 0.25 < elsewhere < 0.42  # half of the pictures, of which a third keep red


@pytest.mark.parametrize("recolor", [-0.1, 1.1])
def test_recoloring_beyond_its_range_is_refused(sources, recolor):
    with pytest.raises(UserError, match=f"recolor={recolor} must lie between 0, no change, and 1"):
        first(1, sources, recolor=recolor)


def test_a_picture_is_cut_anew_each_time_it_is_shown(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "only.png")
    only = open_source(str(tmp_path), "content")
    (batch,) = first(1, [only, only], batch_size=32, load_size=12, crop_size=8)
    for pictures in (batch[kind] for kind in KINDS):
        assert len({picture.tobytes() for picture in pictures}) > 16  # of 50 there are


@pytest.mark.parametrize("start", [*range(1, 13), 40])
def test_starting_at_a_batch_is_skipping_those_before(noisy, start):
    options = dict(load_size=10, crop_size=7)
    expected = first(start + 3, noisy, **options)[start:]
    assert_equal(first(3, noisy, start=start, **options), expected)


@pytest.mark.faults
@pytest.mark.parametrize("start", range(1, 13))
def test_worker_processes_start_at_any_batch(noisy, start):
    options = dict(load_size=10, crop_size=7)
    expected = first(start + 3, noisy, **options)[start:]
    assert_equal(first(3, noisy, start=start, workers=2, **options), expected)


def test_worker_processes_change_nothing(noisy):
    options = dict(batch_size=2, load_size=12, crop_size=8, start=3)
    assert_equal(first(5, noisy, workers=2, **options), first(5, noisy, **options))


### Several hosts


@pytest.mark.parametrize(
    ("shares", "workers"),
    [
        ([range(0, 4), range(4, 8)], 0),
        ([range(0, 8, 2), range(1, 8, 2)], 0),
        ([[6, 7], [0, 1], [2, 3], [4, 5]], 0),
        ([[0, 4], [1, 5], [2, 6], [3, 7]], 0),
        ([range(1, 8, 2)], 2),
    ],
    ids=["halves", "every second", "quarters", "every fourth", "every second, workers"],
)
def test_hosts_read_the_rows_that_one_would(noisy, shares, workers):
    options = dict(batch_size=8, load_size=12, crop_size=8, start=2)
    expected = first(3, noisy, **options)
    for rows in shares:
        found = first(3, noisy, rows=rows, workers=workers, **options)
        assert_equal(found, [{name: x[list(rows)] for name, x in b.items()} for b in expected])


def test_row_r_of_batch_i_is_always_the_same_sample(noisy):
    options = dict(load_size=12, crop_size=8)
    eight = first(3, noisy, batch_size=8, **options)
    two = first(12, noisy, batch_size=2, **options)
    for name in eight[0]:
        np.testing.assert_array_equal(
            np.concatenate([batch[name] for batch in eight]),
            np.concatenate([batch[name] for batch in two]),
        )


@pytest.mark.parametrize("rows", [[], [4], [-1], [0, 9]])
def test_rows_that_a_batch_does_not_have_are_refused(sources, rows):
    with pytest.raises(ValueError, match="a batch has rows 0 to 3"):
        first(1, sources, batch_size=4, rows=rows)


### Pictures that cannot be read


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """500 pictures: Grain takes milliseconds to shuffle a handful."""
    folder = tmp_path_factory.mktemp("whole") / "content"
    write_flat(folder, 500, channel=0)
    return open_source(str(folder), "style")


@pytest.fixture(scope="module")
def many(whole, tmp_path_factory):
    """The same, of which number 17 is damaged."""
    folder = tmp_path_factory.mktemp("many") / "content"
    shutil.copytree(whole.root, folder)
    damage(folder / "017.png")
    return open_source(str(folder), "content")


@pytest.mark.parametrize("workers", [0, 2])
def test_one_damaged_picture_of_500_is_passed_over_counted_and_named_once(
    many, whole, workers, caplog
):
    with caplog.at_level(logging.WARNING):
        found = first(20, [many, whole], batch_size=50, workers=workers)  # two epochs
    ids = np.concatenate([batch["content_id"] for batch in found])
    assert sorted(ids) == sorted([i for i in range(500) if i != 17] * 2 + [18, 18])
    levels = np.concatenate([batch["content"][:, 0, 0, 0] for batch in found])
    np.testing.assert_array_equal(levels, 10 * (ids % 25 + 1))
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"config.content: {many.name(17)} ")
    assert message.endswith("1 of 500 cannot be read so far.")


def test_all_other_samples_are_as_if_the_picture_could_be_read(many, whole):
    expected = first(10, [whole, whole], batch_size=50)
    found = first(10, [many, whole], batch_size=50)
    differ = 0
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a["style"], b["style"])
        same = a["content_id"] == b["content_id"]
        np.testing.assert_array_equal(a["content"][same], b["content"][same])
        differ += (~same).sum()
    assert differ == 1


@pytest.mark.parametrize(("broken", "refused"), [(range(0, 5), False), (range(0, 12, 2), True)])
def test_more_than_one_percent_end_the_run(tmp_path, whole, broken, refused):
    shutil.copytree(whole.root, tmp_path / "content")  # 5 are one percent
    for i in broken:
        damage(tmp_path / "content" / f"{i:03d}.png")
    content = open_source(str(tmp_path / "content"), "content")
    if not refused:
        found = first(10, [content, whole], batch_size=50)
        ids = np.concatenate([batch["content_id"] for batch in found])
        assert sorted(ids) == sorted([*range(5, 500)] + 5 * [5])
        return
    with pytest.raises(PictureError, match="6 of 500 pictures cannot be read, more than 1 %") as e:
        first(10, [content, whole], batch_size=50)
    assert sum(content.name(i) in str(e.value) for i in broken) == 3
    assert "And 3 more. Replace or remove such pictures" in str(e.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_one_damaged_picture_of_three_is_an_error_that_names_it(sources, tmp_path, workers):
    write_flat(tmp_path / "content", 3, channel=0)
    path = damage(tmp_path / "content" / "001.png")
    contents = open_source(str(tmp_path / "content"), "content")
    with pytest.raises(PictureError, match=f"config.content: 1 of 3 .*: {path} cannot be read"):
        first(1, [contents, sources[1]], batch_size=3, workers=workers)


def test_a_folder_of_nothing_but_damage_is_refused_without_reading_all_of_it(sources):
    class Damaged(type(sources[0])):
        reads = []

        def __getitem__(self, index):
            self.reads.append(index)
            raise PictureError(f"{index} is damaged.")

    damaged = Damaged("", ("",) * 10_000)
    with pytest.raises(PictureError, match="101 of 10000 pictures cannot be read"):
        first(1, [damaged, sources[1]], batch_size=1)
    assert len(Damaged.reads) < 1000  # by a few threads that read ahead


### Workers


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_killed_is_an_error_and_no_hang(noisy, workers):
    before = set(multiprocessing.active_children())
    some = stream(noisy, batch_size=2, workers=workers)
    next(some)
    children = set(multiprocessing.active_children()) - before
    assert len(children) == workers
    os.kill(children.pop().pid, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(UserError, match="worker process, .*, was killed from outside"):
        for _ in range(100):  # a few are read already
            next(some)
    assert time.monotonic() - start < 60
    assert set(multiprocessing.active_children()) <= before


def test_worker_processes_need_no_shared_memory(noisy):
    (batch,) = first(1, noisy, batch_size=2, workers=1)
    # What Grain sends through shared memory arrives as an array of another type.
    assert {type(x) for x in batch.values()} == {np.ndarray}
    assert all(x.base is None or not hasattr(x.base, "shm") for x in batch.values())


def test_worker_processes_end_when_nobody_wants_more(noisy):
    before = len(multiprocessing.active_children())
    some = stream(noisy, batch_size=2, workers=1)
    next(some)
    assert len(multiprocessing.active_children()) == before + 1
    del some
    assert len(multiprocessing.active_children()) == before


### Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(crop_size=9), "crop_size=9 is larger than load_size=8"),
        (dict(crop_size=0), "crop_size=0 is too small; use at least 1"),
        (dict(load_size=-1), "load_size=-1 is too small; use at least 0"),
        (dict(seed=-1), "seed=-1 is too small; use at least 0"),
        (dict(workers=-1), "workers=-1 is too small"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(sources, options, message):
    with pytest.raises(UserError, match=message):
        stream(sources, **options)  # nothing is asked of the iterator yet
