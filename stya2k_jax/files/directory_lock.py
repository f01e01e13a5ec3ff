"""A lock on a directory, held by one process and gone with it."""

import errno
import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stya2k_jax.errors import UserError

LOCK_FILE = ".lock"
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # some network disks

logger = logging.getLogger(__name__)


@contextmanager
def locked(directory: Path, flag: str) -> Iterator[None]:
    """Keeps other processes out of a directory that is there; the system ends a dead one's lock.

    The file `.lock` stays, and says who holds the lock or held it last.

    Args:
      directory: the directory.
      flag: the command line's flag that names it, for the message.

    Raises:
      UserError: another process holds the lock; names its host and number.
    """
    handle = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{directory} is in use by {_holder(handle)}; wait until that ends, or choose "
                f"another {flag}."
            ) from error
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            logger.warning(
                "%s cannot be locked (%s); start no other run there.", directory, error.strerror
            )
        os.ftruncate(handle, 0)
        holder = {"host": socket.gethostname(), "process": os.getpid()}
        os.pwrite(handle, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(handle: int) -> str:
    try:
        found = json.loads(os.pread(handle, 4096, 0))
        return f"process {found['process']} on {found['host']}"
    except (OSError, ValueError, LookupError, TypeError):  # it is being written
        return "another process"
