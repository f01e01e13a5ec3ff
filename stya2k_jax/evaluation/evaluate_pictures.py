"""One evaluation from pictures to report: the directory that `evaluate.py` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation import speed
from stya2k_jax.evaluation.judge import Judge
from stya2k_jax.evaluation.measure_fid import measure_fid
from stya2k_jax.evaluation.measure_pairs import (
    Measured,
    measure_folder,
    measure_references,
    metric_names,
    stylize_pairs,
)
from stya2k_jax.evaluation.pairs import all_pairs, find_stylized
from stya2k_jax.evaluation.protocol import Protocol
from stya2k_jax.evaluation.published import read_published
from stya2k_jax.evaluation.report import write_report
from stya2k_jax.evaluation.results import Results, write_csv
from stya2k_jax.evaluation.summary import summarise
from stya2k_jax.evaluation.systems import is_model
from stya2k_jax.files.digests import digest_of_file
from stya2k_jax.files.json_files import read_object, write_json
from stya2k_jax.files.settings import SETTINGS_FILE, check_settings
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.metrics.inception import SOURCE
from stya2k_jax.pictures.names import by_name
from stya2k_jax.reports.metric_tables import fid_table
from stya2k_jax.reports.paper_tables import beside_paper
from stya2k_jax.reports.picture_grids import Thumbnails
from stya2k_jax.reports.study_page import write_study
from stya2k_jax.weights.loading import load
from stya2k_jax.weights.parameters import fingerprint_of_model

SPEED_FILE = "speed.json"
PAPER_NOTE = (
    "<h3>Beside the paper</h3><p>The paper does not publish how its numbers were computed or on "
    "which pictures; their size suggests means over layers. Compare orders and ratios only.</p>"
)
NO_FID = (
    "FID and ArtFID are left out: they need --inception=FILE, the network that ArtFID trained on "
    f"art, {SOURCE}."
)


def evaluate(
    protocol: Protocol,
    contents: Sequence[Path],
    styles: Sequence[Path],
    output: Path,
    systems: Mapping[str, Path],
    *,
    references: bool = False,
    batch_size: int = 4,
    timing_runs: int = 0,
    title: str = "Evaluation",
    paper: Mapping[str, Sequence[float]] | None = None,
    study: bool = False,
    published: Sequence[Path] = (),
) -> dict[str, Measured]:
    """Measures every pair of every system; writes `metrics.json`, `metrics.csv`, `report.html`.

    Args:
      protocol: how.
      contents: picture files.
      styles: picture files.
      output: directory; an evaluation that was broken off there goes on.
      systems: by name, a folder of stylized pictures, or a model, which stylizes every pair into
        `output/stylized/NAME`.
      references: also measure "content unchanged" and "style itself".
      batch_size: pairs that are measured at once; changes no number beyond rounding.
      timing_runs: how often each model is timed, in a process of its own; 0: not.
      title: of the report.
      paper: one of the paper's tables to show beside the measured numbers.
      study: also write `study.html`, which asks people which system they prefer.
      published: files of other systems' numbers, see `read_published`.

    Returns:
      What was measured, by system.

    Raises:
      UserError: settings that do not fit, also those with which the directory was begun; a folder
        without any of the pictures; a published system that is there twice.
    """
    named = by_name("contents", contents), by_name("styles", styles)
    settings = protocol.settings()
    for kind, files in zip(("contents", "styles"), named, strict=True):
        settings[kind] = {name: digest_of_file(path) for name, path in files.items()}
    others = {}
    for path in published:
        found = read_published(path, settings)
        if twice := ", ".join(found.keys() & others):
            raise UserError(f"{path} holds {twice}, as an earlier file does; leave one out.")
        others |= found
    for path in systems.values():
        if not is_model(path):
            find_stylized(path, all_pairs(*named))
    if (output / SETTINGS_FILE).is_file():
        check_settings(output, settings)
    # Before the networks are opened, while this process holds no memory of a device.
    speeds = speeds_of_models(systems, protocol.size_px, timing_runs, output / SPEED_FILE)
    judge, inception = protocol.open(), protocol.open_inception()
    results = Results(output, settings)
    folders = dict(systems)
    for name, path in systems.items():
        if is_model(path):
            folders[name] = output / "stylized" / name
            _stylize(path, judge, *named, folders[name], settings)
    measured, fids = {}, {}
    with jax.default_matmul_precision("highest"):  # accelerators would round
        for name, folder in folders.items():
            measured[name] = measure_folder(
                judge, results, folder, *named, system=name, batch_size=batch_size
            )
        if references:
            measured |= measure_references(judge, results, *named)
        if inception is not None:
            fids = measure_fid(
                inception,
                judge,
                measured,
                *named,
                output / "inception",
                batch_size=batch_size,
                with_art_fid=protocol.has_art_fid(),
            )

    rows = [row for found in measured.values() for row in found.rows]
    names = metric_names(rows)
    summaries = {system: summarise(found.rows, names) for system, found in measured.items()}
    sentences = protocol.sentences(*named)
    if others:
        files = ", ".join(map(str, published))
        sentences.append(f"Published: numbers of {files}, under the same protocol as these.")
    write_csv(output / "metrics.csv", rows)
    write_json(
        output / "metrics.json",
        {
            "protocol": sentences,
            "settings": settings,
            "pairs": {system: found.counts() for system, found in measured.items()},
            "metrics": summaries,
            "fid": fids,
            "published": others,
            "speed": speeds,
        },
    )
    tables = [fid_table(fids)] if fids else []
    if paper is not None:
        tables += [PAPER_NOTE, beside_paper(summaries | others, paper, speeds)]
    write_report(
        output / "report.html",
        title=title,
        sentences=sentences,
        measured=measured,
        summaries=summaries | others,
        contents=named[0],
        styles=named[1],
        thumbnails=Thumbnails(judge.pixels_of),
        notes=[
            *(speed.sentence(name, found) for name, found in speeds.items()),
            *([NO_FID] if inception is None else []),
        ],
        tables=tables,
    )
    if study:
        shown = {name: measured[name].pictures for name in systems}
        write_study(output / "study.html", shown, *named, judge.pixels_of)
    return measured


def speeds_of_models(
    systems: Mapping[str, Path], size_px: int, runs: int, path: Path
) -> dict[str, dict]:
    """Times the models that `path` has no such time of yet, and returns those of all systems."""
    known = read_object(path, "remove it") if path.is_file() else {}
    known = {
        name: found
        for name, found in known.items()
        if found["size_px"] == size_px and runs in (0, found["runs"])
    }
    for name, system in systems.items():
        if runs and name not in known and is_model(system):
            write_json(path, known)  # where nothing can be written, it is found out now
            known[name] = speed.measure_in_own_process(system, size_px, runs)
            write_json(path, known)
    return {name: found for name, found in known.items() if name in systems}


def _stylize(
    checkpoint: Path,
    judge: Judge,
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    folder: Path,
    settings: dict,
) -> None:
    """Stylizes what is lacking, unless the folder's pictures are another model's."""
    model = load(checkpoint)
    used = {name: settings[name] for name in ("size_px", "crop", "contents", "styles")}
    check_settings(folder, used | {"checkpoint": fingerprint_of_model(model)})
    stylize_pairs(Stylizer(model), judge, contents, styles, folder)
