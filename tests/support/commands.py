"""Commands in processes of their own that need not import everything anew.

One process imports what commands import and then waits; each command is a fork of it, with a
command line, output and exit code of its own. A fresh process takes three seconds longer.
"""

import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

IMPORTED = (
    *("commands.convert", "commands.demo", "commands.prepare", "commands.train"),
    *("inference.stylizer", "training.devices", "training.train_encoder", "training.train_painter"),
)


def run_command(*command: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Runs what follows `python`: a script, `-m` and a module or `-c` and code; and arguments."""
    server = _server()
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder, name)) for name in ("stdout", "stderr")]
        order = dict(command=[str(part) for part in command], cwd=str(cwd), outputs=names)
        server.stdin.write(f"{json.dumps(order)}\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(
            order["command"], code, *(Path(name).read_text("utf-8") for name in names)
        )


@cache
def _server() -> subprocess.Popen:
    """Starts the process that forks; it ends when its stdin is closed, with this process."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.commands"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _next_order() -> dict:
    """Forks a process for each order and tells its exit code; returns in these processes alone."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


def _become(command: list[str], cwd: str, outputs: list[str]) -> None:
    os.chdir(cwd)
    for number, path in enumerate([os.devnull, *outputs]):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8")
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    elif command[0] == "-c":
        sys.argv = ["-c", *command[2:]]
        exec(compile(command[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = command
        sys.path[0] = str(Path(command[0]).absolute().parent)
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    for _name in IMPORTED:
        __import__(f"stya2k_jax.{_name}")
    gc.freeze()  # a fork that collects what is imported here would take a second to end
    _become(**_next_order())
