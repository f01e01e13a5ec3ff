"""The directory of a run: it keeps how the run was started, and belongs to one run at a time."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils

from stya2k_jax.data.opening import KINDS
from stya2k_jax.data.source import Source
from stya2k_jax.errors import UserError
from stya2k_jax.files.directory_lock import locked
from stya2k_jax.files.json_files import read_object, write_json
from stya2k_jax.files.settings import changes
from stya2k_jax.training.student import HEADS_FILE
from stya2k_jax.weights.model_files import ARCHITECTURE_FILE, ENCODER_FILE, PAINTER_FILE
from stya2k_jax.weights.parameters import fingerprint
from stya2k_jax.weights.run_checkpoints import FOLDER

CONFIG_FILE = "config.json"
# Fields that change no number: a run may go on with other values.
FREE_FIELDS = ("workers", "checkpoint_every", "keep_checkpoints", "keep_every", "images_every")

# No directory has these before it is a run's.
_OF_A_RUN = (PAINTER_FILE, HEADS_FILE, ENCODER_FILE, ARCHITECTURE_FILE, FOLDER)

logger = logging.getLogger(__name__)


def settings_of(
    config: dict[str, Any], sources: Sequence[Source], networks: dict[str, nnx.State]
) -> dict[str, dict[str, Any]]:
    """Returns everything that decides a run's numbers: the config, and what its paths lead to.

    Args:
      config: all fields of the run's config, ready for JSON.
      sources: contents and styles.
      networks: those that the run starts from, by the config field that names them.
    """
    found = {
        kind: {"pictures": len(source), "fingerprint": source.fingerprint()}
        for kind, source in zip(KINDS, sources, strict=True)
    }
    found |= {name: {"fingerprint": fingerprint(state)} for name, state in networks.items()}
    return {"config": config, "found": found}


@contextmanager
def open_workdir(
    workdir: Path, settings: dict[str, dict[str, Any]], allow_changes: Sequence[str] = ()
) -> Iterator[None]:
    """Opens a run's directory for one run alone, until it is left.

    The directory is made, and how the run was started is kept there, or compared with what is kept.
    A path may be spelt in another way as long as it leads to the same. A run that has no checkpoint
    yet may be started anew with anything.

    Args:
      workdir: the directory.
      settings: of `settings_of`; every process of a run calls this with the same.
      allow_changes: config fields in which a run that goes on may differ from before.

    Raises:
      UserError: names every field that would change the numbers and is not in `allow_changes`; or
        the directory holds something else; or another run is at work there.
    """
    for field in allow_changes:
        if field not in settings["config"]:
            raise UserError(f"--allow_changes={field}: there is no such config field.")
    _check_alike(settings)
    path = workdir / CONFIG_FILE
    if not path.is_file():
        for name in _OF_A_RUN:
            if (workdir / name).exists():
                raise UserError(
                    f"{workdir} holds something else, {name}, and no {CONFIG_FILE}; choose another "
                    "--workdir for this run."
                )
    with _held(workdir):
        if path.is_file() and has_checkpoints(workdir):
            _compare(path, settings, allow_changes)
        if jax.process_count() > 1:  # the first process writes only when all have compared
            multihost_utils.sync_global_devices("compared")
        if jax.process_index() == 0:
            write_json(path, settings)
        yield


@contextmanager
def _held(workdir: Path) -> Iterator[None]:
    """Makes and locks the directory: the first process does so for all processes of the run."""
    failure = None
    with ExitStack() as stack:
        if jax.process_index() == 0:
            try:
                workdir.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(workdir, "--workdir"))
            except (OSError, UserError) as error:
                failure = error
        failed = failure is not None
        if jax.process_count() > 1:
            failed = bool(multihost_utils.broadcast_one_to_all(np.bool_(failed)))
        if failed:
            raise failure or UserError(
                f"The first process of this run cannot use {workdir}; see its error."
            )
        yield


def _compare(path: Path, settings: dict[str, dict[str, Any]], allow_changes: Sequence[str]) -> None:
    changed = dict(_differences(_read_settings(path), settings))
    for field in allow_changes:
        if field in changed and jax.process_index() == 0:
            logger.warning("%s, as --allow_changes says", changed[field])
        changed.pop(field, None)
    if changed:
        raise UserError(
            f"{path.parent} holds a run that was started otherwise:\n  "
            + "\n  ".join(changed.values())
            + "\nStart it as before, choose another --workdir, or go on all the same with "
            f"--allow_changes={','.join(changed)}."
        )


def _check_alike(settings: dict[str, dict[str, Any]]) -> None:
    if jax.process_count() == 1:
        return
    text = json.dumps(settings, sort_keys=True)
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    if (multihost_utils.process_allgather(digest) != digest).any():
        raise UserError(
            "The processes of this run were started with different configs, pictures or networks; "
            "give all of them the same."
        )


def _read_settings(path: Path) -> dict[str, dict[str, Any]]:
    advice = "put back the file of this run, or choose another --workdir"
    found = read_object(path, advice)
    for part in ("config", "found"):
        if not isinstance(found.get(part), dict):
            raise UserError(f"{path} is damaged, or of an earlier version (no {part}); {advice}.")
    return found


def has_checkpoints(workdir: Path) -> bool:
    """Returns whether a run has saved anything, whole or not."""
    return any(path.name.isdigit() for path in (workdir / FOLDER).glob("*"))


def _differences(before: dict, now: dict) -> Iterator[tuple[str, str]]:
    """Yields the fields that differ, and what to say of them."""
    for field in dict.fromkeys(
        name for part in ("config", "found") for run in (before, now) for name in run[part]
    ):
        given, found = (
            [run[part].get(field) for run in (before, now)] for part in ("config", "found")
        )
        same = found[0] == found[1]
        if field in FREE_FIELDS or (same and found[0]):  # a path that leads to the same
            continue
        lines = [
            f"config.{line}"
            for pair in (given, found)
            for line in changes({field: pair[0]}, {field: pair[1]})
        ]
        if lines:
            yield field, "; ".join(lines)
