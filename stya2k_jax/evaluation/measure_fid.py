"""FID and ArtFID of an evaluation's systems, which compare whole sets of pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stya2k_jax.evaluation.judge import Judge
from stya2k_jax.evaluation.measure_pairs import Measured
from stya2k_jax.evaluation.systems import REFERENCES
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.files.digests import digest_of_file
from stya2k_jax.metrics.fid import art_fid, frechet_distance
from stya2k_jax.metrics.inception import Inception
from stya2k_jax.pictures.names import Pair


def measure_fid(
    network: Inception,
    judge: Judge,
    measured: Mapping[str, Measured],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    folder: Path,
    *,
    batch_size: int = 4,
    with_art_fid: bool = False,
) -> dict[str, dict[str, float]]:
    """Compares the pictures of each system with their styles, each of which counts once a pair.

    Args:
      network: computes features.
      judge: reads pictures, as for every other metric.
      measured: systems and references; pairs that failed are left out.
      contents: files by name.
      styles: files by name.
      folder: keeps the features of each picture, so that none is computed again.
      batch_size: pictures at once.
      with_art_fid: the rows have LPIPS on AlexNet, of which ArtFID is made.

    Returns:
      By system `pictures` (how many), `fid`, and `art_fid`; systems with fewer than two are absent.
    """
    found = {}
    for system, one in measured.items():
        pairs = [Pair(row["content"], row["style"]) for row in one.rows]
        if len(pairs) < 2:
            continue
        targets = [styles[pair.style] for pair in pairs]
        if system in REFERENCES:
            of_content = [contents[pair.content] for pair in pairs]
            pictures = (of_content, targets)[REFERENCES.index(system)]
        else:
            pictures = [one.pictures[pair] for pair in pairs]
        features = _features(network, judge, [*targets, *pictures], folder, batch_size, system)
        fid = frechet_distance(features[: len(pairs)], features[len(pairs) :])
        found[system] = {"pictures": len(pairs), "fid": fid}
        if with_art_fid:
            lpips = float(np.mean([row["lpips"] for row in one.rows]))
            found[system]["art_fid"] = art_fid(lpips, fid)
    return found


def _features(
    network: Inception,
    judge: Judge,
    paths: Sequence[Path],
    folder: Path,
    batch_size: int,
    system: str,
) -> np.ndarray:
    """Returns the features of picture files `[n, 2048]`, most of them perhaps from `folder`."""
    digests = {path: digest_of_file(path) for path in dict.fromkeys(paths)}
    files = {path: folder / f"{name}.npy" for path, name in digests.items()}
    with tqdm(total=len(files), desc=f"FID of {system}", unit="picture") as progress:
        lacking = [path for path, file in files.items() if not file.is_file()]
        progress.update(len(files) - len(lacking))
        for i in range(0, len(lacking), batch_size):
            batch = lacking[i : i + batch_size]
            # A last, smaller batch is filled up, so that there is one size to compile.
            filled = batch + batch[:1] * (batch_size - len(batch))
            pixels = np.stack([judge.pixels_of(path) for path in filled])
            features = np.asarray(network(np.asarray(pixels, np.float32) / 255))
            for path, row in zip(batch, features, strict=False):
                write_whole(files[path], lambda name, row=row: np.save(name, row))
            progress.update(len(batch))
    return np.stack([np.load(files[path]) for path in paths])
