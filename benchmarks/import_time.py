"""How long `import stya2k_jax` takes beyond the JAX and Flax that it stands on.

python -m benchmarks.import_time

Each import has a fresh process, which times it from its first line on; the two take turns. Run it
on a quiet machine, and twice, so that files are in the system's cache.
"""

import statistics
import subprocess
import sys

RUNS = 5
CODE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
MODULES = ("jax, flax.nnx", "jax, flax.nnx, stya2k_jax")


def seconds(modules: str) -> float:
    """Times an import in a fresh process."""
    command = [sys.executable, "-c", CODE.format(modules)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    rounds = [[seconds(modules) for modules in MODULES] for _ in range(RUNS)]
    base, ours = map(statistics.median, zip(*rounds, strict=True))
    print(f"import {MODULES[0]}: {base:.2f} s; stya2k_jax beyond it: {ours - base:.2f} s")
    print(f"medians of {RUNS} fresh processes each, {sys.executable}")
