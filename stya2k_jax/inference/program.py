"""One function of a model as programs: compiled for each shape once, in the background or at need.

Programs are kept on disk where JAX keeps compiled programs; see `kept_programs`.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from stya2k_jax.inference import kept_programs

# XLA's optimizations of elementwise code take half of the time to compile and gain a twentieth of
# the time to run, because convolutions and products are calls of a library.
_QUICK: dict[str, str | bool] = {
    "xla_backend_optimization_level": "1",
    "xla_cpu_use_fusion_emitters": False,
}

Tell = Callable[[str], None]


class Made(NamedTuple):
    """A compiled program.

    Attributes:
      run: maps the leaves of state and arguments to the leaves of the result.
      result: a tree of `jax.ShapeDtypeStruct`.
    """

    run: Callable
    result: Any


class _Entry(NamedTuple):
    """A program that is there or being made.

    Attributes:
      result: a future of the result's shapes, which are known before the program is compiled.
      made: a future of the program.
    """

    result: Future
    made: Future


class Program:
    """Runs `function(state, *arguments, **static)`; compiles it when shapes are new.

    May be used by several threads.
    """

    def __init__(
        self,
        name: str,
        function: Callable,
        state: Any,
        *,
        about: Any = None,
        quick: bool = False,
        tell: Tell | None = None,
    ):
        """Takes the function and its first argument, which never changes.

        Args:
          name: of the function.
          function: of trees of arrays; its result is a tree of arrays that can be pickled.
          state: a tree of arrays.
          about: what the function's text depends on besides shapes, such as an architecture.
          quick: compile quickly on the CPU, for programs that run a twentieth slower.
          tell: is called with a sentence before something is compiled.
        """
        self._name, self._function, self._about, self._tell = name, function, about, tell
        self._state, self._state_tree = jax.tree.flatten(state)
        self._options = _QUICK if quick and _may_be_quick() else None
        self._entries: dict[Any, _Entry] = {}
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any, **static: Any) -> Any:
        """Returns the function's result; waits for its program."""
        leaves, tree = _flatten(arguments)
        made = self._entry(_call_here, tree, leaves, static).made.result()
        found = made.run(*self._state, *leaves)
        return jax.tree.unflatten(jax.tree.structure(made.result), found)

    def prepare(self, *arguments: Any, **static: Any) -> Future:
        """Begins to compile in the background; arguments may be `jax.ShapeDtypeStruct`."""
        leaves, tree = _flatten(arguments)
        return self._entry(in_background, tree, leaves, static).made

    def compile(self, *arguments: Any, **static: Any) -> None:
        """Compiles for arguments, arrays or `jax.ShapeDtypeStruct`, in the thread that asks."""
        leaves, tree = _flatten(arguments)
        self._entry(_call_here, tree, leaves, static).made.result()

    def result(self, *arguments: Any, **static: Any) -> Any:
        """Returns the result's shapes, of a program that is being compiled or has to be."""
        leaves, tree = _flatten(arguments)
        return self._entry(_call_here, tree, leaves, static).result.result()

    def shapes(self, *arguments: Any, **static: Any) -> Any:
        """Returns the result's shapes, and compiles nothing."""
        state = jax.tree.unflatten(self._state_tree, self._state)
        return jax.eval_shape(partial(self._function, state, **static), *arguments)

    def _entry(self, call: Callable, tree: Any, leaves: list, static: dict[str, Any]) -> _Entry:
        types = tuple(map(_type, leaves))
        key = tree, types, tuple(static.items())
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                return entry
            entry = self._entries[key] = _Entry(Future(), Future())
        call(self._fulfil, key, entry, static)
        return entry

    def _fulfil(self, key: Any, entry: _Entry, static: dict[str, Any]) -> None:
        try:
            entry.made.set_result(self._make(key, entry.result, static))
        except BaseException as error:
            with self._lock:
                del self._entries[key]  # the next call tries again
            for future in entry:
                if not future.done():
                    future.set_exception(error)

    def _make(self, key: Any, result: Future, static: dict[str, Any]) -> Made:
        tree, types, _ = key
        types = (*map(_type, self._state), *types)
        path = kept_programs.path_of(
            self._name, self._about, self._options, str(tree), types, static
        )
        kept = path and kept_programs.read(path)
        if kept:
            result.set_result(kept[1])
            return Made(*kept)
        if self._tell is not None:
            self._tell(_sentence(types[len(self._state) :], path))
        structure = None

        def flat(*leaves):
            nonlocal structure
            state = jax.tree.unflatten(self._state_tree, leaves[: len(self._state)])
            arguments = jax.tree.unflatten(tree, leaves[len(self._state) :])
            leaves, structure = jax.tree.flatten(self._function(state, *arguments, **static))
            return leaves

        flat.__name__ = self._name  # in JAX's logs
        lowered = jax.jit(flat).lower(*(jax.ShapeDtypeStruct(*kind) for kind in types))
        leaves = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in lowered.out_info]
        shapes = jax.tree.unflatten(structure, leaves)
        result.set_result(shapes)
        compiled = lowered.compile(compiler_options=self._options)
        if path:
            kept_programs.write(path, compiled, shapes)
        return Made(compiled, shapes)


def in_background(function: Callable, *arguments: Any) -> Future:
    """Calls a function in one of the threads that compile."""
    return _compilers().submit(function, *arguments)


def _call_here(function: Callable, *arguments: Any) -> None:
    function(*arguments)


def _flatten(arguments: tuple) -> tuple[list, Any]:
    leaves, tree = jax.tree.flatten(arguments)
    return [np.int32(x) if isinstance(x, int) else x for x in leaves], tree


def _type(x: Any) -> tuple[tuple[int, ...], Any]:
    return tuple(x.shape), np.dtype(x.dtype)


def _sentence(types: Sequence, path: Path | None) -> str:
    sizes = [shape[1:3] for shape, _ in types if len(shape) == 4 and shape[3] == 3]
    what = "x".join(map(str, sizes[0])) if sizes else "tiles"
    return f"compiling for {what}, once" + (f"; kept in {path.parent}" if path else "")


def _may_be_quick() -> bool:
    # What a user tells XLA goes before what we tell it.
    told = "xla_backend_optimization_level" in os.environ.get("XLA_FLAGS", "")
    return jax.default_backend() == "cpu" and not told


@cache
def _compilers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="compile")
