"""The stability table: every clip in every style, measured and reported (the paper's Table 3)."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import jax

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.clips.clip import Clip, find_clips
from stya2k_jax.evaluation.clips.measure import UNSTYLIZED, measure_clips, stylize_clips
from stya2k_jax.evaluation.clips.rendered import drawn_pans, pan
from stya2k_jax.evaluation.measure_pairs import metric_names
from stya2k_jax.evaluation.results import Results, Row, write_csv
from stya2k_jax.evaluation.summary import summarise
from stya2k_jax.evaluation.systems import is_model
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.files.digests import digest_of_file
from stya2k_jax.files.json_files import write_json
from stya2k_jax.files.settings import check_settings
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.metrics.lpips import load_lpips
from stya2k_jax.pictures.names import by_name
from stya2k_jax.reports.metric_tables import summary_table
from stya2k_jax.reports.page import page
from stya2k_jax.reports.paper_tables import clip_table
from stya2k_jax.weights.loading import load
from stya2k_jax.weights.parameters import fingerprint_of_model

PROTOCOL = (
    "Frames keep their size and are stylized one by one, without any regard to their neighbours; "
    "they are rounded to 8 bits before they are measured.",
    "warping_1: root of the mean over pixels and channels of the masked squared difference between "
    "a frame and a later one warped to it; masked pixels count as zero (ReReVST). warping_2: mean "
    "of the squared difference over known pixels, no root (Lai et al. 2018). Pixels in [0, 1]; "
    "bilinear warping; means over frames. The number after 'interval' is in frames.",
    "Known flow comes from files beside the frames, whose unknown points are masked, or from a "
    "clip's rendering: a window moves over a picture. It is chained from frame to frame. Estimated "
    "flow is OpenCV's DIS (medium) on the unstylized frames, with occlusions and motion boundaries "
    "masked as by Lai et al.",
    "The paper's warping errors have a scale that is not published (AdaAttN 3.03 3.46 6.00 3.78 "
    "8.45, StyA2K 2.58 2.56 4.99 3.21 7.23): compare ratios, there 0.85 0.74 0.83 0.85 0.86.",
)


def evaluate_stability(
    videos: Sequence[Path],
    photographs: Sequence[Path],
    styles: Sequence[Path],
    output: Path,
    systems: Mapping[str, Path],
    *,
    drawn: bool = False,
    lpips: Path | None = None,
    baseline: str | None = None,
) -> list[Row]:
    """Measures clips; writes `metrics.json`, `metrics.csv` and `report.html`.

    Args:
      videos: folders of clips, see `find_clips`.
      photographs: each gives a clip of known flow.
      styles: picture files.
      output: directory; an evaluation that was broken off there goes on.
      systems: by name, a model, or a folder with a folder `{clip}_stylized_{style}` of frames for
        each clip and style.
      drawn: also measure the clips of known flow that the project draws.
      lpips: file of LPIPS's weights; None leaves it out.
      baseline: a system to which ratios are shown.

    Returns:
      The rows of all systems.

    Raises:
      UserError: no clips, two of one name, frames that are missing or of another size, or settings
        other than those with which the directory was begun.
    """
    clips = [clip for folder in videos for clip in find_clips(folder)]
    clips += [*map(pan, photographs), *(drawn_pans() if drawn else [])]
    if not clips:
        raise UserError("no clips: give --video_dir=FOLDER, --pan=PHOTOGRAPH or --drawn_clips.")
    named = by_name("styles", styles)
    network = None if lpips is None else load_lpips(lpips)
    settings = {
        "clips": {clip.name: clip.digest() for clip in clips},
        "styles": {name: digest_of_file(path) for name, path in named.items()},
        "lpips": None if lpips is None else digest_of_file(lpips),
    }
    if len(settings["clips"]) < len(clips):
        names = [clip.name for clip in clips]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"two clips are called {twice}; rename one of their folders.")
    for name, path in systems.items():
        if not is_model(path):
            _refuse_lacking(name, path, clips, named)
    results, folders = Results(output, settings), dict(systems)
    for name, path in systems.items():
        if is_model(path):
            model, folders[name] = load(path), output / "stylized" / name
            check_settings(folders[name], settings | {"checkpoint": fingerprint_of_model(model)})
            stylize_clips(Stylizer(model), clips, named, folders[name])
    with jax.default_matmul_precision("highest"):  # accelerators would round LPIPS
        rows = measure_clips(results, clips, named, folders, lpips=network)
    _report(output, clips, rows, baseline)
    return rows


def _refuse_lacking(system: str, folder: Path, clips: Sequence[Clip], styles: Mapping[str, Path]):
    stems = [f"{clip.name}_stylized_{style}" for clip in clips for style in styles]
    lacking = [stem for stem in stems if not (folder / stem).is_dir()]
    if lacking:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise UserError(
            f"{system} lacks folders of frames in {folder}: {', '.join(lacking[:5])}{more}. Frames "
            "lie in {clip}_stylized_{style}."
        )


def _report(output: Path, clips: Sequence[Clip], rows: Sequence[Row], baseline: str | None):
    names = metric_names(rows)
    systems = list(dict.fromkeys(row["system"] for row in rows))
    summaries = {s: summarise([r for r in rows if r["system"] == s], names) for s in systems}
    sizes = [
        f"{clip.name} ({len(clip.frames)} frames of {clip.frames.shape[2]} x "
        f"{clip.frames.shape[1]}, {'known' if clip.known else 'estimated'} flow)"
        for clip in clips
    ]
    sentences = [f"Clips: {', '.join(sizes)}.", *PROTOCOL]
    write_csv(output / "metrics.csv", rows)
    write_json(output / "metrics.json", {"protocol": sentences, "metrics": summaries, "rows": rows})
    parts = [summary_table(summaries)]
    parts += [f"<p>{UNSTYLIZED}: what the flow itself leaves, on the clips as they are.</p>"]
    parts += [clip_table(rows, name, baseline) for name in names]
    parts += ["<h2>Protocol</h2><ul>", *(f"<li>{escape(s)}</li>" for s in sentences), "</ul>"]
    html = page("Stability of stylized clips", parts)
    write_whole(output / "report.html", lambda name: Path(name).write_text(html, encoding="utf-8"))
