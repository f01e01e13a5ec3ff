"""`stya2k warm` keeps what it compiles, or says why it does not."""

from tests.support.commands import run_command


def test_without_a_place_for_programs_nothing_is_compiled():
    done = run_command("-m", "stya2k_jax", "warm", "--compile_cache=")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == (
        "error: compiled programs cannot be kept; name a place with --compile_cache.\n"
    )


def test_a_side_too_small_to_be_padded_is_refused():
    done = run_command("-m", "stya2k_jax", "warm", "--size=31")
    assert done.returncode == 2 and "size" in done.stderr


def test_it_says_where_the_programs_are(tmp_path):
    done = run_command(
        "-c",
        "from stya2k_jax.inference import warming; warming.ASPECTS = (1.0,); "
        "warming._STYLE_ASPECTS = (1.0,); "
        "from stya2k_jax.commands import warm; warm.main()",
        "--size=64",
        f"--compile_cache={tmp_path}",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Programs for a short side of 64 pixels are in {tmp_path / 'ready'}\n"
    assert len(list((tmp_path / "ready").iterdir())) == 2
