"""Several processes, on one host or many, that train one model together."""

import os
import sys
import threading
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding

from stya2k_jax.errors import UserError

# A dead process is noticed within this time, so that the others do not wait for ever.
HEARTBEAT_TIMEOUT_S = 30

_ENVIRONMENT = {
    "coordinator": "STYA2K_COORDINATOR",
    "processes": "STYA2K_PROCESSES",
    "process": "STYA2K_PROCESS",
}
_TPU_HOSTS = "TPU_WORKER_HOSTNAMES"  # names several where one host of a TPU pod starts, on GKE


class JoinError(UserError):
    """This process cannot join the others. It does not train alone instead."""


class Place(NamedTuple):
    """The place of this process in a run of several. JAX finds what is None.

    JAX can do so on TPU pods, under SLURM and under Open MPI.

    Attributes:
      coordinator: `HOST:PORT` of process 0.
      processes: how many there are.
      process: the number of this one, from 0.
    """

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None


def place_of(
    coordinator: str | None,
    processes: int | None,
    process: int | None,
    detect: bool,
    environment: Mapping[str, str] = os.environ,
) -> Place | None:
    """Returns where this process belongs, or None if it is the only one.

    Args:
      coordinator: from the command line; the default is the variable STYA2K_COORDINATOR.
      processes: the same, or STYA2K_PROCESSES.
      process: the same, or STYA2K_PROCESS.
      detect: lets JAX find the place. JAX is asked anyway if TPU_WORKER_HOSTNAMES, which Kubernetes
        sets, names several hosts.
      environment: the variables.

    Raises:
      JoinError: only some of the three are given, or they make no sense.
    """
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    for name, variable in _ENVIRONMENT.items():
        if given[name] is None and environment.get(variable):
            given[name] = environment[variable]
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        pod = "," in environment.get(_TPU_HOSTS, "")
        return Place() if detect or pod else None
    if missing:
        raise JoinError(
            f"--{missing[0]} is missing (or {_ENVIRONMENT[missing[0]]} in the environment); a "
            "process needs --coordinator=HOST:PORT, --processes=N and --process=I."
        )
    try:
        place = Place(given["coordinator"], int(given["processes"]), int(given["process"]))
    except ValueError as error:
        raise JoinError(f"--processes and --process are whole numbers: {error}.") from error
    if place.processes == 1:
        return None
    host, _, port = place.coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise JoinError(f"--coordinator={place.coordinator} is not of the form HOST:PORT.")
    if not 0 <= place.process < place.processes:
        raise JoinError(
            f"--process={place.process} does not exist among --processes={place.processes}; "
            f"use 0 to {place.processes - 1}."
        )
    return place


def join(place: Place | None, timeout_s: int) -> None:
    """Waits until all processes of the run have started. Call it before any computation.

    If the others cannot be reached in time, this process ends by `leave_at_once`.

    Args:
      place: of this process; None joins nobody.
      timeout_s: how long to wait for the others.

    Raises:
      JoinError: the number of processes is wrong, or JAX cannot find the others.
    """
    if place is None:
        if jax.process_count() > 1:
            raise JoinError("this host is one of a TPU pod; start all of them with --distributed.")
        return
    too_late = threading.Timer(
        timeout_s,
        leave_at_once,
        [
            f"this process waited {timeout_s} s for {_said(place)}. Check that all of them are "
            "started, that the coordinator's host and port can be reached from here, and that no "
            "number is used twice."
        ],
    )
    too_late.daemon = True
    too_late.start()
    try:
        jax.distributed.initialize(
            *place,
            initialization_timeout=timeout_s + 60,  # after this JAX aborts without a message
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT_S,
            shutdown_timeout_seconds=HEARTBEAT_TIMEOUT_S,
        )
        found = jax.process_count()
    except (RuntimeError, ValueError, OSError) as error:
        raise JoinError(
            f"this process cannot join {_said(place)}: {str(error).splitlines()[0]} Where JAX does "
            "not find them itself, give --coordinator=HOST:PORT, --processes=N and --process=I."
        ) from error
    finally:
        too_late.cancel()
    if found < 2 or found != (place.processes or found):
        raise JoinError(
            f"{found} process was found instead of {place.processes or 'several'}; start all "
            "processes, or none with --distributed, --processes or STYA2K_PROCESSES."
        )


def leave_at_once(message: str) -> None:
    """Ends this process with a message and exit code 1, without JAX's shutdown.

    The shutdown would wait for the others, which may be dead or inside a step. They notice.
    """
    print(f"error: {message}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _said(place: Place) -> str:
    if place.coordinator is None:
        return "the other processes of the cluster"
    return f"{place.processes} processes at {place.coordinator}, of which this is {place.process}"


def on_every_device(tree, mesh: Mesh):
    """Copies a tree of arrays, equal in all processes, to every device of the mesh."""
    everywhere = NamedSharding(mesh, jax.P())
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(everywhere, np.asarray(x)), tree
    )


def on_one_device(tree):
    """Returns this process's own copy of a tree of `on_every_device`."""
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def make_mesh(batch_size: int, accumulate: int = 1) -> Mesh:
    """Returns a mesh of all devices of all processes; its axis `"data"` splits the batch.

    Raises:
      UserError: the batch does not divide by the number of devices times `accumulate`.
    """
    devices = jax.device_count()
    if batch_size < 1 or accumulate < 1 or batch_size % (devices * accumulate):
        parts = f" times accumulate={accumulate}" if accumulate != 1 else ""
        raise UserError(
            f"batch_size={batch_size} does not divide among {devices} devices{parts}; "
            f"use a multiple of {devices * max(accumulate, 1)}."
        )
    return jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))


def local_rows(batch_size: int, mesh: Mesh) -> list[int]:
    """Returns the rows of a batch that lie on the devices of this process, in order."""
    placed = by_picture(mesh).addressable_devices_indices_map((batch_size,))
    return sorted({row for (rows,) in placed.values() for row in range(batch_size)[rows]})


def shard_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Puts this process's rows of a batch, `local_rows`, on its devices.

    Returns:
      The whole batch, of which other processes hold the other rows.
    """
    sharding = by_picture(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()
    }


def by_picture(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, jax.P("data"))


def split_into_parts(x: jax.Array, count: int, mesh: Mesh) -> jax.Array:
    """Divides a batch `[b, ...]` into `[count, b / count, ...]` without moving a picture."""
    devices = mesh.shape["data"]
    x = x.reshape(devices, count, -1, *x.shape[1:]).swapaxes(0, 1)
    x = x.reshape(count, -1, *x.shape[3:])
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, jax.P(None, "data")))
