"""One evaluation from pictures to report: the directory that `evaluate.py` writes."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation import speed
from stya2k_jax.evaluation.judge import Judge
from stya2k_jax.evaluation.measure_fid import measure_fid
from stya2k_jax.evaluation.measure_pairs import (
    Measured,
    measure_references,
    measure_system,
    metric_names,
    stylize_pairs,
)
from stya2k_jax.evaluation.pairs import Sources, all_pairs, find_stylized, open_sources
from stya2k_jax.evaluation.protocol import Protocol
from stya2k_jax.evaluation.published import read_published
from stya2k_jax.evaluation.report import write_report
from stya2k_jax.evaluation.results import Results, write_csv
from stya2k_jax.evaluation.summary import summarize
from stya2k_jax.evaluation.systems import System
from stya2k_jax.files.json_files import write_json
from stya2k_jax.files.settings import SETTINGS_FILE, check_settings
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.metrics.inception import SOURCE
from stya2k_jax.reports import plots
from stya2k_jax.reports.metric_tables import fid_table
from stya2k_jax.reports.paper_tables import beside_paper
from stya2k_jax.reports.study_page import write_study
from stya2k_jax.weights.loading import load

SPEED_FILE = "speed.json"
NO_FID = (
    "FID and ArtFID are left out: they need --inception=FILE, the network that ArtFID trained on "
    f"art, {SOURCE}."
)


@dataclasses.dataclass(frozen=True)
class Options:
    """What an evaluation does beyond measuring, none of which changes a number.

    Attributes:
      references: also measure "content unchanged" and "style itself".
      batch_size: how many pairs are measured before their numbers are written.
      timing_runs: how often each model is timed, in a process of its own; 0: not.
      title: of the report.
      paper: one of the paper's tables to show beside the measured numbers.
      study: also write `study.html`, which asks people which system they prefer.
      published: files of other systems' numbers, see `read_published`.
    """

    references: bool = False
    batch_size: int = 4
    timing_runs: int = 0
    title: str = "Evaluation"
    paper: Mapping[str, Sequence[float]] | None = None
    study: bool = False
    published: Sequence[Path] = ()


def evaluate(
    protocol: Protocol,
    contents: Sequence[Path],
    styles: Sequence[Path],
    output: Path,
    systems: Mapping[str, System],
    options: Options = Options(),  # noqa: B008, it is frozen
) -> dict[str, Measured]:
    """Measures every pair of every system; writes `metrics.json`, `metrics.csv`, `report.html`.

    Args:
      protocol: how.
      contents: picture files.
      styles: picture files.
      output: directory; an evaluation that was broken off there goes on.
      systems: by name. A model stylizes every pair into `output/stylized/NAME`.
      options: what else to do.

    Returns:
      What was measured, by system.

    Raises:
      UserError: settings that do not fit, also those with which the directory was begun; a folder
        without any of the pictures; a published system that is there twice; Matplotlib is missing.
    """
    plots.check_library()
    sources = open_sources(contents, styles)
    pairs = all_pairs(sources.contents, sources.styles)
    settings = protocol.settings() | sources.digests_by_name()
    others = _read_all_published(options.published, settings)
    stylized = {
        name: find_stylized(system.path, pairs)
        for name, system in systems.items()
        if not system.is_model
    }
    if (output / SETTINGS_FILE).is_file():
        check_settings(output, settings)
    # Before the networks are opened, while this process holds no memory of a device.
    speeds = speed.speeds_of_models(
        systems, protocol.size_px, options.timing_runs, output / SPEED_FILE
    )
    networks = protocol.open()
    judge, results = networks.judge, Results(output, settings)
    for name, system in systems.items():
        if system.is_model:
            folder = output / "stylized" / name
            _stylize(system.path, judge, sources, folder, settings)
            stylized[name] = find_stylized(folder, pairs)
    measured, fids = {}, {}
    with jax.default_matmul_precision("highest"):  # accelerators would round
        for name in systems:
            measured[name] = measure_system(
                judge,
                results,
                sources,
                stylized[name],
                system=name,
                batch_size=options.batch_size,
            )
        if options.references:
            measured |= measure_references(judge, results, sources, options.batch_size)
        if networks.inception is not None:
            fids = measure_fid(
                networks.inception,
                judge,
                measured,
                sources,
                output / "inception",
                with_art_fid=networks.has_art_fid(),
            )

    rows = [row for found in measured.values() for row in found.rows]
    names = metric_names(rows)
    summaries = {system: summarize(found.rows, names) for system, found in measured.items()}
    sentences = protocol.sentences(sources, networks, settings)
    if others:
        files = ", ".join(map(str, options.published))
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
    if options.paper is not None:
        tables.append(beside_paper(summaries | others, options.paper, speeds))
    notes = [speed.sentence(name, found) for name, found in speeds.items()]
    write_report(
        output / "report.html",
        title=options.title,
        sentences=sentences,
        measured=measured,
        summaries=summaries | others,
        contents=sources.contents,
        styles=sources.styles,
        thumbnails=judge.thumbnails,
        notes=notes if networks.inception else [*notes, NO_FID],
        tables=tables,
    )
    if options.study:
        shown = {name: measured[name].pictures for name in systems}
        write_study(output / "study.html", shown, sources.contents, sources.styles, judge.pixels_of)
    return measured


def _read_all_published(files: Sequence[Path], settings: Mapping[str, Any]) -> dict[str, dict]:
    others: dict[str, dict] = {}
    for path in files:
        found = read_published(path, settings)
        if twice := ", ".join(found.keys() & others):
            raise UserError(f"{path} holds {twice}, as an earlier file does; leave one out.")
        others |= found
    return others


def _stylize(
    checkpoint: Path, judge: Judge, sources: Sources, folder: Path, settings: dict[str, Any]
) -> None:
    """Stylizes what is lacking, unless the folder's pictures are another model's."""
    stylizer = Stylizer(load(checkpoint), quick_start=False)
    used = {name: settings[name] for name in ("size_px", "crop", "contents", "styles")}
    check_settings(folder, used | {"checkpoint": stylizer.fingerprint})
    stylize_pairs(stylizer, judge, sources, folder)
