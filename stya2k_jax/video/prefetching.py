"""A thread that reads a bounded number of items ahead."""

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def prefetched(items: Iterator[T], depth: int) -> Iterator[T]:
    """Yields the items; a thread of its own makes them, up to `depth` ahead.

    At most `depth` items exist that have not been yielded, including the one being made. An error
    of `items` is raised here, after the items before it. Closing this iterator ends the thread.
    """
    room, made, closed = threading.Semaphore(depth), SimpleQueue(), threading.Event()

    def work() -> None:
        try:
            while room.acquire() and not closed.is_set():
                made.put((next(items), None))
        except BaseException as error:  # raised where the items are used; StopIteration too
            made.put((None, error))

    thread = threading.Thread(target=work, name="stya2k-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            room.release()
            yield item
    finally:
        closed.set()
        room.release()
        thread.join()
