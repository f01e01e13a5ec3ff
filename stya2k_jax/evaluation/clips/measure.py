"""Stability of stylized clips: warping errors at short and long intervals, clip by clip."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.clips.clip import Clip, read_frames
from stya2k_jax.evaluation.results import Results, Row
from stya2k_jax.evaluation.systems import UNSTYLIZED
from stya2k_jax.files.digests import digest_of_arrays
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.metrics.lpips import Lpips
from stya2k_jax.pictures.arrays import write_png
from stya2k_jax.pictures.reading import read_picture
from stya2k_jax.pictures.resizing import resize_short_side
from stya2k_jax.video.warping import warp

INTERVALS = (1, 10)


def measure_clip(
    clip: Clip,
    stylized: np.ndarray,
    intervals: Sequence[int] = INTERVALS,
    lpips: Lpips | None = None,
) -> dict[str, float]:
    """Returns the means over frames of W1, W2 and, masked, LPIPS at each interval.

    Args:
      clip: gives the motion.
      stylized: uint8 `[t, H, W, 3]`, of the clip's size.
      intervals: in frames. The result leaves out an interval that is longer than the clip, and W2
        if no frame has a known point.
      lpips: compares frames after both were masked; None leaves it out.
    """
    found: dict[str, float] = {}
    for k in intervals:
        values: dict[str, list[float]] = {}
        for t in range(len(stylized) - k):
            flow, mask = clip.motion(t, k)
            frame, other = (stylized[i].astype(np.float32) / 255 for i in (t, t + k))
            three = (frame, other, flow, mask)
            values.setdefault("warping_1", []).append(warping_error_1(*three))
            values.setdefault("warping_2", []).append(warping_error_2(*three))
            if lpips is not None:
                both = (frame, warp(other, flow)[0])
                masked = [(x * mask[..., None])[None].astype(np.float32) for x in both]
                distance = lpips.distance(*map(lpips.features, masked))
                values.setdefault("lpips", []).append(float(distance[0]))
        for name, numbers in values.items():
            if not np.isnan(numbers).all():
                found[f"{name}_interval_{k}"] = float(np.nanmean(numbers))
    return found


def measure_clips(
    results: Results,
    clips: Sequence[Clip],
    styles: Mapping[str, Path],
    systems: Mapping[str, Path],
    *,
    lpips: Lpips | None = None,
) -> list[Row]:
    """Measures every clip in every style by every system, and the clips as they are.

    Args:
      results: keeps the rows; what it has is not measured again.
      clips: what was stylized.
      styles: files by name.
      systems: by name, a folder with folders `{clip}_stylized_{style}` of frames.
      lpips: see `measure_clip`.

    Raises:
      UserError: a folder lacks frames, or they have another size.
    """
    cases = [(UNSTYLIZED, None), *((system, style) for system in systems for style in styles)]
    rows = []
    with tqdm(total=len(clips) * len(cases), desc="warping errors", unit="clip") as progress:
        for clip in clips:
            for system, style in cases:
                frames = clip.frames
                if style is not None:
                    _, frames = read_frames(systems[system] / f"{clip.name}_stylized_{style}")
                if frames.shape != clip.frames.shape:
                    raise UserError(
                        f"{system}: {clip.name} in {style} has frames {frames.shape[:3]} (number, "
                        f"height, width), the clip has {clip.frames.shape[:3]}; stylize it at its "
                        "own size."
                    )
                key, digest = (system, clip.name, style or ""), digest_of_arrays(frames)
                if results.get(*key, digest) is None:
                    names = dict(zip(("system", "content", "style"), key, strict=True))
                    numbers = measure_clip(clip, frames, lpips=lpips)
                    results.add([{**names, "picture": digest, **numbers}])
                rows.append(results.get(*key, digest))
                progress.update()
            clip.motion.cache_clear()  # flow takes more memory than frames
    return rows


def stylize_clips(
    stylizer: Stylizer, clips: Sequence[Clip], styles: Mapping[str, Path], folder: Path
) -> None:
    """Stylizes every clip in every style, frame by frame and at its own size, into `folder`.

    Frames that are there already are kept. Styles have a short side of 512 pixels.
    """
    total = len(styles) * sum(len(clip.frames) for clip in clips)
    with tqdm(total=total, desc="stylizing clips", unit="frame") as progress:
        for name, path in styles.items():
            style = resize_short_side(read_picture(path), 512)
            for clip in clips:
                target = folder / f"{clip.name}_stylized_{name}"
                files = [target / f"{t:05d}.png" for t in range(len(clip.frames))]
                lacking = [t for t, file in enumerate(files) if not file.is_file()]
                progress.update(len(files) - len(lacking))
                frames = [clip.frames[t] for t in lacking]
                for i, _, picture in stylizer.pairs(frames, [style] if lacking else []):
                    write_png(files[lacking[i]], picture)
                    progress.update()


def warping_error_1(
    frame: np.ndarray, other: np.ndarray, flow: np.ndarray, mask: np.ndarray
) -> float:
    """Returns W1: sqrt(mean of (M (O_t - warp(O_t+k)))^2) (ReReVST's e_stab).

    Points outside the mask count as zero in the mean, which is over points and channels.

    Args:
      frame: O_t, `[H, W, 3]` in [0, 1].
      other: O_t+k.
      flow: from t to t + k.
      mask: M, as `known_points` gives it.
    """
    difference = np.where(mask[..., None], frame - warp(other, flow)[0], 0)
    return float(np.sqrt(np.mean(difference**2)))


def warping_error_2(
    frame: np.ndarray, other: np.ndarray, flow: np.ndarray, mask: np.ndarray
) -> float:
    """Returns W2: the mean of (O_t - warp(O_t+k))^2 over known points and channels (Lai et al.).

    Arguments as `warping_error_1`. NaN where no point is known.
    """
    difference = (frame - warp(other, flow)[0])[mask]
    return float(np.mean(difference**2)) if difference.size else float("nan")
