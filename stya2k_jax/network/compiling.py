"""How XLA compiles a network for the CPU: quickly, well, or so as to suit few channels."""

import os

import jax

Options = dict[str, str | bool]

AT_ONCE: Options = {"xla_backend_optimization_level": "0", "xla_cpu_use_fusion_emitters": False}
# All of XLA's optimizations of elementwise code take half of the time to compile and gain a
# twentieth of the time to run, because convolutions and products are calls of a library. Without
# any, the rest takes as long as those. By default that library (YNNPACK) also adds, compares and
# exponentiates, a sixth slower than XLA's own code.
NARROW: Options = {
    "xla_backend_optimization_level": "1",
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT",
}


def may_choose() -> bool:
    """Returns whether options are ours to choose: on the CPU, where the user has told XLA none."""
    told = "xla_backend_optimization_level" in os.environ.get("XLA_FLAGS", "")
    return jax.default_backend() == "cpu" and not told


def compiled(lowered: jax.stages.Lowered, options: Options | None) -> jax.stages.Compiled:
    """Compiles with options; without them if this version of XLA does not know them."""
    try:
        return lowered.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        # Options change the time, not the picture.
        if options is None or "INVALID_ARGUMENT" not in str(error):
            raise
        return lowered.compile()
