"""Sums the votes of a preference study; shares have Wilson intervals."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from stya2k_jax.errors import UserError
from stya2k_jax.reports.study_page import QUESTIONS


def sum_votes(paths: Sequence[Path]) -> dict[str, dict[str, dict[str, Any]]]:
    """Sums up the votes of exported files.

    Returns:
      For each question and system: `votes`, `share`, and `ci95`, Wilson's interval of the share,
      which treats votes as independent.

    Raises:
      UserError: a file is damaged, no export, or of another study.
    """
    counts: dict[str, dict[str, int]] = {question: {} for question in QUESTIONS}
    studies = {}
    for path in paths:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            keys, study = found["keys"], found["study"]
            if not all(isinstance(name, str) for name in (study, *keys.values())):
                raise TypeError("study and keys are no texts")
            answers = [vote["answers"] for vote in found["votes"]]
            for question, count in counts.items():
                for system in keys.values():
                    count.setdefault(system, 0)
                for answer in answers:
                    count[keys[answer[question]]] += 1
        except (
            OSError,
            LookupError,
            TypeError,
            AttributeError,
            ValueError,
            RecursionError,
        ) as error:
            raise UserError(
                f"{path} is no file of votes ({type(error).__name__}: {error})."
            ) from error
        studies.setdefault(study, path)
        if len(studies) > 1:
            first = next(iter(studies.values()))
            raise UserError(f"{path} holds votes of another study than {first}; sum them apart.")
    return {
        question: {
            system: {
                "votes": votes,
                "share": votes / max(sum(count.values()), 1),
                "ci95": list(wilson_interval(votes, sum(count.values()))),
            }
            for system, votes in count.items()
        }
        for question, count in counts.items()
    }


def wilson_interval(votes: int, total: int) -> tuple[float, float]:
    """Returns Wilson's 95 % interval of a share: it stays in [0, 1] and holds for few votes too."""
    if total == 0:
        return 0.0, 1.0
    low, high = stats.binomtest(votes, total).proportion_ci(0.95, method="wilson")
    return float(low), float(high)
