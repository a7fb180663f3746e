"""The folder of a submission: what entered, in submission.json, and a file of quotes for each of its runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from agents.checkpoint import read_json, write_json
from evaluate.benchmark.quotes import read_quotes
from evaluate.benchmark.suite import REWARDS, Benchmark, Task
from mmenv import _validate
from mmenv.quotes import QuoteTable

RECORD = "submission.json"
LONGEST = {"name": 40, "algorithm": 400, "tuned": 800, "link": 200}


class SubmissionError(ValueError):
    """A submission that cannot be graded; the message is one sentence."""


@dataclass(frozen=True)
class About:
    """What entered.

    Attributes:
        name: what the leaderboard calls it.
        algorithm: what was done, and every setting that is not a default.
        reward: the reward form it was trained on, "realised" or "expected".
        tuned: what was tuned, on which markets, budgets and seeds; "nothing" is an answer.
        link: where the code is; may be empty.

    Raises:
        TypeError, ValueError: a field is no text, empty, or too long.
    """

    name: str
    algorithm: str
    reward: str
    tuned: str
    link: str = ""

    def __post_init__(self) -> None:
        for field, longest in LONGEST.items():
            value = getattr(self, field)
            if not isinstance(value, str) or not value.isprintable() or len(value) > longest:
                raise ValueError(f"{field} must be a line of at most {longest} characters, got {value!r:.60}")
            if not value.strip() and field != "link":
                raise ValueError(f"{field} must not be empty")
        _validate.choice("reward", self.reward, REWARDS)


class RunRecord(NamedTuple):
    """What a run says of itself.

    Attributes:
        transitions: transitions it was trained on.
        cpu_seconds: processor time it took, in all threads.
    """

    transitions: int
    cpu_seconds: float


@dataclass(frozen=True)
class Submission:
    """A submission whose record fits the benchmark.

    Attributes:
        folder: where it lies.
        about: what entered.
        date: of its latest run, YYYY-MM-DD.
        versions: of what it was made with, by package.
        runs: by task.
    """

    folder: Path
    about: About
    date: str
    versions: Mapping[str, str | None]
    runs: Mapping[Task, RunRecord]

    def quotes(self, task: Task, benchmark: Benchmark) -> QuoteTable:
        """The quotes of a run.

        Raises:
            QuotesError: its file is missing or damaged, or does not fit the market.
        """
        return read_quotes(quotes_path(self.folder, task), benchmark.markets[task.market].market)


def quotes_path(folder: Path, task: Task) -> Path:
    """The file of quotes of a run."""
    return folder / f"{task.name}.npz"


def write_record(submission: Submission, benchmark: Benchmark) -> None:
    """Replace submission.json, atomically."""
    runs = {task.name: record._asdict() for task, record in submission.runs.items()}
    about = {field.name: getattr(submission.about, field.name) for field in fields(About)}
    rest = {"date": submission.date, "versions": dict(submission.versions), "runs": runs}
    write_json(submission.folder / RECORD, {"benchmark": benchmark.version, **about, **rest})


def read_submission(folder: Path, benchmark: Benchmark) -> Submission:
    """Read and check submission.json; files of quotes are read when they are graded.

    Raises:
        SubmissionError: the folder or the record is missing or damaged; a run is not part of the benchmark, went over
            its budget, or has no file; or seeds were left out before others.
    """
    path = folder / RECORD
    if not folder.is_dir():
        raise SubmissionError(f"there is no submission folder {str(folder)!r}")
    values = read_json(path)
    try:
        if values.pop("benchmark") != benchmark.version:
            raise ValueError(f"benchmark must be {benchmark.version}, the version that is graded here")
        about = About(**{field.name: values.pop(field.name) for field in fields(About)})
        made = date.fromisoformat(values.pop("date")).isoformat()
        versions = _versions(values.pop("versions"))
        runs = _runs(values.pop("runs"), benchmark)
        if values:
            raise ValueError(f"it must have no field {next(iter(values))!r:.60}")
    except KeyError as error:
        raise SubmissionError(f"{path} must have the field {error.args[0]!r:.60}") from error
    except (TypeError, ValueError) as error:
        raise SubmissionError(f"{path} is no valid record: {error}") from error
    _check_files(folder, runs)
    return Submission(folder, about, made, versions, runs)


def _versions(values: Any) -> dict[str, str | None]:
    if not isinstance(values, Mapping) or not all(value is None or isinstance(value, str) for value in values.values()):
        raise ValueError(f"versions must be texts by package, got {values!r:.60}")
    return dict(values)


def _runs(values: Any, benchmark: Benchmark) -> dict[Task, RunRecord]:
    if not isinstance(values, Mapping) or not values:
        raise ValueError("runs must hold at least one run")
    known = {task.name: task for task in benchmark.tasks()}
    runs: dict[Task, RunRecord] = {}
    for name, record in values.items():
        task = known[_validate.choice("run", name, known)]
        if not isinstance(record, Mapping) or set(record) != set(RunRecord._fields):
            raise ValueError(f"run {name} must state {' and '.join(RunRecord._fields)}, got {record!r:.60}")
        used = _validate.integer(f"transitions of {name}", record["transitions"], at_least=1, at_most=task.budget)
        runs[task] = RunRecord(used, _validate.real(f"cpu_seconds of {name}", record["cpu_seconds"], at_least=0))
    check_seeds(runs, benchmark)
    return {task: runs[task] for task in benchmark.tasks() if task in runs}


def check_seeds(runs: Collection[Task], benchmark: Benchmark) -> None:
    """Check that the runs of each market and budget have the first seeds there are, in whatever order.

    Raises:
        ValueError: a seed is left out before others.
    """
    for market, budget, _ in runs:
        seeds = [seed for seed in benchmark.seeds if Task(market, budget, seed) in runs]
        if seeds != list(benchmark.seeds[: len(seeds)]):
            raise ValueError(f"seeds of {market}-{budget} must be taken from {benchmark.seeds[0]} on, got {seeds}")


def _check_files(folder: Path, runs: Mapping[Task, RunRecord]) -> None:
    for task in runs:
        if not quotes_path(folder, task).is_file():
            raise SubmissionError(
                f"{folder / RECORD} states the run {task.name}, but {quotes_path(folder, task).name} is missing"
            )
