"""The commands of `stya2k`, one file each.

Read stylize, train, evaluate; then command_line and compile_cache, which they share.
"""

import os

# XLA calls a compilation of minutes an error and asks for a bug report. What users need to know
# reaches them as exceptions. JAX reads this once, when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
