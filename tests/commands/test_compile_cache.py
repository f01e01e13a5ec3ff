"""Compiled programs are kept where that is possible, and a command runs where it is not."""

import os
import pwd

import jax
import jax.numpy as jnp
import pytest
from jax._src import compilation_cache

from stya2k_jax.commands import compile_cache


@pytest.fixture(autouse=True)
def settings():
    """Gives JAX its settings back."""
    names = ("jax_compilation_cache_dir", "jax_compilation_cache_max_size")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update(names[0], None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def test_programs_are_kept_in_the_users_cache_up_to_a_size(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compile_cache.use(None)
    assert jax.config.jax_compilation_cache_dir.startswith(str(tmp_path / "stya2k_jax"))
    assert jax.config.jax_compilation_cache_max_size == compile_cache.MAX_BYTES
    assert capsys.readouterr().err == ""
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_without_a_home_one_line_says_so(monkeypatch, capsys):
    def unknown(number):
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    compile_cache.use(None)
    assert jax.config.jax_compilation_cache_dir is None
    [line] = capsys.readouterr().err.splitlines()
    assert "there is no home directory" in line and "--compile_cache" in line


@pytest.mark.parametrize("given", [True, False])
def test_where_nothing_can_be_written_one_line_says_so(given, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    compile_cache.use(place if given else None)
    assert jax.config.jax_compilation_cache_dir is None
    [line] = capsys.readouterr().err.splitlines()
    assert place in line and "Not a directory" in line


def test_what_jax_was_told_is_left_alone(tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    compile_cache.use(None)
    assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    compile_cache.use("")
    assert jax.config.jax_compilation_cache_dir is None


def test_a_damaged_entry_is_compiled_anew(tmp_path):
    compile_cache.use(str(tmp_path))
    compilation_cache.reset_cache()
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    try:

        def run() -> float:
            return float(jax.jit(lambda x: jnp.sin(x) * 3)(0.5))

        first = run()
        entries = list(tmp_path.glob("*-cache"))
        assert entries
        for entry in entries:
            entry.write_bytes(entry.read_bytes()[:10])
        jax.clear_caches()
        with pytest.warns(UserWarning, match="persistent compilation cache"):
            assert run() == first
    finally:
        threshold = os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
        jax.config.update("jax_persistent_cache_min_compile_time_secs", float(threshold))


@pytest.mark.parametrize("limit", [-1, compile_cache.MAX_BYTES])
def test_a_directory_that_holds_programs_already_takes_more(tmp_path, limit, recwarn):
    names = ("jax_compilation_cache_dir", "jax_compilation_cache_max_size")
    threshold = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    try:
        for name, value in zip(names, (str(tmp_path), limit), strict=True):
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        jax.jit(lambda x: jnp.cos(x) * 5)(0.5).block_until_ready()
        before = set(tmp_path.glob("*-cache"))
        jax.config.update(names[1], -1)
        compile_cache.use(str(tmp_path))
        compilation_cache.reset_cache()
        jax.jit(lambda x: jnp.tan(x) * 7)(0.5).block_until_ready()
        assert before and set(tmp_path.glob("*-cache")) > before and not recwarn.list
        assert (jax.config.jax_compilation_cache_max_size == -1) == (limit == -1)
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", threshold)
