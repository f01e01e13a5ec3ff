"""Settings of all tests: strict arrays, several CPU devices, and what is compiled is kept."""

import atexit
import os
import shutil
import tempfile

# What one test has compiled, the next one and the commands it starts need not compile again. One
# directory for each process of pytest-xdist, because entries are not written atomically.
_CACHE = tempfile.mkdtemp(prefix="stya2k-test-compiled-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"

import jax  # noqa: E402

jax.config.update("jax_num_cpu_devices", 4)  # so that sharding is real
jax.config.update("jax_numpy_rank_promotion", "raise")
