"""Few programs for pictures of many sizes, by the laws that a choice of shapes has to keep."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stya2k_jax.inference.program_shapes import (
    MOST_SHAPES,
    MULTIPLE_PX,
    SMALLEST_PADDED_PX,
    Shapes,
    plan,
)

PROGRAM_PX = 2_000_000

sizes_of_pictures = st.tuples(
    st.integers(SMALLEST_PADDED_PX, 700), st.integers(SMALLEST_PADDED_PX, 700)
)
laws = settings(max_examples=60, deadline=None, derandomize=True)


def area(size):
    return size[0] * size[1]


def covers(shape, size):
    """Tells whether a picture can be painted in a shape: as it is, or padded."""
    return shape == size or all(
        side <= whole and whole % MULTIPLE_PX == 0 for side, whole in zip(size, shape, strict=True)
    )


def random_sizes(seed: int, count: int, largest: int) -> list[tuple[int, int]]:
    rng = random.Random(seed)
    return [tuple(rng.randint(SMALLEST_PADDED_PX, largest) for _ in range(2)) for _ in range(count)]


### Pictures as they come


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=40))
def test_every_picture_fits_the_shape_that_is_chosen_for_it(sizes):
    shapes = Shapes(PROGRAM_PX)
    for size in sizes:
        assert covers(shapes.choose(size), size)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("largest", [512, 1024])
def test_a_hundred_sizes_share_a_bounded_number_of_shapes(seed, largest):
    shapes = Shapes(PROGRAM_PX)
    chosen = {shapes.choose(size) for size in random_sizes(seed, 100, largest)}
    # Those that are made freely, and the multiples of 256 pixels.
    assert len(chosen) <= MOST_SHAPES + (largest // 256) ** 2


def test_a_hundred_pictures_of_one_size_are_one_shape():
    shapes = Shapes(PROGRAM_PX)
    assert {shapes.choose((333, 501)) for _ in range(100)} == {(333, 501)}


@laws
@given(first=sizes_of_pictures, second=sizes_of_pictures)
def test_the_first_sizes_are_painted_as_they_are_or_with_little_padding(first, second):
    shapes = Shapes(PROGRAM_PX)
    assert shapes.choose(first) == first
    assert area(shapes.choose(second)) <= 1.25 * area(second)


def test_a_shape_serves_pictures_a_fifth_smaller_and_not_those_a_third_smaller():
    shapes = Shapes(PROGRAM_PX)
    assert shapes.choose((320, 320)) == (320, 320)
    assert shapes.choose((290, 290)) == (320, 320)  # 82 % of the shape
    assert area(shapes.choose((262, 262))) < area((320, 320))  # 67 %


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=60))
@example([(32, 32), (32, 33), (32, 34), (32, 65), (32, 129), (32, 193), (32, 257), (65, 32)])
def test_a_size_that_came_before_makes_no_new_shape(sizes):
    shapes = Shapes(PROGRAM_PX)
    chosen = {shapes.choose(size) for size in sizes}
    assert {shapes.choose(size) for size in sizes} <= chosen


@laws
@given(st.integers(1, SMALLEST_PADDED_PX - 1), st.integers(1, 700), st.booleans())
def test_a_picture_too_small_to_be_padded_is_its_own_shape(short, long, portrait):
    shapes = Shapes(PROGRAM_PX)
    for size in random_sizes(0, 30, 512):
        shapes.choose(size)
    size = (long, short) if portrait else (short, long)
    assert shapes.choose(size) == size


def test_threads_that_ask_for_one_size_get_one_shape():
    sizes = random_sizes(0, 60, 512)
    for seed in range(10):
        shapes = Shapes(PROGRAM_PX)
        asked = [size for size in sizes for _ in range(4)]
        random.Random(seed).shuffle(asked)
        with ThreadPoolExecutor(8) as threads:
            chosen = list(threads.map(shapes.choose, asked))
        assert all(map(covers, chosen, asked))
        assert len(set(chosen)) <= MOST_SHAPES + 4


### Pictures that are announced


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=15), st.integers(1, 4))
def test_a_plan_covers_all_sizes_with_at_most_so_many_shapes(sizes, most):
    shapes = plan(sizes, program_px=PROGRAM_PX, most=most)
    assert 1 <= len(shapes) <= most
    assert all(any(covers(shape, size) for shape in shapes) for size in sizes)


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=15), st.integers(1, 20))
def test_a_plan_pads_no_further_than_the_largest_sides(sizes, most):
    for shape in plan(sizes, program_px=PROGRAM_PX, most=most):
        for axis in range(2):
            assert shape[axis] < max(size[axis] for size in sizes) + MULTIPLE_PX


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=8))
def test_where_programs_cost_nothing_nothing_is_padded(sizes):
    assert plan(sizes, program_px=0, most=8) == set(sizes)


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=8))
def test_where_programs_cost_everything_there_is_one(sizes):
    (shape,) = plan(sizes, program_px=float("inf"))
    sides = [max(side) for side in zip(*sizes, strict=True)]
    if len(set(sizes)) > 1:
        sides = [-(-side // MULTIPLE_PX) * MULTIPLE_PX for side in sides]
    assert shape == tuple(sides)


def test_a_size_that_comes_often_is_worth_a_shape_and_a_rare_one_is_not():
    frequent, rare = (320, 320), (640, 640)
    padding = area(rare) - area(frequent)
    one_program = 10 * padding
    assert plan([frequent] * 9 + [rare], program_px=one_program) == {rare}
    assert plan([frequent] * 11 + [rare], program_px=one_program) == {frequent, rare}


def test_two_sizes_are_united_whose_union_pads_least():
    sizes = [(100, 400), (112, 400), (400, 100), (400, 112)]
    assert plan(sizes, program_px=0, most=2) == {(112, 400), (400, 112)}


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=12))
def test_announced_pictures_make_no_more_shapes_than_were_planned(sizes):
    shapes = Shapes(PROGRAM_PX)
    shapes.prepare(sizes)
    assert {shapes.choose(size) for size in sizes} <= plan(sizes, program_px=PROGRAM_PX)


def test_a_single_announced_size_is_its_own_shape():
    shapes = Shapes(PROGRAM_PX)
    shapes.prepare([(333, 501)] * 3)
    assert shapes.choose((333, 501)) == (333, 501)


def test_a_size_with_a_shape_is_not_planned_again():
    shapes = Shapes(PROGRAM_PX)
    assert shapes.choose((333, 501)) == (333, 501)
    shapes.prepare([(333, 501), (640, 640)])
    assert shapes.choose((333, 501)) == (333, 501)
    assert shapes.choose((640, 640)) == (640, 640)


def test_pictures_too_small_to_be_padded_are_announced_in_vain():
    shapes = Shapes(PROGRAM_PX)
    shapes.prepare([(5, 300), (300, 5), (320, 320)])
    assert shapes.choose((5, 300)) == (5, 300)
    assert shapes.choose((300, 5)) == (300, 5)
    assert shapes.choose((320, 320)) == (320, 320)


def test_nothing_may_be_announced():
    Shapes(PROGRAM_PX).prepare([])
    assert plan([], program_px=PROGRAM_PX) == set()
