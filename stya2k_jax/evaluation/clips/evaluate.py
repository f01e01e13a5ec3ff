"""The stability table: every clip in every style, measured and reported (the paper's Table 3)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.clips.clip import Clip, find_clips
from stya2k_jax.evaluation.clips.measure import measure_clips, stylize_clips
from stya2k_jax.evaluation.clips.rendered import drawn_pans, pan
from stya2k_jax.evaluation.measure_pairs import metric_names
from stya2k_jax.evaluation.results import Results, Row, write_csv
from stya2k_jax.evaluation.summary import summarize
from stya2k_jax.evaluation.systems import UNSTYLIZED, System
from stya2k_jax.files.digests import digest_of_file
from stya2k_jax.files.json_files import write_json
from stya2k_jax.files.settings import check_settings
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.metrics.lpips import load_lpips
from stya2k_jax.pictures.names import by_name
from stya2k_jax.reports.metric_tables import summary_table
from stya2k_jax.reports.page import write_page
from stya2k_jax.reports.paper_tables import clip_table
from stya2k_jax.weights.loading import load

PROTOCOL = (
    "Frames keep their size. Each is stylized alone, without its neighbours. They are rounded to 8 "
    "bits before they are measured.",
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


def open_clips(
    videos: Sequence[Path], photographs: Sequence[Path], drawn: bool = False
) -> list[Clip]:
    """Returns the clips to measure.

    Args:
      videos: folders of clips, see `find_clips`.
      photographs: each gives a clip of known flow.
      drawn: also the clips of known flow that the project draws.

    Raises:
      UserError: no clips, two of one name, or what `find_clips` and `pan` refuse.
    """
    clips = [clip for folder in videos for clip in find_clips(folder)]
    clips += [*map(pan, photographs), *(drawn_pans() if drawn else [])]
    if not clips:
        raise UserError("no clips: give --video_dir=FOLDER, --pan=PHOTOGRAPH or --drawn_clips.")
    names = [clip.name for clip in clips]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two clips are called {twice}; rename one of their folders.")
    return clips


def evaluate_stability(
    clips: Sequence[Clip],
    styles: Sequence[Path],
    output: Path,
    systems: Mapping[str, System],
    *,
    lpips: Path | None = None,
    baseline: str | None = None,
) -> list[Row]:
    """Measures clips; writes `metrics.json`, `metrics.csv` and `report.html`.

    Args:
      clips: of `open_clips`.
      styles: picture files.
      output: directory; an evaluation that was broken off there goes on.
      systems: by name, a model, or a folder with a folder `{clip}_stylized_{style}` of frames for
        each clip and style.
      lpips: file of LPIPS's weights; None leaves it out.
      baseline: a system to which ratios are shown.

    Returns:
      The rows of all systems.

    Raises:
      UserError: frames that are missing or of another size, or settings other than those with which
        the directory was begun.
    """
    named = by_name("styles", styles)
    network = None if lpips is None else load_lpips(lpips)
    settings = {
        "clips": {clip.name: clip.digest() for clip in clips},
        "styles": {name: digest_of_file(path) for name, path in named.items()},
        "lpips": None if lpips is None else digest_of_file(lpips),
    }
    for name, system in systems.items():
        if not system.is_model:
            _refuse_lacking(name, system.path, clips, named)
    results, folders = Results(output, settings), {}
    for name, system in systems.items():
        folders[name] = system.path
        if system.is_model:
            stylizer = Stylizer(load(system.path), quick_start=False)
            folders[name] = output / "stylized" / name
            check_settings(folders[name], settings | {"checkpoint": stylizer.fingerprint})
            stylize_clips(stylizer, clips, named, folders[name])
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
    summaries = {s: summarize([r for r in rows if r["system"] == s], names) for s in systems}
    sizes = [
        f"{clip.name} ({len(clip.frames)} frames of {clip.frames.shape[2]} x "
        f"{clip.frames.shape[1]}, {'known' if clip.known else 'estimated'} flow)"
        for clip in clips
    ]
    sentences = [f"Clips: {', '.join(sizes)}.", *PROTOCOL]
    write_csv(output / "metrics.csv", rows)
    write_json(output / "metrics.json", {"protocol": sentences, "metrics": summaries, "rows": rows})
    write_page(
        output / "report.html",
        "clips.html",
        title="Stability of stylized clips",
        summary=summary_table(summaries),
        note=f"{UNSTYLIZED}: what the flow itself leaves, on the clips as they are.",
        tables=[clip_table(rows, name, baseline) for name in names],
        sentences=sentences,
    )
