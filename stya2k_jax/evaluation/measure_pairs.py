"""Evaluation of a folder of stylized pictures: every pair measured, summed up and reported."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.evaluation.judge import Features, Judge, stack
from stya2k_jax.evaluation.pairs import all_pairs, find_stylized
from stya2k_jax.evaluation.results import Results, Row
from stya2k_jax.evaluation.systems import REFERENCES
from stya2k_jax.files.digests import digest_of_file
from stya2k_jax.inference.stylize_files import STYLES_AT_ONCE
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.pictures.arrays import write_png
from stya2k_jax.pictures.names import Pair

CONTENTS_AT_ONCE = 64  # read at once while stylizing
NOT_A_METRIC = ("system", "content", "style", "picture")


@dataclasses.dataclass
class Measured:
    """What is known of one system's pictures.

    Attributes:
      rows: of the pairs that are done, in the order of the pairs.
      failures: of the others, the reason.
      pictures: the stylized pictures that are done.
      unused: files that belong to no pair.
    """

    rows: list[Row]
    failures: dict[Pair, str]
    pictures: dict[Pair, Path] = dataclasses.field(default_factory=dict)
    unused: list[Path] = dataclasses.field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        """Returns how many pairs were expected, done and failed, and why; JSON-ready."""
        return {
            "expected": len(self.rows) + len(self.failures),
            "done": len(self.rows),
            "failed": len(self.failures),
            "failures": {pair.stem: reason for pair, reason in self.failures.items()},
            "files_of_no_pair": [str(path) for path in self.unused],
        }


def stylize_pairs(
    stylizer: Stylizer,
    judge: Judge,
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    directory: Path,
) -> None:
    """Stylizes every pair of the judge's squares as `directory/{content}_stylized_{style}.png`.

    Pictures that are there already are kept. A picture that cannot be read is passed over; its
    pairs will be missing.
    """
    with tqdm(total=len(contents) * len(styles), desc="stylizing", unit="picture") as progress:
        for some_styles in _groups(list(styles), STYLES_AT_ONCE):
            for some_contents in _groups(list(contents), CONTENTS_AT_ONCE):
                pairs = [Pair(c, s) for c in some_contents for s in some_styles]
                lacking = [p for p in pairs if not _picture(directory, p).is_file()]
                progress.update(len(pairs) - len(lacking))
                pixels = _readable(judge, contents, [p.content for p in lacking])
                encoded = {
                    name: stylizer.encode_style(Image.fromarray(picture))
                    for name, picture in _readable(
                        judge, styles, [p.style for p in lacking]
                    ).items()
                }
                for pair in lacking:
                    if pair.content in pixels and pair.style in encoded:
                        content = Image.fromarray(pixels[pair.content])
                        picture = stylizer(content, encoded[pair.style])
                        write_png(_picture(directory, pair), np.asarray(picture))
                    progress.update()


def measure_folder(
    judge: Judge,
    results: Results,
    directory: Path,
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    *,
    system: str,
    batch_size: int = 4,
) -> Measured:
    """Measures every pair whose stylized picture lies in a folder, with a progress bar.

    What `results` has is not measured again. A batch always holds the same pairs, wherever an
    evaluation was broken off, so that no number depends on that.

    Args:
      judge: compares.
      results: rows are read from and appended to, a batch at a time.
      directory: of the stylized pictures.
      contents: files by name.
      styles: files by name.
      system: whose pictures these are.
      batch_size: pairs that are measured at once.

    Raises:
      UserError: the folder holds no picture of any pair.
    """
    pairs = all_pairs(contents, styles, STYLES_AT_ONCE)
    files, unused = find_stylized(directory, pairs)
    failures = {
        pair: f"there is no {pair.stem} in {directory}" for pair in pairs if pair not in files
    }
    digests = {pair: digest_of_file(path) for pair, path in files.items()}
    with tqdm(total=len(pairs), desc=f"measuring {system}", unit="pair") as progress:
        for i in range(0, len(pairs), batch_size):
            batch = pairs[i : i + batch_size]
            there = [pair for pair in batch if pair in files]
            if any(results.get(system, *pair, digests[pair]) is None for pair in there):
                rows, failed = _measure(judge, there, files, contents, styles, batch_size)
                failures |= failed
                results.add(
                    {"system": system, **pair._asdict(), "picture": digests[pair], **row}
                    for pair, row in rows.items()
                    if results.get(system, *pair, digests[pair]) is None
                )
            progress.update(len(batch))
    done = {pair: path for pair, path in files.items() if pair not in failures}
    rows = [results.get(system, *pair, digests[pair]) for pair in done]
    return Measured(rows, failures, done, unused)


def measure_references(
    judge: Judge,
    results: Results,
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
) -> dict[str, Measured]:
    """Measures the two limits of every metric: the content as it is, and the style as it is."""
    pairs, found = all_pairs(contents, styles, STYLES_AT_ONCE), {}
    for system in REFERENCES:
        rows, failures = [], {}
        for pair in tqdm(pairs, desc=f"measuring {system}", unit="pair"):
            files = (contents[pair.content], styles[pair.style])
            path = files[REFERENCES.index(system)]
            row = results.get(system, *pair, digest_of_file(path))
            if row is None:
                try:
                    content, style = (judge.features_of(file) for file in files)
                except PictureError as error:
                    failures[pair] = str(error)
                    continue
                stylized = (content, style)[REFERENCES.index(system)]
                values = judge.compare(stylized, content, style)
                numbers = {name: float(x[0]) for name, x in values.items()}
                row = {
                    "system": system,
                    **pair._asdict(),
                    "picture": digest_of_file(path),
                    **numbers,
                }
                results.add([row])
            rows.append(row)
        found[system] = Measured(rows, failures)
    return found


def metric_names(rows: Sequence[Row]) -> list[str]:
    """Returns the names of the metrics that the rows hold, in order."""
    return list(dict.fromkeys(name for row in rows for name in row if name not in NOT_A_METRIC))


def _picture(directory: Path, pair: Pair) -> Path:
    return directory / f"{pair.stem}.png"


def _groups(names: list[str], size: int) -> Iterator[list[str]]:
    return (names[i : i + size] for i in range(0, len(names), size))


def _readable(
    judge: Judge, files: Mapping[str, Path], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Reads the pictures of these names; one that cannot be read is named when it is measured."""
    pixels = {}
    for name in dict.fromkeys(names):
        with contextlib.suppress(PictureError):
            pixels[name] = judge.pixels_of(files[name])
    return pixels


def _measure(
    judge: Judge,
    pairs: Sequence[Pair],
    files: Mapping[Pair, Path],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    batch_size: int,
) -> tuple[dict[Pair, dict[str, float]], dict[Pair, str]]:
    """Returns the metrics of the pairs of a batch, and why others have none."""
    pictures, targets, failures = [], [], {}
    for pair in pairs:
        try:
            content = judge.features_of(contents[pair.content])
            style = judge.features_of(styles[pair.style])
            pictures.append(judge.pixels_of(files[pair]))
            targets.append((pair, content, style))
        except PictureError as error:
            failures[pair] = str(error)
    if not targets:
        return {}, failures
    done = [pair for pair, _, _ in targets]
    # A last, smaller batch is filled up, so that there is one size to compile.
    fill = [0] * (batch_size - len(done))
    order = [*range(len(done)), *fill]
    stylized: Features = judge.features(np.stack([pictures[i] for i in order]))
    content, style = (stack([targets[i][k] for i in order]) for k in (1, 2))
    values = judge.compare(stylized, content, style)
    rows = {pair: {name: float(x[i]) for name, x in values.items()} for i, pair in enumerate(done)}
    for pair, row in rows.items():
        _refuse_not_finite(pair, row)
    return rows, failures


def _refuse_not_finite(pair: Pair, row: Mapping[str, Any]) -> None:
    bad = [name for name, value in row.items() if not np.isfinite(value)]
    if bad:
        raise UserError(
            f"{', '.join(bad)} of {pair.stem} is not finite; check the weights of the networks."
        )
