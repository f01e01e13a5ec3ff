"""A program runs what its function says, is compiled once, and comes back from disk."""

import os
import pickle
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stya2k_jax.files.machine import machine
from stya2k_jax.inference import kept_programs
from stya2k_jax.inference.program import Program
from stya2k_jax.network import compiling

STATE = {"weight": np.float32([2, 3])}


class Traced:
    """A function that counts how often it is traced."""

    def __init__(self):
        self.times = 0

    def __call__(self, state, x, more, power=1):
        self.times += 1
        return {
            "sum": (x * state["weight"][None]) ** power + more[0],
            "count": jnp.int32(x.shape[0]),
        }


@pytest.fixture
def cache(tmp_path):
    """Lets programs be kept in an own directory, which is returned."""
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "cache"))
    yield tmp_path / "cache" / kept_programs.FOLDER
    jax.config.update("jax_compilation_cache_dir", before)


def ones(rows: int) -> np.ndarray:
    return np.ones((rows, 2), np.float32)


def assert_right(found: dict, rows: int, more: float, power: int = 1) -> None:
    expected = np.broadcast_to(np.float32([2, 3]) ** power + more, (rows, 2))
    np.testing.assert_allclose(found["sum"], expected)
    assert int(found["count"]) == rows


def test_a_shape_is_traced_once_and_another_one_again():
    function = Traced()
    program = Program("f", function, STATE, quick_start=False)
    for rows, times in ((3, 1), (3, 1), (4, 2), (3, 2)):
        assert_right(program(ones(rows), [1]), rows, 1)
        assert function.times == times
    assert_right(program(ones(3), [1], power=2), 3, 1, power=2)
    assert_right(program(ones(3), [5]), 3, 5)  # a number is an argument, not part of the program
    assert function.times == 3


def test_what_is_prepared_is_there_when_it_is_called():
    function = Traced()
    program = Program("f", function, STATE)
    shape = jax.ShapeDtypeStruct((5, 2), jnp.float32)
    program.prepare(shape, [jax.ShapeDtypeStruct((), jnp.int32)]).result()
    assert program.prepare(shape, [jax.ShapeDtypeStruct((), jnp.int32)]) is None
    assert program.result(shape, [1])["sum"].shape == (5, 2)
    assert_right(program(ones(5), [1]), 5, 1)
    assert function.times == 1


def test_what_is_prepared_and_given_up_is_compiled_when_it_is_called():
    held, holding = threading.Event(), []

    def hold(_, x):
        holding.append(x)
        held.wait()
        return x

    others = [Program("held", hold, STATE).prepare(ones(1)) for _ in range(2)]  # all the threads
    program = Program("f", Traced(), STATE)
    prepared = program.prepare(ones(3), [1])
    assert prepared.cancel()
    assert_right(program(ones(3), [1]), 3, 1)
    held.set()
    for other in others:
        other.result()
    assert len(holding) == 2


def test_an_error_in_the_background_reaches_who_waits_and_who_calls():
    def fail(*_):
        raise ValueError("no")

    program = Program("f", fail, STATE)
    with pytest.raises(ValueError, match="no"):
        program.prepare(ones(1)).result()
    with pytest.raises(ValueError, match="no"):
        program(ones(1))


def test_shapes_are_known_without_compiling():
    program = Program("f", Traced(), STATE)
    assert program.shapes(jax.ShapeDtypeStruct((7, 2), jnp.float32), [1])["sum"].shape == (7, 2)
    assert not program._entries


def test_threads_that_ask_at_once_compile_once():
    function = Traced()
    program = Program("f", function, STATE, quick_start=False)
    barrier = threading.Barrier(4)
    found = []

    def ask():
        barrier.wait()
        found.append(program(ones(6), [1]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and function.times == 1


def test_a_failure_is_told_and_the_next_call_tries_again():
    failing = [True]

    def function(state, x):
        if failing:
            raise ValueError("no")
        return x

    program = Program("f", function, STATE)
    with pytest.raises(ValueError, match="no"):
        program(ones(1))
    failing.clear()
    np.testing.assert_array_equal(program(ones(1)), ones(1))


def test_a_sentence_says_what_is_compiled_and_where_it_is_kept(cache):
    told = []
    program = Program("f", lambda _, x: x + 1, STATE, tell=told.append)
    for _ in range(2):
        program(np.ones((1, 4, 6, 3), np.float32))
    assert told == [f"compiling for 4x6, once; kept in {cache}"]


### On disk


def test_a_kept_program_is_not_traced_again(cache):
    first, second = Traced(), Traced()
    expected = Program("f", first, STATE)(ones(3), [1])
    found = Program("f", second, STATE)(ones(3), [1])
    assert (first.times, second.times) == (1, 0)
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found["sum"], expected["sum"])


@pytest.mark.parametrize("change", ["name", "about", "shape", "static", "state", "flags", "code"])
def test_whatever_differs_makes_another_program(cache, change, monkeypatch):
    Program("f", Traced(), STATE, about=1)(ones(3), [1])
    function = Traced()
    name = "g" if change == "name" else "f"
    state = {"weight": np.float64([2, 3])} if change == "state" else STATE
    if change == "flags":
        monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    if change == "code":
        monkeypatch.setattr(kept_programs, "_code", lambda: "other")
    other = Program(name, function, state, about=2 if change == "about" else 1)
    other(ones(4 if change == "shape" else 3), [1], power=2 if change == "static" else 1)
    assert function.times == 1
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other text"])
def test_a_damaged_program_is_compiled_anew_and_mended(cache, damage):
    Program("f", Traced(), STATE)(ones(3), [1])
    [file] = cache.iterdir()
    data = file.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    text = pickle.dumps(print)
    file.write_bytes(
        {"cut": data[:-9], "flipped": bytes(flipped), "empty": b"", "other text": text}[damage]
    )
    for times in (1, 0):
        function = Traced()
        assert_right(Program("f", function, STATE)(ones(3), [1]), 3, 1)
        assert function.times == times


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files mean nothing there")
@pytest.mark.parametrize("where", ["file", "folder"])
def test_what_others_could_have_written_is_not_loaded(cache, where):
    Program("f", Traced(), STATE)(ones(3), [1])
    [file] = cache.iterdir()
    place = file if where == "file" else cache
    place.chmod(place.stat().st_mode | 0o002)
    assert kept_programs.read(file) is None
    place.chmod(place.stat().st_mode & ~0o022)
    assert kept_programs.read(file) is not None


def test_the_least_used_is_removed_beyond_a_size(cache, monkeypatch):
    for i in range(3):
        Program(f"f{i}", Traced(), STATE)(ones(3), [1])
    first, second, third = (next(cache.glob(f"f{i}-*")) for i in range(3))
    for age, file in ((300, second), (200, first), (100, third)):
        os.utime(file, (file.stat().st_mtime - age,) * 2)
    monkeypatch.setattr(kept_programs, "MAX_BYTES", 3.5 * first.stat().st_size)
    for name in ("f3", "f4"):
        Program(name, Traced(), STATE)(ones(3), [1])
    assert not second.exists() and not first.exists() and third.exists()


def test_where_nothing_can_be_written_programs_run_all_the_same(cache):
    cache.parent.mkdir()
    cache.write_text("in the way")
    assert_right(Program("f", Traced(), STATE)(ones(3), [1]), 3, 1)


def test_a_kept_program_runs_in_another_process(cache):
    code = f"""
import sys; sys.path.insert(0, "")
import jax, numpy as np
from stya2k_jax.inference.program import Program
jax.config.update("jax_compilation_cache_dir", {str(cache.parent)!r})
def function(state, x):
    print("traced")
    return x + state
print(Program("f", function, np.float32(1))(np.float32([1, 2])))
"""
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [one.stdout.split("\n")[:-1] for one in said] == [["traced", "[2. 3.]"], ["[2. 3.]"]]


def test_a_machine_has_one_name():
    assert machine() == machine() and "/" not in machine()


### Compiled at once, and better later


@pytest.fixture
def choosing(monkeypatch):
    """Lets programs be compiled in two ways although the tests' flags say otherwise."""
    monkeypatch.setattr(compiling, "may_choose", lambda: True)


def only_entry(program: Program):
    [entry] = program._entries.values()
    return entry


def test_a_program_that_is_used_again_is_compiled_better(cache, choosing):
    program = Program("f", Traced(), STATE)
    for use in range(3):
        assert not use or only_entry(program).better is None
        assert_right(program(ones(3), [1]), 3, 1)
    better = only_entry(program).better.result()
    assert only_entry(program).best() is better
    assert better.options is None
    assert only_entry(program).made.result().options == compiling.AT_ONCE
    assert_right(program(ones(3), [1]), 3, 1)
    assert len(list(cache.iterdir())) == 2

    function = Traced()
    again = Program("f", function, STATE)
    for _ in range(4):
        assert_right(again(ones(3), [1]), 3, 1)
    assert function.times == 0
    assert only_entry(again).made.result().options == better.options


def test_a_program_for_later_is_compiled_well_at_the_first_time(cache, choosing):
    program = Program("f", Traced(), STATE)
    program.prepare(ones(3), [1], best=True).result()
    for _ in range(4):
        program(ones(3), [1])
    assert only_entry(program).better is None and len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("narrow, quick_start", [(True, True), (True, False), (False, False)])
def test_a_program_is_compiled_once_if_narrow_or_not_to_start_quickly(
    cache, choosing, narrow, quick_start
):
    program = Program("f", Traced(), STATE, narrow=narrow, quick_start=quick_start)
    for _ in range(4):
        program(ones(3), [1])
    assert only_entry(program).better is None and len(list(cache.iterdir())) == 1
    assert only_entry(program).made.result().options == (compiling.NARROW if narrow else None)


def test_options_that_this_xla_does_not_know_change_nothing(cache, choosing, monkeypatch):
    monkeypatch.setattr(compiling, "NARROW", {"xla_of_tomorrow": True})
    program = Program("f", Traced(), STATE, narrow=True)
    assert_right(program(ones(3), [1]), 3, 1)
    assert len(list(cache.iterdir())) == 1


def test_a_better_program_that_fails_is_not_missed(cache, choosing, monkeypatch):
    program = Program("f", Traced(), STATE)
    program(ones(3), [1])

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(program, "_compiled", fail)
    for _ in range(4):
        assert_right(program(ones(3), [1]), 3, 1)
    assert isinstance(only_entry(program).better.exception(), MemoryError)


def test_what_a_user_tells_xla_goes_first(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=2")
    program = Program("f", Traced(), STATE, narrow=True)
    program(ones(3), [1])
    assert only_entry(program).made.result().options is None
