"""How a run was started, kept in its directory: a run that goes on does so in the same way."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils

from stya2k_jax.data.opening import KINDS
from stya2k_jax.data.source import Source
from stya2k_jax.errors import UserError
from stya2k_jax.files.json_files import write_json
from stya2k_jax.files.settings import changes
from stya2k_jax.weights.parameters import fingerprint
from stya2k_jax.weights.run_checkpoints import FOLDER

CONFIG_FILE = "config.json"
# Fields that change no number, so that a run may go on with others.
FREE_FIELDS = ("workers", "checkpoint_every", "keep_checkpoints", "keep_every", "images_every")

logger = logging.getLogger(__name__)


def settings_of(
    config: ml_collections.ConfigDict, sources: Sequence[Source], frozen: dict[str, nnx.State]
) -> dict[str, dict[str, Any]]:
    """Returns all that decides over the numbers of a run: the config, and what its paths lead to.

    Args:
      config: of the run.
      sources: contents and styles.
      frozen: the networks that are not trained, by the config field that names them.
    """
    found = {
        kind: {"pictures": len(source), "fingerprint": source.fingerprint()}
        for kind, source in zip(KINDS, sources, strict=True)
    }
    found |= {name: {"fingerprint": fingerprint(state)} for name, state in frozen.items()}
    return {"config": json.loads(config.to_json_best_effort()), "found": found}


def open_workdir(
    workdir: Path,
    settings: dict[str, dict[str, Any]],
    others: Sequence[str] = (),
    allow_changes: Sequence[str] = (),
) -> None:
    """Makes a run's directory and keeps there how it was started, or compares with that.

    A run that has no checkpoint yet may be started anew with anything.

    Args:
      workdir: the directory.
      settings: of `settings_of`; every process of a run calls this with the same.
      others: names of files that lie in no run's directory before it is a run's.
      allow_changes: config fields in which a run that goes on may differ from before.

    Raises:
      UserError: names every field that would change the numbers and is not in `allow_changes`; or
        the directory holds something else.
    """
    for field in allow_changes:
        if field not in settings["config"]:
            raise UserError(f"--allow_changes={field}: there is no such config field.")
    _check_alike(settings)
    path = workdir / CONFIG_FILE
    if not path.is_file():
        for name in (*others, FOLDER):
            if (workdir / name).exists():
                raise UserError(
                    f"{workdir} holds something else, {name}, and no {CONFIG_FILE}; choose another "
                    "--workdir for this run."
                )
    elif has_checkpoints(workdir):
        changed = dict(_differences(_read_settings(path), settings))
        for field in allow_changes:
            if field in changed and jax.process_index() == 0:
                logger.warning("%s, as --allow_changes says", changed[field])
            changed.pop(field, None)
        if changed:
            raise UserError(
                f"{workdir} holds a run that was started otherwise:\n  "
                + "\n  ".join(changed.values())
                + "\nStart it as before, choose another --workdir, or go on all the same with "
                f"--allow_changes={','.join(changed)}."
            )
    if jax.process_count() > 1:  # the first process writes only when all have compared
        multihost_utils.sync_global_devices("compared")
    if jax.process_index() == 0:
        write_json(path, settings)


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
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {part: found[part] for part in ("config", "found")}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged, or of an earlier version ({error!r}); put back the file of this "
            "run, or choose another --workdir."
        ) from error


def has_checkpoints(workdir: Path) -> bool:
    """Tells whether a run has saved anything, whole or not."""
    return any(path.name.isdigit() for path in (workdir / FOLDER).glob("*"))


def _differences(before: dict, now: dict) -> Iterator[tuple[str, str]]:
    """Yields the fields that differ, and what to say of them."""
    for field in {**before["config"], **now["config"]}:
        if field not in FREE_FIELDS:
            for line in changes(*({field: part["config"].get(field)} for part in (before, now))):
                yield field, f"config.{line}"
    for name in {**before["found"], **now["found"]}:
        lines = list(changes(*({name: part["found"].get(name)} for part in (before, now))))
        if lines:
            yield name, "; ".join(f"config.{line}" for line in lines)
