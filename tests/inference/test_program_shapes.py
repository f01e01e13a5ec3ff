"""Few programs for pictures of many sizes, by the laws that a choice of shapes has to keep."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stya2k_jax.inference.program_shapes import (
    FEW,
    MOST,
    MULTIPLE_PX,
    SMALLEST_PADDED_PX,
    STEP_PX,
    Shapes,
    covers,
    plan,
    standard_shape,
)

PROGRAM_PX = 2_000_000

sizes_of_pictures = st.tuples(
    st.integers(SMALLEST_PADDED_PX, 700), st.integers(SMALLEST_PADDED_PX, 700)
)
laws = settings(max_examples=60, deadline=None, derandomize=True)


def area(size):
    return size[0] * size[1]


def random_sizes(seed: int, count: int, largest: int) -> list[tuple[int, int]]:
    rng = random.Random(seed)
    return [tuple(rng.randint(SMALLEST_PADDED_PX, largest) for _ in range(2)) for _ in range(count)]


def aspects(count: int) -> list[tuple[int, int]]:
    """Returns sizes of short side 512, every other one upright, of aspects from 1 to 2."""
    sides = [round(512 * 2 ** (i / (count - 1))) for i in range(count)]
    return [(512, side) if i % 2 else (side, 512) for i, side in enumerate(sides)]


### Standard shapes


@laws
@given(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), st.sampled_from([1, 4]))
def test_a_standard_shape_covers_a_size_halves_exactly_and_is_one_itself(size, coarser):
    shape = standard_shape(size, coarser)
    assert covers(shape, size)
    assert all(side % MULTIPLE_PX == 0 and side % STEP_PX == 0 for side in shape)
    assert standard_shape(shape, coarser) == shape


@pytest.mark.parametrize("side", [512, 600, 683, 768, 910, 1024, 1500, 2048, 3000, 4000])
def test_a_standard_side_is_at_most_an_eighth_longer(side):
    assert standard_shape((side, side))[0] <= 1.125 * side


def test_photographs_of_one_aspect_share_a_standard_shape():
    assert {standard_shape((512, side)) for side in (680, 682, 683, 688, 704)} == {(512, 704)}


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
    assert len(chosen) <= MOST + (largest // 256) ** 2


@laws
@given(sizes_of_pictures)
def test_the_first_size_gets_its_standard_shape_whatever_came_in_an_earlier_process(size):
    assert Shapes(PROGRAM_PX).choose(size) == standard_shape(size)


def test_a_shape_serves_pictures_a_fifth_smaller_and_not_those_a_third_smaller():
    shapes = Shapes(PROGRAM_PX)
    assert shapes.choose((320, 320)) == (320, 320)
    assert shapes.choose((290, 290)) == (320, 320)  # 82 % of the shape
    assert area(shapes.choose((250, 250))) < area((320, 320))  # 61 %


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
        assert len(set(chosen)) <= MOST + 4


### Pictures that are announced


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=15))
def test_a_plan_covers_all_sizes_with_few_standard_shapes(sizes):
    shapes = plan(sizes, program_px=PROGRAM_PX)
    assert 1 <= len(shapes) <= MOST
    assert all(any(covers(shape, size) for shape in shapes) for size in sizes)
    assert {standard_shape(shape) for shape in shapes} == shapes


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=15))
def test_a_plan_pads_no_further_than_the_largest_sides(sizes):
    largest = standard_shape(tuple(max(side) for side in zip(*sizes, strict=True)))
    assert all(covers(largest, shape) for shape in plan(sizes, program_px=PROGRAM_PX))


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=2))
def test_where_programs_cost_nothing_every_size_gets_its_standard_shape(sizes):
    assert plan(sizes, program_px=0) == {standard_shape(size) for size in sizes}


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=8))
def test_where_programs_cost_everything_there_is_one(sizes):
    largest = standard_shape(tuple(max(side) for side in zip(*sizes, strict=True)))
    assert plan(sizes, program_px=float("inf")) == {largest}


def test_a_size_that_comes_often_is_worth_a_shape_and_a_rare_one_is_not():
    frequent, rare = (320, 320), (640, 640)
    padding = area(rare) - area(frequent)
    one_program = 10 * padding
    assert plan([frequent] * 9 + [rare], program_px=one_program) == {rare}
    assert plan([frequent] * 11 + [rare], program_px=one_program) == {frequent, rare}


@pytest.mark.parametrize("count", [12, 30])
def test_a_folder_of_different_aspects_needs_few_shapes_and_little_padding(count):
    shapes = Shapes(PROGRAM_PX)
    sizes = aspects(count)
    shapes.prepare(sizes, times=count)
    chosen = [shapes.choose(size) for size in sizes]
    assert len(set(chosen)) <= FEW
    assert sum(map(area, chosen)) <= 1.2 * sum(map(area, sizes))


@laws
@given(st.lists(sizes_of_pictures, min_size=1, max_size=12))
def test_announced_pictures_make_no_more_shapes_than_were_planned(sizes):
    shapes = Shapes(PROGRAM_PX)
    shapes.prepare(sizes)
    assert {shapes.choose(size) for size in sizes} <= plan(sizes, program_px=PROGRAM_PX)


def test_pictures_too_small_to_be_padded_are_announced_in_vain():
    shapes = Shapes(PROGRAM_PX)
    shapes.prepare([(5, 300), (300, 5), (320, 320)])
    assert shapes.choose((5, 300)) == (5, 300)
    assert shapes.choose((300, 5)) == (300, 5)
    assert shapes.choose((320, 320)) == (320, 320)


def test_nothing_may_be_announced():
    Shapes(PROGRAM_PX).prepare([])
    assert plan([], program_px=PROGRAM_PX) == set()
