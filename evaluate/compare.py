"""Runs side by side: what they were told, what they learned, and how far apart they are on one tape."""

from __future__ import annotations

from collections.abc import Sequence

from evaluate.ladder import Ladder, Progress, Standing, build_ladder
from evaluate.runs import Run, differences, load_runs, recipe
from evaluate.text import Rows, console_table, number, score, score_header, skill, with_interval

# Labels say in what the runs differ, which takes more room than one ladder does.
WIDTH = 130


def compare(names: Sequence[str], episodes: int, seed: int, progress: Progress) -> str:
    """Compare runs of one problem; the first is what the others are measured against.

    Args:
        names: run folders, at least two.
        episodes: number of simulated sessions.
        seed: of the evaluation's tape.
        progress: wraps the iterator of simulated pieces.

    Returns:
        The tables, as text.

    Raises:
        RunError: a run is missing or damaged, or its problem is another.
    """
    runs = load_runs(names)
    ladder = build_ladder(runs[0].problem, [run.entrant for run in runs], episodes, seed, 0, progress)
    parts = [console_table(grade_rows(ladder, runs), headers=1, width=WIDTH)]
    told = setting_rows(runs)
    parts.append(
        console_table(told, headers=1, width=WIDTH) if len(told) > 1 else "The settings are the same, but for the seed."
    )
    parts.append(
        f"Value, score and skill are exact. Differences are to {runs[0].label}, on one tape of {episodes:,} sessions, "
        f"with 95 % intervals."
    )
    return "\n\n".join(parts)


def grade_rows(ladder: Ladder, runs: Sequence[Run]) -> Rows:
    """Exact grades, what the training took, and paired differences to the first run."""
    rows = [["run", "value", score_header(ladder), "skill", "transitions", "seconds", "difference", "in profit std"]]
    for run in runs:
        standing = next(s for s in ladder.standings if s.label == run.label)
        rows.append([
            run.label,
            number(standing.grade.objective),
            score(ladder, standing),
            skill(standing.grade.skill),
            *_effort(run),
            *_apart(ladder, standing),
        ])  # fmt: skip
    return rows


def _effort(run: Run) -> tuple[str, str]:
    if run.progress is None:
        return "–", "–"
    return f"{run.progress.transitions[-1]:,.0f}", f"{run.progress.seconds[-1]:.0f}"


def _apart(ladder: Ladder, standing: Standing) -> tuple[str, str]:
    if standing.label == ladder.reference:
        return "", ""
    return with_interval(standing.versus["value"]), with_interval(standing.versus["profit_std"])


def setting_rows(runs: Sequence[Run]) -> Rows:
    """The settings in which the runs differ, a row each."""
    recipes = [recipe(run) for run in runs]
    names = differences(recipes)
    return [["setting", *(run.label for run in runs)]] + [
        [name, *(str(values.get(name)) for values in recipes)] for name in names
    ]
