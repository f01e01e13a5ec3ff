"""Settings of all tests: strict arrays, and several CPU devices so that sharding is real."""

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
