"""Sums the votes of a preference study, which `stya2k evaluate --study` has written."""

from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.errors import UserError
from stya2k_jax.evaluation.votes import sum_votes
from stya2k_jax.reports.study_page import QUESTIONS


def main() -> None:
    """Sums exported votes: `stya2k study --votes=FILE_OR_FOLDER`."""
    given = flags.DEFINE_multi_string(
        "votes", None, "File of votes, or folder of such; may be repeated.", required=True
    )

    def run(_) -> None:
        paths = []
        for path in map(Path, given.value):
            paths += sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not paths:
            raise UserError(f"{', '.join(given.value)} holds no .json files of votes.")
        for question, systems in sum_votes(list(dict.fromkeys(paths))).items():
            print(f"{QUESTIONS[question]} ({sum(s['votes'] for s in systems.values())} votes)")
            for system, found in sorted(systems.items(), key=lambda item: -item[1]["votes"]):
                low, high = found["ci95"]
                print(f"  {system:20} {found['share']:6.1%}  [{low:.1%}, {high:.1%}]")

    command_line.run(run)
