"""Measures models and folders of stylized pictures; in a checkout also `python evaluate.py`."""

import sys
from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.commands.command_line import UsageError
from stya2k_jax.evaluation.clips.evaluate import evaluate_stability, open_clips
from stya2k_jax.evaluation.evaluate_pictures import Options, evaluate
from stya2k_jax.evaluation.judge import METRICS
from stya2k_jax.evaluation.protocol import Protocol, needs_judge
from stya2k_jax.evaluation.systems import System, open_systems, own_encoder
from stya2k_jax.metrics.patterns import SMALLEST_PX
from stya2k_jax.pictures.reading import find_all
from stya2k_jax.pictures.resizing import CROPS
from stya2k_jax.reports.paper_tables import TABLE_1, TABLE_2

SUM_VOTES = "stya2k study --votes=FOLDER"
TITLES = {
    None: "Evaluation",
    "1": "Systems side by side",
    "2": "Ablations",
    "3": "Stability of stylized clips",
}
OF_CLIPS = ("video_dir", "pan", "drawn_clips", "baseline")
OF_PICTURES = (  # flags without effect on the others
    *("content_dir", "judge", "cfsd_vgg", "inception", "size", "crop", "metrics", "published"),
    *("form_b_bgr", "form_b_size", "reference_rows", "timing_runs", "batch_size", "study"),
)


def main() -> None:
    """Measures stylized pictures or clips, of models or of folders, and reports.

    See `evaluation.evaluate_pictures` and `evaluation.clips.evaluate`.
    """
    text, many = flags.DEFINE_string, flags.DEFINE_multi_string
    integer, boolean = flags.DEFINE_integer, flags.DEFINE_bool
    text("checkpoint", None, "Model that stylizes every pair: as for stylize.py.")
    text("stylized_dir", None, "Or a folder of pictures {content}_stylized_{style}.")
    many("system", [], "NAME=MODEL or NAME=FOLDER; may be repeated, to compare systems.")
    many("content_dir", None, "Contents: picture or folder; may be repeated.")
    many("style_dir", None, "Styles: picture or folder; may be repeated.", required=True)
    text(
        "judge",
        None,
        "Directory of convert_vgg.py with the VGG-19 of the losses; left out: the encoder of the "
        "model, if that has full width.",
    )
    text("lpips", None, "Weights of LPIPS: a file of stya2k convert-lpips.")
    text("cfsd_vgg", None, "torchvision's VGG-19 for CFSD; left out: the judge.")
    text("inception", None, "ArtFID's art_inception.pth or .safetensors, for FID and ArtFID.")
    integer("size", 512, "Side of the compared squares.", lower_bound=32)
    flags.DEFINE_enum("crop", CROPS[0], CROPS, "How pictures become squares.")
    flags.DEFINE_list(
        "metrics",
        None,
        f"Of {', '.join(METRICS)}; cfsd takes a second or more a pair. Left out: the first six.",
    )
    text("systems_dir", None, "Or a folder of systems, each a model or folder of pictures.")
    boolean("study", False, "Also write study.html, a preference study of the systems.")
    boolean("form_b_bgr", False, "Form B of the losses looks at BGR.")
    integer("form_b_size", 0, "Form B resizes to this square; 0: not.", lower_bound=0)
    boolean("reference_rows", False, "Also measure content unchanged and style itself.")
    integer("timing_runs", 20, "How often a model is timed; 0: not.", lower_bound=0)
    integer("batch_size", 4, "Pairs measured between two saves; changes no number.", lower_bound=1)
    flags.DEFINE_enum(
        "table",
        None,
        ["1", "2", "3"],
        "A table of the paper: 1 systems, 2 ablations, 3 warping errors of clips.",
    )
    many(
        "video_dir",
        [],
        "Table 3: folder of frames, or of such folders; may be repeated. Flow is estimated, unless "
        "a folder `flow` beside the frames has FRAME.npz (`flow` [H, W, 2] in pixels to the next "
        "frame, u and v; perhaps `valid` [H, W]) or FRAME.flo for each but the last. Or a folder "
        "of NAME_frame10.png, NAME_frame11.png and NAME_flow10.npz, as Middlebury's.",
    )
    many("pan", [], "Table 3: photograph over which a clip of known flow is rendered.")
    boolean("drawn_clips", False, "Table 3: also two clips of known flow, which it draws.")
    many(
        "published",
        [],
        "metrics.json of other systems, to show beside; refused if its protocol is another.",
    )
    text("baseline", None, "Table 3: NAME of the system to which ratios are shown.")
    text("output", None, "Directory for the results; a broken evaluation goes on.", required=True)
    command_line.run(_run)


def _run(_) -> int:
    given, clips = flags.FLAGS, flags.FLAGS.table == "3"
    for name in OF_PICTURES if clips else OF_CLIPS:
        if given[name].present:
            raise UsageError(
                f"--{name} has no effect {'with' if clips else 'without'} --table=3; leave it out."
            )
    paths = _path(given.systems_dir), _path(given.checkpoint), _path(given.stylized_dir)
    systems = open_systems(given.system, *paths)
    if given.study and len(systems) < 2:
        raise UsageError("--study compares systems; give --system=NAME=PATH twice or more.")
    return (_run_clips if clips else _run_pictures)(given, systems)


def _run_pictures(given: flags.FlagValues, systems: dict[str, System]) -> int:
    if given.content_dir is None:
        raise UsageError("give --content_dir=FOLDER, the contents of the stylized pictures.")
    measure = _metrics(given.metrics, given.lpips, given.size)
    judge, cfsd_vgg = _path(given.judge), _path(given.cfsd_vgg)
    if judge is None and needs_judge(measure, cfsd_vgg):
        judge = own_encoder(systems)
    protocol = Protocol(
        judge=judge,
        lpips=_path(given.lpips),
        cfsd_vgg=cfsd_vgg,
        size_px=given.size,
        crop=given.crop,
        measure=measure,
        form_b_blue_first=given.form_b_bgr,
        form_b_size_px=given.form_b_size,
        inception=_path(given.inception),
    )
    output = Path(given.output)
    measured = evaluate(
        protocol,
        find_all(given.content_dir),
        find_all(given.style_dir),
        output,
        systems,
        Options(
            references=given.reference_rows,
            batch_size=given.batch_size,
            timing_runs=given.timing_runs,
            title=f"{TITLES[given.table]}: {', '.join(systems)}",
            study=given.study,
            published=[Path(path) for path in given.published],
            paper={"1": TABLE_1, "2": TABLE_2}.get(given.table),
        ),
    )
    failures = {reason for found in measured.values() for reason in found.failures.values()}
    for reason in sorted(failures):
        print(f"error: {reason}", file=sys.stderr)
    for name, found in measured.items():
        print(f"{name}: {len(found.rows)} pairs measured, {len(found.failures)} failed")
    if given.study:
        print(f"The study is {output / 'study.html'}; sum its votes with: {SUM_VOTES}")
    print(f"The report is {output / 'report.html'}")
    return 1 if failures else 0


def _run_clips(given: flags.FlagValues, systems: dict[str, System]) -> int:
    if given.baseline not in (None, *systems):
        raise UsageError(f"--baseline={given.baseline} is none of {', '.join(systems)}.")
    output = Path(given.output)
    videos = [Path(path) for path in given.video_dir]
    rows = evaluate_stability(
        open_clips(videos, find_all(given.pan), given.drawn_clips),
        find_all(given.style_dir),
        output,
        systems,
        lpips=_path(given.lpips),
        baseline=given.baseline,
    )
    print(f"{len(rows)} clips measured. The report is {output / 'report.html'}")
    return 0


def _path(given: str | None) -> Path | None:
    return None if given is None else Path(given)


def _metrics(chosen: list[str] | None, lpips: str | None, size_px: int) -> tuple[str, ...]:
    if chosen is not None:
        return tuple(chosen)
    if lpips is None:
        print("LPIPS is left out: give --lpips=FILE, made by stya2k convert-lpips")
    can = {"lpips": lpips is not None, "patterns": size_px >= SMALLEST_PX}
    return tuple(name for name in METRICS[: METRICS.index("cfsd")] if can.get(name, True))
