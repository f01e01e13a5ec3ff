"""Compiles for common sizes beforehand: `stya2k warm`, so that no picture waits for it."""

from absl import flags
from tqdm import tqdm

from stya2k_jax.commands import command_line, compile_cache
from stya2k_jax.errors import UserError
from stya2k_jax.inference import kept_programs
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.inference.warming import warm
from stya2k_jax.weights.loading import MINI, load


def main() -> None:
    """Compiles programs for pictures and styles of common aspects, and keeps them on disk."""
    checkpoint = flags.DEFINE_string("checkpoint", MINI, "The model, as in `stya2k stylize`.")
    size = flags.DEFINE_integer(
        "size", 512, "Short side of contents and styles in pixels.", lower_bound=32
    )
    cache = flags.DEFINE_string(
        "compile_cache", None, "Directory for compiled programs; default: ~/.cache."
    )

    def run(_) -> None:
        compile_cache.use(cache.value)
        place = kept_programs.folder()
        if place is None:
            raise UserError("compiled programs cannot be kept; name a place with --compile_cache.")
        stylizer = Stylizer(load(checkpoint.value))
        futures = list(dict.fromkeys(warm(stylizer, size.value)))
        for future in tqdm(futures, unit="program"):
            future.result()
        print(f"Programs for a short side of {size.value} pixels are in {place}")

    command_line.run(run)
