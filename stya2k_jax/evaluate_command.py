"""The command `evaluate.py`, also `stya2k-evaluate`."""

import sys
from pathlib import Path

from absl import flags

from stya2k_jax import command_line
from stya2k_jax.errors import UserError
from stya2k_jax.images import find_pictures


def main() -> None:
    """Measures stylized pictures, a model's or a folder's; see `stya2k_jax.evaluation.evaluate`."""
    text, many = flags.DEFINE_string, flags.DEFINE_multi_string
    checkpoint = text("checkpoint", None, "Model that stylizes every pair: as for stylize.py.")
    stylized = text(
        "stylized_dir", None, "Or a folder of any system's {content}_stylized_{style} pictures."
    )
    content = many("content_dir", None, "Contents: picture or folder; may be repeated.")
    style = many("style_dir", None, "Styles: picture or folder; may be repeated.")
    judge = text(
        "judge",
        None,
        "Directory of convert_vgg.py with the VGG-19 of the losses; the checkpoint's own encoder "
        "if that has full width.",
    )
    lpips = text("lpips", None, "Weights of LPIPS: a file of stya2k_jax.convert_lpips.")
    cfsd_vgg = text(
        "cfsd_vgg", None, "torchvision's VGG-19 for CFSD; left out: the encoder of the losses."
    )
    size = flags.DEFINE_integer("size", 512, "Side of the compared squares.", lower_bound=32)
    crop = flags.DEFINE_enum("crop", "centre", ["centre", "squash"], "How pictures become squares.")
    measure = flags.DEFINE_list(
        "metrics", None, "Of losses, form_b, lpips, ssim, cfsd (slow); the first four."
    )
    blue_first = flags.DEFINE_bool("form_b_bgr", False, "Form B of the losses looks at BGR.")
    form_b_size = flags.DEFINE_integer(
        "form_b_size", 0, "Form B resizes to this square; 0: not.", lower_bound=0
    )
    references = flags.DEFINE_bool(
        "reference_rows", False, "Also measure the content unchanged and the style itself."
    )
    timing_runs = flags.DEFINE_integer(
        "timing_runs", 20, "How often a model is timed for a picture; 0: not.", lower_bound=0
    )
    batch_size = flags.DEFINE_integer("batch_size", 4, "Pairs at once.", lower_bound=1)
    output = text("output", None, "Directory for the results; a broken evaluation goes on.")
    flags.mark_flags_as_required(["content_dir", "style_dir", "output"])

    def run(_) -> int:
        from stya2k_jax.evaluation import evaluate, is_model  # heavy: flags first
        from stya2k_jax.loading import load
        from stya2k_jax.protocol import Protocol

        if (checkpoint.value is None) == (stylized.value is None):
            raise UserError("give either --checkpoint=MODEL or --stylized_dir=FOLDER.")
        system = Path(checkpoint.value or stylized.value)
        if checkpoint.value is not None and not is_model(system):
            load(system)  # says what is wrong with it
        protocol = Protocol(
            judge=Path(judge.value) if judge.value else _own_encoder(checkpoint.value),
            lpips=lpips.value and Path(lpips.value),
            cfsd_vgg=cfsd_vgg.value and Path(cfsd_vgg.value),
            size_px=size.value,
            crop=crop.value,
            measure=_metrics(measure.value, lpips.value),
            form_b_blue_first=blue_first.value,
            form_b_size_px=form_b_size.value,
        )
        (measured, *_) = evaluate(
            protocol,
            _find(content.value),
            _find(style.value),
            Path(output.value),
            {system.resolve().name: system},
            references=references.value,
            batch_size=batch_size.value,
            timing_runs=timing_runs.value,
            title=f"Evaluation of {system}",
        ).values()
        for reason in dict.fromkeys(measured.failures.values()):
            print(f"error: {reason}", file=sys.stderr)
        print(f"{len(measured.rows)} pairs measured, {len(measured.failures)} failed")
        print(f"The report is {Path(output.value) / 'report.html'}")
        return 1 if measured.failures else 0

    command_line.run(run)


def _find(paths: list[str]) -> list[Path]:
    return list(dict.fromkeys(file for path in paths for file in find_pictures(path)))


def _metrics(chosen: list[str] | None, lpips: str | None) -> tuple[str, ...]:
    from stya2k_jax.judging import METRICS

    if chosen is not None:
        return tuple(chosen)
    if lpips is None:
        print("LPIPS is left out: give --lpips=FILE, made by python -m stya2k_jax.convert_lpips")
    left_out = ("cfsd",) if lpips is not None else ("cfsd", "lpips")
    return tuple(name for name in METRICS if name not in left_out)


def _own_encoder(checkpoint: str | None) -> Path:
    from stya2k_jax.weights import load_encoder

    if checkpoint is None:
        raise UserError("give --judge=DIRECTORY: convert_vgg.py's VGG-19, which the losses need.")
    width = load_encoder(Path(checkpoint))[1].width
    if width != 1:
        raise UserError(
            f"the encoder of {checkpoint} has width {width:g}, on which losses mean something "
            "else; give --judge=DIRECTORY with the full VGG-19, made by convert_vgg.py."
        )
    return Path(checkpoint)


if __name__ == "__main__":
    main()
