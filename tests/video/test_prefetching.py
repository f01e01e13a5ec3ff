"""Reading ahead: in order, so many and no more, with its errors, and ending when it is closed."""

import threading
import weakref
from itertools import count

import numpy as np
import pytest

from stya2k_jax.video.prefetching import prefetched


def test_items_come_in_order_and_the_thread_ends():
    assert list(prefetched(iter(range(50)), 3)) == list(range(50))
    assert not any(thread.name == "stya2k-prefetch" for thread in threading.enumerate())


@pytest.mark.parametrize("depth", [1, 4])
def test_no_more_than_the_depth_is_ever_waiting(depth):
    made = []
    full = threading.Event()

    def items():
        for i in count():
            made.append(i)
            if len(made) - len(taken) >= depth:
                full.set()
            yield i

    taken = []
    ahead = prefetched(items(), depth)
    for _ in range(20):
        taken.append(next(ahead))
        full.wait(0.02)  # lets the thread run ahead as far as it can
        full.clear()
        assert len(made) - len(taken) <= depth
    ahead.close()


@pytest.mark.parametrize("depth", [1, 4])
def test_the_next_items_are_made_while_one_is_used(depth):
    begun = threading.Semaphore(0)

    def items():
        for i in count():
            begun.release()
            yield i

    ahead = prefetched(items(), depth)
    next(ahead)
    for _ in range(1 + depth):  # the one that is used, and `depth` ahead of it
        assert begun.acquire(timeout=20)
    ahead.close()


def test_items_that_were_used_are_let_go():
    alive = weakref.WeakSet()

    class Item:
        def __init__(self):
            self.pixels = np.zeros(10)
            alive.add(self)

    ahead = prefetched((Item() for _ in range(100)), 4)
    for item in ahead:
        assert len(alive) <= 4 + 1
        del item


def test_an_error_comes_after_what_was_before_it():
    def items():
        yield from (1, 2)
        raise ValueError("damaged")

    ahead = prefetched(items(), 8)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ValueError, match="damaged"):
        next(ahead)


def test_closing_ends_the_thread_in_the_middle():
    ahead = prefetched(count(), 2)
    assert next(ahead) == 0
    ahead.close()
    assert not any(thread.name == "stya2k-prefetch" for thread in threading.enumerate())
