"""Processes that read ahead. They end with the main process, and their death ends its waiting."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import grain
from absl import flags

from stya2k_jax.errors import UserError


def read_ahead(dataset: grain.MapDataset, workers: int) -> Iterator[Any]:
    """Yields the elements in order. `workers` processes read them, or threads if there are 0.

    Args:
      dataset: of elements that are large, such as batches.
      workers: how many processes.

    Raises:
      UserError: a worker was killed.
    """
    # Elements are large: read few ahead, Grain's default of 500 would fill the memory.
    ahead = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    elements = dataset.to_iter_dataset(ahead)
    if not workers:
        return _closing(elements)
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain reads its own when it starts processes
    # Elements come through pipes, as fast as through shared memory, of which containers have 64 MB.
    options = grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
    piped = grain.experimental.WithOptionsIterDataset(elements, options)
    processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
    return _closing(piped.mp_prefetch(processes, _prepare_worker))


def _closing(dataset: grain.IterDataset) -> Iterator[Any]:
    iterator = iter(dataset)
    try:
        yield from iterator
    except RuntimeError as error:
        if "Worker process was terminated" not in str(error):
            raise
        raise UserError(
            "A worker process, one that reads pictures, was killed from outside, perhaps because "
            "memory ran out; use fewer workers or a smaller batch, and start again."
        ) from error
    finally:
        iterator.close()


def _prepare_worker(index: int, count: int) -> None:
    """Lets the main process decide when this worker ends."""
    # Signals go to all processes. The main process must save first, so workers ignore them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Grain's workers would go on for ever if the main process were killed.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
