"""Stylizes every pair of an evaluation, and measures it."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.evaluation.judge import Judge
from stya2k_jax.evaluation.pairs import Sources, Stylized, all_pairs
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


def stylize_pairs(stylizer: Stylizer, judge: Judge, sources: Sources, directory: Path) -> None:
    """Stylizes every pair of the judge's squares as `directory/{content}_stylized_{style}.png`.

    Pictures that are there already are kept. A source that cannot be read is skipped; its pairs
    will be missing.
    """
    contents, styles = sources.contents, sources.styles
    with tqdm(total=len(contents) * len(styles), desc="stylizing", unit="picture") as progress:
        for some_styles in _groups(list(styles), STYLES_AT_ONCE):
            for some_contents in _groups(list(contents), CONTENTS_AT_ONCE):
                pairs = [Pair(c, s) for c in some_contents for s in some_styles]
                files = {pair: directory / f"{pair.stem}.png" for pair in pairs}
                lacking = [pair for pair, file in files.items() if not file.is_file()]
                progress.update(len(pairs) - len(lacking))
                pixels = _readable(judge, contents, [pair.content for pair in lacking])
                of_styles = _readable(judge, styles, [pair.style for pair in lacking])
                encoded = {name: stylizer.encode_style(x) for name, x in of_styles.items()}
                for pair in lacking:
                    if pair.content in pixels and pair.style in encoded:
                        picture = stylizer(pixels[pair.content], encoded[pair.style])
                        write_png(files[pair], picture)
                    progress.update()


def measure_system(
    judge: Judge,
    results: Results,
    sources: Sources,
    stylized: Stylized,
    *,
    system: str,
    batch_size: int = 4,
) -> Measured:
    """Measures every pair that has a stylized picture, with a progress bar.

    Rows that `results` has are not measured again. Pairs are compared one by one, so a pair's
    numbers do not depend on the others.

    Args:
      judge: compares.
      results: keeps the rows.
      sources: contents and styles.
      stylized: the system's pictures.
      system: its name.
      batch_size: how many pairs are measured between two writes of `results`.

    Raises:
      UserError: a number is not finite.
    """
    pairs, files = all_pairs(sources.contents, sources.styles, STYLES_AT_ONCE), stylized.files
    failures = {pair: f"there is no {pair.stem} of {system}" for pair in pairs if pair not in files}
    digests = {
        pair: sources.digests.get(path) or digest_of_file(path) for pair, path in files.items()
    }
    with tqdm(total=len(pairs), desc=f"measuring {system}", unit="pair") as progress:
        for batch in _groups(pairs, batch_size):
            rows = []
            for pair in batch:
                if pair in files and results.get(system, *pair, digests[pair]) is None:
                    name = {"system": system, **pair._asdict(), "picture": digests[pair]}
                    try:
                        rows.append(name | _measure(judge, sources, pair, files[pair]))
                    except PictureError as error:
                        failures[pair] = str(error)
                progress.update()
            if rows:
                results.add(rows)
    done = {pair: files[pair] for pair in pairs if pair not in failures}
    return Measured(
        [results.get(system, *pair, digests[pair]) for pair in done],
        failures,
        done,
        stylized.unused,
    )


def measure_references(
    judge: Judge, results: Results, sources: Sources, batch_size: int = 4
) -> dict[str, Measured]:
    """Measures the two limits of every metric: the content as it is, and the style as it is."""
    pairs = all_pairs(sources.contents, sources.styles)
    of_contents = {pair: sources.contents[pair.content] for pair in pairs}
    of_styles = {pair: sources.styles[pair.style] for pair in pairs}
    found = {}
    for system, files in zip(REFERENCES, (of_contents, of_styles), strict=True):
        found[system] = measure_system(
            judge, results, sources, Stylized(files, []), system=system, batch_size=batch_size
        )
        found[system].pictures = {}  # a report shows them anyway
    return found


def metric_names(rows: Sequence[Row]) -> list[str]:
    """Returns the names of the metrics that the rows hold, in order."""
    return list(dict.fromkeys(name for row in rows for name in row if name not in NOT_A_METRIC))


def _groups(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _readable(
    judge: Judge, files: Mapping[str, Path], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Reads the pictures of these names. Measuring names those that cannot be read."""
    pixels = {}
    for name in dict.fromkeys(names):
        with contextlib.suppress(PictureError):
            pixels[name] = judge.pixels_of(files[name])
    return pixels


def _measure(judge: Judge, sources: Sources, pair: Pair, path: Path) -> dict[str, float]:
    content = judge.features_of(sources.contents[pair.content])
    style = judge.features_of(sources.styles[pair.style])
    # Features of a stylized picture are needed once and must not displace those that are kept.
    known = path in sources.digests
    stylized = judge.features_of(path) if known else judge.features(judge.pixels_of(path))
    numbers = judge.compare(stylized, content, style)
    bad = [name for name, value in numbers.items() if not np.isfinite(value)]
    if bad:
        raise UserError(
            f"{', '.join(bad)} of {pair.stem} is not finite; check the weights of the networks."
        )
    return numbers
