"""Times several systems fairly on one machine."""

import time
from collections.abc import Callable, Mapping

import numpy as np


def take_turns(systems: Mapping[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of each call, by system. Systems alternate after a warm-up call each."""
    for run in systems.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, run in systems.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def report(seconds: Mapping[str, list[float]], baseline: str) -> None:
    """Prints a table: median, quartiles, best, and how many times as fast as the baseline."""
    wide = max(34, *map(len, seconds))
    print(
        f"{'system':{wide}} {'median':>8} {'quartiles':>17} {'best':>8} "
        f"{'x median':>9} {'x best':>7}"
    )
    base = seconds[baseline]
    for name, times in seconds.items():
        low, median, high = np.percentile(times, [25, 50, 75])
        print(
            f"{name:{wide}} {median:7.3f}s {low:7.3f}-{high:7.3f}s {min(times):7.3f}s "
            f"{np.median(base) / median:8.2f}x {min(base) / min(times):6.2f}x"
        )
