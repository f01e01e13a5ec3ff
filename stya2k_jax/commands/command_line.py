"""Runs a command: an error that a user can cause becomes one message and an exit code.

0: all is done. 1: something could not be done. 2: the command line is wrong. 130: Ctrl-C.
"""

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
from absl import app, flags, logging

from stya2k_jax.errors import UserError

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


class UsageError(UserError):
    """A command line that makes no sense, whatever the files hold."""


def run(main: Callable[[Sequence[str]], int | None], arguments: str = "") -> None:
    """Parses the flags, calls `main` with the rest of the command line, and exits.

    A wrong value, a missing file, no permission or no memory prints one message on stderr. Any
    other exception is a bug and keeps its traceback.

    Args:
      main: takes the command's name and its arguments that are no flags; returns the exit code.
      arguments: what these arguments are, as `"[CONTENT ...] [STYLE]"`; they may stand before,
        between and after flags. "": there are none.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # the name of a file need not be UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    # `--help` shows the flags of the script, but they are defined in the module that it calls.
    for flag in flags.FLAGS.get_key_flags_for_module(main.__module__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(partial(_guarded, main, bool(arguments)), flags_parser=_parse)


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(_with_underscores(argv))
    except SystemExit:  # absl has shown what --help asks for, and calls that a failure
        sys.exit(0)
    except flags.Error as error:
        # ml_collections turns an error of a config file into the text of its traceback.
        name, _, message = str(error).rstrip().rpartition("\n")[2].partition(": ")
        if name.strip() == f"{UserError.__module__}.{UserError.__name__}":
            sys.exit(complain(message, WRONG_USAGE))
        sys.exit(complain(f"{error}\n--help lists the flags.", WRONG_USAGE))
    except (AttributeError, KeyError) as error:
        files = {Path(frame.filename).name for frame in traceback.extract_tb(error.__traceback__)}
        if "config_path.py" not in files:  # where ml_collections looks up --config.FIELD
            raise
        while error.args and isinstance(error.args[0], Exception):
            error = error.args[0]  # the text is in a KeyError inside of an AttributeError
        reason = ". ".join(str(error.args[0]).splitlines())
        sys.exit(complain(f"no such config field: {reason}", WRONG_USAGE))
    except OSError as error:
        sys.exit(complain(f"the config cannot be read: {error}", WRONG_USAGE))


def _with_underscores(argv: Sequence[str]) -> list[str]:
    """Lets `--content-size` mean `--content_size`; what follows `--` are no flags."""
    argv = list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    for i in range(1, end):
        name, equals, value = argv[i].partition("=")
        if name.startswith("--"):
            argv[i] = f"--{name[2:].replace('-', '_')}{equals}{value}"
    return argv


def _guarded(
    main: Callable[[Sequence[str]], int | None], takes_arguments: bool, argv: Sequence[str]
) -> int:
    if not flags.FLAGS["verbosity"].present:  # absl's default is INFO, and Orbax logs much there
        logging.set_verbosity(logging.WARNING)
    try:
        if len(argv) > 1 and not takes_arguments:
            raise UsageError(f"unknown argument {argv[1]!r}; flags look like --name=value.")
        return main(argv) or 0
    except KeyboardInterrupt:
        return complain("interrupted", INTERRUPTED)
    except MemoryError as error:
        return complain(f"out of memory: {error}; use smaller pictures or a smaller batch.")
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        return complain(f"out of memory ({reason}); use smaller pictures or a smaller batch.")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains again when it ends
        return complain("nobody reads the output any more")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        in_the_way = isinstance(error, FileExistsError)  # a file where a directory must be made
        return complain(f"{where}{'is not a directory' if in_the_way else error.strerror or error}")
    except UsageError as error:
        return complain(str(error), WRONG_USAGE)
    except UserError as error:
        return complain(str(error))


def complain(message: str, code: int = FAILED) -> int:
    """Prints an error on stderr and returns the exit code."""
    print(f"error: {message}", file=sys.stderr)
    return code
