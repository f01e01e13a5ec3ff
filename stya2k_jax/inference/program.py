"""One function of a model as programs: compiled for each shape, in the background or at need.

On the CPU a program of a wide model that is needed at once is compiled without XLA's optimizations,
in a fraction of the time. It runs up to twice as long, so one that is used again is compiled better
meanwhile. Programs of narrow models are compiled with half of the optimizations, once.
All are kept on disk where JAX keeps compiled programs; see `kept_programs`.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from stya2k_jax.inference import kept_programs
from stya2k_jax.network import compiling

_Key = tuple[Any, tuple, tuple]  # of a program: tree and types of its arguments, static ones

_USES = 3  # after which a program is compiled better

Tell = Callable[[str], None]


class Made(NamedTuple):
    """A compiled program.

    Attributes:
      run: maps the leaves of state and arguments to the leaves of the result.
      result: a tree of `jax.ShapeDtypeStruct`.
      options: of the compiler.
    """

    run: Callable
    result: Any
    options: compiling.Options | None


class _Entry:
    """A program that is there or being made.

    Attributes:
      result: a future of the result's shapes, which are known before the program is compiled.
      made: a future of the program.
      better: the same, compiled better; None as long as that has not begun.
      uses: how often it was called.
    """

    def __init__(self):
        self.result: Future = Future()
        self.made: Future[Made] = Future()
        self.better: Future[Made] | None = None
        self.uses = 0

    def best(self) -> Made:
        """Returns the best program there is; waits if there is none."""
        better = self.better
        if better is not None and better.done() and not better.exception():
            return better.result()
        return self.made.result()


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
        narrow: bool = False,
        quick_start: bool = True,
        tell: Tell | None = None,
    ):
        """Takes the function and its first argument, which never changes.

        Args:
          name: of the function.
          function: of trees of arrays; its result is a tree of arrays that can be pickled.
          state: a tree of arrays.
          about: what the function's text depends on besides shapes, such as an architecture.
          narrow: its convolutions have few channels, so that XLA's default gains little.
          quick_start: compile at once, and better with use. Otherwise well from the start, so that
            equal arguments give equal bits at every use and in every process.
          tell: is called with a sentence before something is compiled.
        """
        self._name, self._function, self._about, self._tell = name, function, about, tell
        self._state, self._state_tree = jax.tree.flatten(state)
        on_cpu = compiling.may_choose()
        self._best = compiling.NARROW if on_cpu and narrow else None
        self._first = compiling.AT_ONCE if on_cpu and quick_start and not narrow else self._best
        self._entries: dict[Any, _Entry] = {}
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any, **static: Any) -> Any:
        """Returns the function's result; waits for its program."""
        leaves, tree = _flatten(arguments)
        while True:
            try:
                entry, _ = self._entry(_call_here, tree, leaves, static, self._first)
                made = entry.best()
                break
            except CancelledError:  # it was prepared, and then given up
                continue
        found = made.run(*self._state, *leaves)
        entry.uses += 1
        if entry.uses == _USES and made.options != self._best:
            key = _key(tree, leaves, static)
            entry.better = in_background(self._compiled, key, self._best)
        return jax.tree.unflatten(jax.tree.structure(made.result), found)

    def prepare(self, *arguments: Any, best: bool = False, **static: Any) -> Future | None:
        """Begins to compile in the background; arguments may be `jax.ShapeDtypeStruct`.

        With `best`, it is compiled well at the first time.

        Returns:
          A future, which may be cancelled; None where that has begun before.
        """
        leaves, tree = _flatten(arguments)
        options = self._best if best else self._first
        return self._entry(in_background, tree, leaves, static, options)[1]

    def compile(self, *arguments: Any, best: bool = False, **static: Any) -> None:
        """Compiles in the thread that asks; arguments as `prepare`."""
        leaves, tree = _flatten(arguments)
        options = self._best if best else self._first
        self._entry(_call_here, tree, leaves, static, options)[0].made.result()

    def result(self, *arguments: Any, **static: Any) -> Any:
        """Returns the result's shapes, of a program that is being compiled or has to be."""
        leaves, tree = _flatten(arguments)
        return self._entry(_call_here, tree, leaves, static, self._first)[0].result.result()

    def shapes(self, *arguments: Any, **static: Any) -> Any:
        """Returns the result's shapes, and compiles nothing."""
        state = jax.tree.unflatten(self._state_tree, self._state)
        return jax.eval_shape(partial(self._function, state, **static), *arguments)

    def _entry(
        self,
        call: Callable,
        tree: Any,
        leaves: list,
        static: dict[str, Any],
        options: compiling.Options | None,
    ) -> tuple[_Entry, Future | None]:
        """Returns an entry, and if it is new what `call` returns of making its program."""
        key = _key(tree, leaves, static)
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                return entry, None
            entry = self._entries[key] = _Entry()
        begun = call(self._fulfil, key, entry, options)
        if begun is not None:

            def give_up(future: Future) -> None:
                if future.cancelled():
                    self._fail(key, entry, CancelledError())

            begun.add_done_callback(give_up)
        return entry, begun

    def _fulfil(self, key: _Key, entry: _Entry, options: compiling.Options | None) -> None:
        try:
            made = self._kept(key, self._best, entry.result)
            if made is None and options != self._best:
                made = self._kept(key, options, entry.result)
            if made is None:
                made = self._compiled(key, options, entry.result)
            entry.made.set_result(made)
        except BaseException as error:
            self._fail(key, entry, error)
            raise

    def _fail(self, key: _Key, entry: _Entry, error: BaseException) -> None:
        with self._lock:
            del self._entries[key]  # the next call tries again
        for future in (entry.result, entry.made):
            if not future.done():
                future.set_exception(error)

    def _kept(self, key: _Key, options: compiling.Options | None, result: Future) -> Made | None:
        def see(shapes: Any) -> None:
            if not result.done():
                result.set_result(shapes)

        path = self._path(key, options)
        kept = path and kept_programs.read(path, see)
        return Made(*kept, options) if kept else None

    def _compiled(
        self, key: _Key, options: compiling.Options | None, result: Future | None = None
    ) -> Made:
        tree, types, static = key
        path = self._path(key, options)
        if self._tell is not None and result is not None:
            self._tell(_sentence(types, path))
        count, structure = len(self._state), None

        def flat(*leaves):
            nonlocal structure
            state = jax.tree.unflatten(self._state_tree, leaves[:count])
            arguments = jax.tree.unflatten(tree, leaves[count:])
            leaves, structure = jax.tree.flatten(self._function(state, *arguments, **dict(static)))
            return leaves

        flat.__name__ = self._name  # in JAX's logs
        given = (jax.ShapeDtypeStruct(*kind) for kind in (*map(_type, self._state), *types))
        lowered = jax.jit(flat).lower(*given)
        leaves = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in lowered.out_info]
        shapes = jax.tree.unflatten(structure, leaves)
        if result is not None and not result.done():  # else a program was read and not loaded
            result.set_result(shapes)
        compiled = compiling.compiled(lowered, options)
        if path:
            kept_programs.write(path, compiled, shapes)
        return Made(compiled, shapes, options)

    def _path(self, key: _Key, options: compiling.Options | None) -> Path | None:
        tree, types, static = key
        states = tuple(map(_type, self._state))
        return kept_programs.path_of(
            self._name, self._about, options, str(tree), states, types, static
        )


def in_background(function: Callable, *arguments: Any) -> Future:
    """Calls a function in one of the threads that compile."""
    return _compilers().submit(function, *arguments)


def _call_here(function: Callable, *arguments: Any) -> None:
    function(*arguments)


def _flatten(arguments: tuple) -> tuple[list, Any]:
    leaves, tree = jax.tree.flatten(arguments)
    return [np.int32(x) if isinstance(x, int) else x for x in leaves], tree


def _key(tree: Any, leaves: list, static: dict[str, Any]) -> _Key:
    return tree, tuple(map(_type, leaves)), tuple(static.items())


def _type(x: Any) -> tuple[tuple[int, ...], Any]:
    return tuple(x.shape), np.dtype(x.dtype)


def _sentence(types: Sequence, path: Path | None) -> str:
    sizes = [shape[1:3] for shape, _ in types if len(shape) == 4 and shape[3] == 3]
    what = "x".join(map(str, sizes[0])) if sizes else "tiles"
    return f"compiling for {what}, once" + (f"; kept in {path.parent}" if path else "")


@cache
def _compilers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="compile")
