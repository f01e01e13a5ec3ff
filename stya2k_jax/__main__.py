"""The one door to all commands: `stya2k COMMAND`, also `python -m stya2k_jax COMMAND`."""

import difflib
import importlib
import sys

from stya2k_jax.commands import COMMANDS


def main() -> None:
    """Runs the command that the first argument names; without one, prints the list."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("help", "-h", "--help", "--helpfull"):
        print(_listed())
        return
    if name in ("--version", "-V"):
        print(f"stya2k-jax {importlib.import_module('stya2k_jax.commands.info').version()}")
        return
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        print(f"error: there is no command {name!r}.{meant}\n\n{_listed()}", file=sys.stderr)
        sys.exit(2)
    command = importlib.import_module(f"stya2k_jax.commands.{name.replace('-', '_')}")
    sys.argv = [f"stya2k {name}", *("--help" if word == "-h" else word for word in rest)]
    sys.modules["__main__"].__doc__ = command.__doc__  # absl prints it above the flags
    command.main()


def _listed() -> str:
    lines = "\n".join(f"  {name:14} {line}" for name, line in COMMANDS.items())
    return (
        "usage: stya2k COMMAND [FILE …] [--flag=value …]\n\n"
        f"{lines}\n\n`stya2k COMMAND --help` lists the flags of a command."
    )


if __name__ == "__main__":
    main()
