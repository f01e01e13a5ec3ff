"""Writes `docs/cli.md`, the manual of all commands, from their flags: `make manual`."""

import importlib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from absl import flags

from stya2k_jax.commands import COMMANDS, command_line
from stya2k_jax.files.atomic import write_whole

PREFACE = """\
# The command line

Every command and every flag, for looking up. `make manual` writes this page from the commands.

```text
stya2k COMMAND [FILE …] [--flag=value …]
```

`stya2k` alone lists the commands, `stya2k COMMAND --help` (or `-h`) the flags of one; `--version`
tells the version. `python -m stya2k_jax` is the same as `stya2k`.

- `--tile=256` and `--tile 256` are the same, and so are `-` and `_` within the name of a flag. What
  is on or off is given as `--json` or `--nojson`.
- Arguments without a flag may stand before, between and after flags. Behind `--` everything is an
  argument. A file whose name begins with `-` is given as `./-name`.
- Results are named on the standard output. Errors, warnings and progress go to the standard error.
- Pictures and other files are written whole or not at all.

| exit code | meaning |
|---|---|
| 0 | all is done |
| 1 | something could not be done; each reason has been said, and of many files the rest is done |
| 2 | the command line is wrong, and nothing has been done |
| 130 | stopped by Ctrl-C |

| environment variable | meaning |
|---|---|
| `XDG_CACHE_HOME` | compiled programs are kept in its folder `stya2k_jax`; default: `~/.cache` |
| `JAX_COMPILATION_CACHE_DIR` | another folder for them |
| `JAX_PLATFORMS` | `cpu` leaves a GPU alone |
"""
_PLACEHOLDERS = {  # of a value, by the type of the flag
    "string": "TEXT",
    "int": "N",
    "float": "X",
    "string enum": "CHOICE",
    "multi string": "TEXT",
    "comma separated list of strings": "A,B",
}


class Manual(NamedTuple):
    """What a command says of itself.

    Attributes:
      arguments: those without a flag, as `command_line.run` takes them.
      text: the docstring of its module.
      flags: in the order of their names.
    """

    arguments: str
    text: str
    flags: list[flags.Flag]


def manual_of(command: str) -> Manual:
    """Returns the manual of a command, whose flags are defined and removed again."""
    module = importlib.import_module(f"stya2k_jax.commands.{command.replace('-', '_')}")
    before = set(flags.FLAGS)
    given: list[str] = []

    def run(main: Callable, arguments: str = "") -> None:
        given.append(arguments)

    with patch.object(command_line, "run", run):
        module.main()
    names = set(flags.FLAGS) - before
    defined = {flags.FLAGS[name].name: flags.FLAGS[name] for name in names}  # some have two names
    for name in names:
        delattr(flags.FLAGS, name)
    [arguments] = given
    listed = sorted(defined.values(), key=lambda flag: flag.name)
    return Manual(arguments, (module.__doc__ or "").strip(), listed)


def page() -> str:
    """Returns the text of `docs/cli.md`."""
    return PREFACE + "".join(map(_section, COMMANDS))


def _section(command: str) -> str:
    manual = manual_of(command)
    usage = " ".join(filter(None, [f"stya2k {command}", manual.arguments, "[--flag=value …]"]))
    rows = "".join(f"| {_flag(flag)} | {_meaning(flag)} |\n" for flag in manual.flags)
    return (
        f"\n## stya2k {command}\n\n{manual.text}\n\n```text\n{usage}\n```\n\n"
        f"| flag | meaning |\n|---|---|\n{rows}"
    )


def _flag(flag: flags.Flag) -> str:
    kind = flag.flag_type()
    shown = f"--{flag.name}" if kind == "bool" else f"--{flag.name}={_placeholder(kind)}"
    return f"`-{flag.short_name}`, `{shown}`" if flag.short_name else f"`{shown}`"


def _placeholder(kind: str) -> str:
    return _PLACEHOLDERS.get(kind, "FILE")


def _meaning(flag: flags.Flag) -> str:
    text = " ".join(str(flag.help).split())
    text = re.sub(r"^<.*?>: |; repeat this option to specify a list of values", "", text)  # absl's
    parts = [text]
    if flag.flag_type().startswith("multi") and "repeat" not in text:
        parts.append("May be repeated.")
    choices = getattr(flag.parser, "enum_values", None)
    if choices:
        parts.append(f"One of {', '.join(choices)}.")
    if _is_required(flag):
        parts.append("Required.")
    elif flag.default not in (None, [], "") and not isinstance(flag.default, bool):
        parts.append(f"Default: {flag.default}.")
    return " ".join(parts).replace("|", "\\|")


def _is_required(flag: flags.Flag) -> bool:
    return any("must have a value" in validator.message for validator in flag.validators)


def main(argv: Sequence[str]) -> None:
    """Writes the page to the file that is named."""
    [path] = argv
    write_whole(path, lambda name: Path(name).write_text(page(), encoding="utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
