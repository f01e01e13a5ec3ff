"""Counts the programs that XLA compiles."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

COMPILED = "/jax/core/compile/backend_compile_duration"  # JAX reports it for every program


@contextmanager
def compilations() -> Iterator[list[str]]:
    """Yields a list; each program that XLA compiles inside the `with` block adds its name."""
    names: list[str] = []

    def listen(event: str, _: float, **attributes: str | int) -> None:
        if event == COMPILED:
            names.append(str(attributes.get("fun_name", "")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
