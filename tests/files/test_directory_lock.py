"""A directory that a process has locked is closed to others until it ends, however it ends."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.files.directory_lock import LOCK_FILE, locked
from tests.support.paths import ROOT

HOLDS = """
import sys, time
from pathlib import Path
from stya2k_jax.files.directory_lock import locked

with locked(Path(sys.argv[1]), "--workdir"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_another_process_is_named_and_its_death_ends_the_lock(tmp_path):
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        where = f"in use by process {process.pid} on {socket.gethostname()}"
        with pytest.raises(UserError, match=f"{where}; wait .* choose another --workdir"):
            with locked(tmp_path, "--workdir"):
                raise AssertionError
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with locked(tmp_path, "--workdir"):
        holder = json.loads((tmp_path / LOCK_FILE).read_text())
    assert holder == {"host": socket.gethostname(), "process": os.getpid()}
    assert os.listdir(tmp_path) == [LOCK_FILE]


def test_what_an_earlier_process_has_written_does_not_matter(tmp_path):
    (tmp_path / LOCK_FILE).write_text("{" * 5000)
    with locked(tmp_path, "--workdir"):
        with pytest.raises(UserError, match="in use by process"):
            with locked(tmp_path, "--workdir"):
                raise AssertionError
    with locked(tmp_path, "--workdir"):
        pass
