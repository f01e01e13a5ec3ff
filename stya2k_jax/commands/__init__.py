"""The commands of `stya2k`, one file each.

Read stylize with stylize_arguments and stylize_reports, train, evaluate; then command_line and
compile_cache, which they share, and manual, which writes docs/cli.md.
"""

import atexit
import gc
import os

# At its end Python looks through all objects for circles, a third of a second with those of JAX
# and Flax. They are left as they are; files are closed where they were written.
atexit.register(gc.freeze)

# XLA calls a compilation of minutes an error and asks for a bug report. What users need to know
# reaches them as exceptions. JAX reads this once, when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# On the CPU a third of the time to compile goes into unrolled loops, which run no faster.
_EXTRA = "--xla_backend_extra_options="
if _EXTRA not in (_flags := os.environ.get("XLA_FLAGS", "")):
    _options = "xla_cpu_disable_loop_unrolling,xla_cpu_disable_slp_vectorizer"
    os.environ["XLA_FLAGS"] = f"{_flags} {_EXTRA}{_options}".strip()

COMMANDS = {  # with the line about each that the list prints
    "stylize": "paint pictures and clips in the style of others",
    "warm": "compile for common sizes beforehand",
    "train": "train a model, or resume a run",
    "evaluate": "measure models and folders of stylized pictures",
    "demo": "serve a page to try a model in the browser",
    "webcam": "serve a page that paints what the camera sees",
    "convert": "convert PyTorch weights to ours and back",
    "convert-lpips": "join published LPIPS weights into one file",
    "export": "write a model as StableHLO or ONNX programs",
    "prepare": "pack training pictures into array records",
    "styles": "list the pictures that the project draws itself",
    "info": "show versions, devices, models and the cache",
    "pack": "write a model as one file",
    "showcase": "write the page of `make demo`",
    "study": "sum the votes of a preference study",
}
