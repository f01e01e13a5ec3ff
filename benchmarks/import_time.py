"""How long the public names of `stya2k_jax` take to import, beyond JAX and Flax.

python -m benchmarks.import_time

Each import has a fresh process, which times it from its first line on; the two take turns. Run it
on a quiet machine, and twice, so that files are in the system's cache.
"""

import statistics
import subprocess
import sys

RUNS = 5
CODE = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
IMPORTS = ("import jax, flax.nnx", "import jax, flax.nnx; from stya2k_jax import *")


def seconds(imports: str) -> float:
    """Times an import in a fresh process."""
    command = [sys.executable, "-c", CODE.format(imports)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    rounds = [[seconds(imports) for imports in IMPORTS] for _ in range(RUNS)]
    base, ours = map(statistics.median, zip(*rounds, strict=True))
    print(f"{IMPORTS[0]}: {base:.2f} s; stya2k_jax beyond it: {ours - base:.2f} s")
    print(f"medians of {RUNS} fresh processes each, {sys.executable}")
