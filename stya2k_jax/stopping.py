"""Requests to stop: SIGTERM, Ctrl-C and a scheduler's notice that it takes the host away."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import jax
from jax.experimental import multihost_utils

COMPILING = "stya2k-compiling"  # name of the thread


class StopRequest:
    """Notices SIGTERM and Ctrl-C inside of `with`; a second Ctrl-C interrupts at once.

    In a run of several processes JAX listens to SIGTERM in each of them, and all agree on the step
    after which to stop. There, the first Ctrl-C interrupts at once.
    """

    def __init__(self) -> None:
        """Prepares a request; listening starts with `with`."""
        self.signal: str | None = None
        self._asked = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if jax.process_count() == 1:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def now(self) -> bool:
        """Returns whether to stop after this step; every process must ask after every step."""
        if jax.process_count() == 1:
            return self.signal is not None
        # Count our own calls: JAX expects the counter to start at 1. With its step, a resumed run
        # would wait for one that never comes.
        self._asked += 1
        if multihost_utils.reached_preemption_sync_point(self._asked):
            self.signal = "SIGTERM to one of the processes"
        return self.signal is not None

    def _note(self, number: int, _: Any) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or signal.Signals(number).name


def unless_stopped(compile_it: Callable[[], Any], stop: StopRequest) -> Any:
    """Returns what `compile_it` returns, or None as soon as a signal asks to stop.

    Compiling a large network takes minutes, but after SIGTERM a program has only seconds. The
    compilation then goes on in its thread, and the program must not wait for it: see `compiling`.
    """
    if jax.process_count() > 1:  # all processes stop together, after a step
        return compile_it()
    if stop.signal:
        return None
    result: list[Any] = []

    def work() -> None:
        try:
            result.append(compile_it())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=work, name=COMPILING, daemon=True)
    thread.start()
    while thread.is_alive() and not stop.signal:
        thread.join(0.1)
    if not result:
        return None
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def compiling() -> bool:
    """Returns whether an abandoned compilation still runs.

    If so, leave with `os._exit`: a normal exit would crash.
    """
    return any(thread.name == COMPILING for thread in threading.enumerate())
