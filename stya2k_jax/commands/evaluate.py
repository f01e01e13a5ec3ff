"""The command `evaluate.py`, also `stya2k evaluate`."""

import sys
from collections.abc import Callable
from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.errors import UserError
from stya2k_jax.pictures.reading import find_all

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
    flag = _define_flags()

    def run(_) -> int:
        _refuse_without_effect(flag)
        systems = _systems(flag)
        if flag["table"].value == "3":
            return _run_clips(flag, systems)
        return _run_pictures(flag, systems)

    command_line.run(run)


def _define_flags() -> dict[str, flags.FlagHolder]:
    found: dict[str, flags.FlagHolder] = {}

    def add(define: Callable, name: str, default, text: str, *choices, **limits) -> None:
        found[name] = define(name, default, *choices, text, **limits)

    text, many = flags.DEFINE_string, flags.DEFINE_multi_string
    integer, boolean = flags.DEFINE_integer, flags.DEFINE_bool
    add(text, "checkpoint", None, "Model that stylizes every pair: as for stylize.py.")
    add(text, "stylized_dir", None, "Or a folder of pictures {content}_stylized_{style}.")
    add(many, "system", [], "NAME=MODEL or NAME=FOLDER; may be repeated, to compare systems.")
    add(many, "content_dir", None, "Contents: picture or folder; may be repeated.")
    add(many, "style_dir", None, "Styles: picture or folder; may be repeated.")
    add(
        text,
        "judge",
        None,
        "Directory of convert_vgg.py with the VGG-19 of the losses; left out: the encoder of the "
        "model, if that has full width.",
    )
    add(text, "lpips", None, "Weights of LPIPS: a file of stya2k convert-lpips.")
    add(text, "cfsd_vgg", None, "torchvision's VGG-19 for CFSD; left out: the judge.")
    add(text, "inception", None, "ArtFID's art_inception.pth or .safetensors, for FID and ArtFID.")
    add(integer, "size", 512, "Side of the compared squares.", lower_bound=32)
    add(flags.DEFINE_enum, "crop", "centre", "How pictures become squares.", ["centre", "squash"])
    add(
        flags.DEFINE_list,
        "metrics",
        None,
        "Of losses, form_b, lpips, ssim, patterns, rims, cfsd (a second or more a pair), "
        "ssim_gaussian_rgb; left out: the first six.",
    )
    add(text, "systems_dir", None, "Or a folder of systems, each a model or folder of pictures.")
    add(boolean, "study", False, "Also write study.html, a preference study of the systems.")
    add(boolean, "form_b_bgr", False, "Form B of the losses looks at BGR.")
    add(integer, "form_b_size", 0, "Form B resizes to this square; 0: not.", lower_bound=0)
    add(boolean, "reference_rows", False, "Also measure content unchanged and style itself.")
    add(integer, "timing_runs", 20, "How often a model is timed; 0: not.", lower_bound=0)
    add(integer, "batch_size", 4, "Pairs at once.", lower_bound=1)
    add(
        flags.DEFINE_enum,
        "table",
        None,
        "A table of the paper: 1 systems, 2 ablations, 3 warping errors of clips.",
        ["1", "2", "3"],
    )
    add(
        many,
        "video_dir",
        [],
        "Table 3: folder of frames, or of such folders; may be repeated. Flow is estimated, unless "
        "a folder `flow` beside the frames has FRAME.npz (`flow` [H, W, 2] in pixels to the next "
        "frame, u and v; perhaps `valid` [H, W]) or FRAME.flo for each but the last. Or a folder "
        "of NAME_frame10.png, NAME_frame11.png and NAME_flow10.npz, as Middlebury's.",
    )
    add(many, "pan", [], "Table 3: photograph over which a clip of known flow is rendered.")
    add(boolean, "drawn_clips", False, "Table 3: also two clips of known flow, which it draws.")
    add(
        many,
        "published",
        [],
        "metrics.json of other systems, to show beside; refused if its protocol is another.",
    )
    add(text, "baseline", None, "Table 3: NAME of the system to which ratios are shown.")
    add(text, "output", None, "Directory for the results; a broken evaluation goes on.")
    flags.mark_flags_as_required(["style_dir", "output"])
    return found


def _refuse_without_effect(flag: dict[str, flags.FlagHolder]) -> None:
    clips = flag["table"].value == "3"
    for name in OF_PICTURES if clips else OF_CLIPS:
        if flag[name].present:
            raise UserError(
                f"--{name} has no effect {'with' if clips else 'without'} --table=3; leave it out."
            )


def _run_pictures(flag: dict[str, flags.FlagHolder], systems: dict[str, Path]) -> int:
    from stya2k_jax.evaluation.evaluate_pictures import evaluate
    from stya2k_jax.evaluation.protocol import Protocol, needs_judge
    from stya2k_jax.reports import paper_tables as tables

    if flag["content_dir"].value is None:
        raise UserError("give --content_dir=FOLDER, the contents of the stylized pictures.")
    table = flag["table"].value
    measure = _metrics(flag["metrics"].value, flag["lpips"].value, flag["size"].value)
    judge, cfsd_vgg = _path(flag["judge"]), _path(flag["cfsd_vgg"])
    if judge is None and needs_judge(measure, cfsd_vgg):
        judge = _own_encoder(systems)
    protocol = Protocol(
        judge=judge,
        lpips=_path(flag["lpips"]),
        cfsd_vgg=cfsd_vgg,
        size_px=flag["size"].value,
        crop=flag["crop"].value,
        measure=measure,
        form_b_blue_first=flag["form_b_bgr"].value,
        form_b_size_px=flag["form_b_size"].value,
        inception=_path(flag["inception"]),
    )
    output = Path(flag["output"].value)
    measured = evaluate(
        protocol,
        find_all(flag["content_dir"].value),
        find_all(flag["style_dir"].value),
        output,
        systems,
        references=flag["reference_rows"].value,
        batch_size=flag["batch_size"].value,
        timing_runs=flag["timing_runs"].value,
        title=f"{TITLES[table]}: {', '.join(systems)}",
        study=flag["study"].value,
        published=[Path(path) for path in flag["published"].value],
        paper={"1": tables.TABLE_1, "2": tables.TABLE_2}.get(table),
    )
    failures = {reason for found in measured.values() for reason in found.failures.values()}
    for reason in sorted(failures):
        print(f"error: {reason}", file=sys.stderr)
    for name, found in measured.items():
        print(f"{name}: {len(found.rows)} pairs measured, {len(found.failures)} failed")
    if flag["study"].value:
        print(f"The study is {output / 'study.html'}; sum its votes with: {SUM_VOTES}")
    print(f"The report is {output / 'report.html'}")
    return 1 if failures else 0


def _run_clips(flag: dict[str, flags.FlagHolder], systems: dict[str, Path]) -> int:
    from stya2k_jax.evaluation.clips.evaluate import evaluate_stability

    if flag["baseline"].value not in (None, *systems):
        raise UserError(f"--baseline={flag['baseline'].value} is none of {', '.join(systems)}.")
    output = Path(flag["output"].value)
    rows = evaluate_stability(
        [Path(path) for path in flag["video_dir"].value],
        find_all(flag["pan"].value),
        find_all(flag["style_dir"].value),
        output,
        systems,
        drawn=flag["drawn_clips"].value,
        lpips=_path(flag["lpips"]),
        baseline=flag["baseline"].value,
    )
    print(f"{len(rows)} clips measured. The report is {output / 'report.html'}")
    return 0


def _systems(flag: dict[str, flags.FlagHolder]) -> dict[str, Path]:
    """Returns the systems to measure by name; what is no model and no folder is refused."""
    from stya2k_jax.evaluation.clips.measure import UNSTYLIZED
    from stya2k_jax.evaluation.systems import REFERENCES, is_model
    from stya2k_jax.weights.loading import load

    systems = {}

    def add(name: str, path: Path) -> None:
        if name in (*REFERENCES, UNSTYLIZED):
            raise UserError(f"a system may not be called {name!r}, as a row of the report is.")
        if "/" in name or name in (".", ".."):
            raise UserError(f"{name!r} names a folder of results too; call that system otherwise.")
        if name in systems:
            raise UserError(
                f"two systems are called {name}, {systems[name]} and {path}; give each a name of "
                "its own with --system=NAME=PATH."
            )
        systems[name] = path

    for given in flag["system"].value:
        name, equals, path = given.partition("=")
        if not (name and equals and path):
            raise UserError(f"--system={given}: give NAME=PATH.")
        if not (Path(path).is_dir() or is_model(Path(path))):
            raise UserError(f"--system={given}: {path} is neither a folder nor a model.")
        add(name, Path(path))
    directory = _path(flag["systems_dir"])
    if directory is not None:
        for path in sorted(directory.iterdir()):
            if path.is_dir() and not path.name.startswith("."):
                add(path.name, path)
    for kind in ("checkpoint", "stylized_dir"):
        path = _path(flag[kind])
        if path is None:
            continue
        if kind == "stylized_dir" and not path.is_dir():
            raise UserError(f"--stylized_dir={path} is no folder.")
        if kind == "checkpoint" and not is_model(path):
            load(path)  # says what is wrong with it
        add(path.resolve().name, path)
    if not systems:
        advice = "give --checkpoint, --stylized_dir or --system."
        if directory is not None:
            advice = f"--systems_dir={directory} holds no folders."
        raise UserError(f"nothing to measure: {advice}")
    if flag["study"].value and len(systems) < 2:
        raise UserError("--study compares systems; give --system=NAME=PATH twice or more.")
    return systems


def _path(flag: flags.FlagHolder) -> Path | None:
    return None if flag.value is None else Path(flag.value)


def _metrics(chosen: list[str] | None, lpips: str | None, size_px: int) -> tuple[str, ...]:
    from stya2k_jax.evaluation.judge import METRICS
    from stya2k_jax.metrics.patterns import SMALLEST_PX

    if chosen is not None:
        return tuple(chosen)
    if lpips is None:
        print("LPIPS is left out: give --lpips=FILE, made by stya2k convert-lpips")
    can = {"lpips": lpips is not None, "patterns": size_px >= SMALLEST_PX}
    first = METRICS[: METRICS.index("cfsd")]
    return tuple(name for name in first if can.get(name, True))


def _own_encoder(systems: dict[str, Path]) -> Path:
    """Returns the directory of the first model, if its encoder is the full VGG-19."""
    from stya2k_jax.evaluation.systems import is_model
    from stya2k_jax.weights.loading import MINI, MINI_FILE
    from stya2k_jax.weights.model_files import ENCODER_FILE, read_arrays

    advice = "give --judge=DIRECTORY: convert_vgg.py's VGG-19, which the losses need."
    models = [path for path in systems.values() if is_model(path)]
    if not models:
        raise UserError(advice)
    model = MINI_FILE if str(models[0]) == MINI else models[0]
    # Not `load`: the model is timed in another process, while this one has no memory of a device.
    _, architecture = read_arrays(model / ENCODER_FILE if model.is_dir() else model)
    if architecture.width != 1:
        raise UserError(
            f"the losses mean something else on the encoder of {models[0]}, of width "
            f"{architecture.width:g}; {advice}"
        )
    if not model.is_dir():
        raise UserError(f"{model} is one file, whose encoder cannot be the judge; {advice}")
    return model
