"""The leaderboard: every run graded exactly, then one row for each market, budget and submission."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from evaluate.benchmark.submission import Submission
from evaluate.benchmark.suite import Benchmark, Task
from evaluate.text import Rows, skill
from mmenv.grading import Grade, grade, reference_linear_skew, reference_solution

LINE = "best straight line"
HEADER = ["", "reward", "seeds", "gap %", "lowest", "highest", "skill", "CPU s"]
COLUMNS = (
    "name", "reward", "market", "budget", "seed", "transitions", "cpu_seconds", "objective", "optimum", "gap",
    "gap_percent", "skill", "date",
)  # fmt: skip


@dataclass(frozen=True)
class Score:
    """A run and its grade."""

    submission: Submission
    task: Task
    grade: Grade

    @property
    def gap_percent(self) -> float:
        """The gap in percent of the optimum's size."""
        return 100 * self.grade.gap / abs(self.grade.optimum)

    def values(self) -> dict[str, object]:
        """Everything about it, by `COLUMNS`."""
        about, record, grade = self.submission.about, self.submission.runs[self.task], self.grade
        graded = (grade.objective, grade.optimum, grade.gap, self.gap_percent, grade.skill)
        cells = (about.name, about.reward, *self.task, *record, *graded, self.submission.date)
        return dict(zip(COLUMNS, cells, strict=True))


@dataclass(frozen=True)
class Standing:
    """The runs of one submission in one market with one budget."""

    scores: Sequence[Score]

    @property
    def gap(self) -> float:
        """The median gap over the seeds [percent of the optimum]."""
        return statistics.median(score.gap_percent for score in self.scores)

    def row(self, seeds: int) -> list[str]:
        """Its cells, under `HEADER`; `seeds` is how many there should be."""
        submission, gaps = self.scores[0].submission, [score.gap_percent for score in self.scores]
        seconds = statistics.median(submission.runs[score.task].cpu_seconds for score in self.scores)
        count = f"{len(self.scores)}" if len(self.scores) == seeds else f"{len(self.scores)} of {seeds}"
        middle = skill(statistics.median(score.grade.skill for score in self.scores))
        cells = [_gap(gap) for gap in (self.gap, min(gaps), max(gaps))]
        return [submission.about.name, submission.about.reward, count, *cells, middle, f"{seconds:.0f}"]


def grade_submission(
    submission: Submission, benchmark: Benchmark, progress: Callable[[Sequence[Task]], Iterable[Task]] = iter
) -> list[Score]:
    """Grade every run of a submission exactly.

    Raises:
        QuotesError: a file of quotes is missing or damaged, or does not fit its market.
    """
    return [
        Score(submission, task, grade(benchmark.markets[task.market], submission.quotes(task, benchmark)))
        for task in progress(list(submission.runs))
    ]


def standings(scores: Sequence[Score], market: str, budget: int) -> list[Standing]:
    """Who stands where in one market with one budget: smallest median gap first."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        if score.task[:2] == (market, budget):
            groups.setdefault(score.submission.about.name, []).append(score)
    return sorted((Standing(group) for group in groups.values()), key=lambda standing: standing.gap)


def tables(scores: Sequence[Score], benchmark: Benchmark) -> dict[str, Rows]:
    """A table for each market and budget in which somebody ran, by title; the straight line stands among the agents."""
    found = {}
    for market in benchmark.markets:
        for budget in benchmark.budgets:
            ranked = standings(scores, market, budget)
            if not ranked:
                continue
            line, gap = _line(benchmark, market)
            better = sum(standing.gap < gap for standing in ranked)
            rows = [standing.row(len(benchmark.seeds)) for standing in ranked]
            found[f"{market}, {budget:,} transitions"] = [HEADER, *rows[:better], line, *rows[better:]]
    return found


def _line(benchmark: Benchmark, market: str) -> tuple[list[str], float]:
    problem = benchmark.markets[market]
    optimum = reference_solution(problem.market, problem.objective).optimum
    gap = 100 * (optimum - reference_linear_skew(problem.market, problem.objective).objective) / abs(optimum)
    return [LINE, "", "", _gap(gap), "", "", "0", ""], gap


def _gap(percent: float) -> str:
    """Three significant digits, five decimals at most; no minus sign on a zero."""
    digits = 5 if percent == 0 else min(5, max(0, 2 - math.floor(math.log10(abs(percent)))))
    text = f"{percent:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def results_json(scores: Sequence[Score], benchmark: Benchmark) -> str:
    """Every run, and what each submission says of itself, as JSON; a skill that cannot be told is null."""
    runs = [{name: None if value != value else value for name, value in score.values().items()} for score in scores]
    submissions = {
        one.about.name: {**vars(one.about), "date": one.date, "versions": dict(one.versions)}
        for one in {score.submission.folder: score.submission for score in scores}.values()
    }
    return json.dumps({"benchmark": benchmark.version, "submissions": submissions, "runs": runs}, indent=2) + "\n"


def results_csv(scores: Sequence[Score]) -> str:
    """Every run as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(score.values() for score in scores)
    return buffer.getvalue()
