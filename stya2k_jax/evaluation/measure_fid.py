"""FID and ArtFID of an evaluation's systems, which compare whole sets of pictures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stya2k_jax.evaluation.judge import Judge
from stya2k_jax.evaluation.measure_pairs import Measured
from stya2k_jax.evaluation.pairs import Sources
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.metrics.fid import art_fid, frechet_distance
from stya2k_jax.metrics.inception import Inception
from stya2k_jax.pictures.arrays import to_float
from stya2k_jax.pictures.names import Pair


def measure_fid(
    network: Inception,
    judge: Judge,
    measured: Mapping[str, Measured],
    sources: Sources,
    folder: Path,
    *,
    with_art_fid: bool = False,
) -> dict[str, dict[str, float]]:
    """Compares the pictures of each system with their styles, each of which counts once a pair.

    Args:
      network: computes features.
      judge: reads pictures, as for every other metric.
      measured: systems and references; pairs that failed are left out.
      sources: contents and styles.
      folder: keeps the features of each picture, so that none is computed again.
      with_art_fid: the rows have LPIPS on AlexNet, of which ArtFID is made.

    Returns:
      By system `pictures` (how many), `fid`, and `art_fid`; systems with fewer than two are absent.
    """
    files = {digest: path for path, digest in sources.digests.items()}
    found = {}
    for system, one in measured.items():
        if len(one.rows) < 2:
            continue
        for row in one.rows:
            pair = Pair(row["content"], row["style"])
            if pair in one.pictures:
                files[row["picture"]] = one.pictures[pair]
        targets = [sources.digests[sources.styles[row["style"]]] for row in one.rows]
        pictures = [row["picture"] for row in one.rows]
        progress = tqdm(dict.fromkeys([*targets, *pictures]), f"FID of {system}", unit="picture")
        features = {
            digest: _features(network, judge, files[digest], folder / f"{digest}.npy")
            for digest in progress
        }
        fid = frechet_distance(*(np.stack([features[x] for x in y]) for y in (targets, pictures)))
        found[system] = {"pictures": len(pictures), "fid": fid}
        if with_art_fid:
            lpips = float(np.mean([row["lpips"] for row in one.rows]))
            found[system]["art_fid"] = art_fid(lpips, fid)
    return found


def _features(network: Inception, judge: Judge, picture: Path, file: Path) -> np.ndarray:
    """Returns the features of a picture `[2048]`, which `file` keeps."""
    if not file.is_file():
        (features,) = network(to_float(judge.pixels_of(picture))[None])
        write_whole(file, lambda name: np.save(name, features))
    return np.load(file)
