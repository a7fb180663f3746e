"""Entering: from a function that trains an agent to the folder of a submission."""

from __future__ import annotations

import platform
import runpy
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from evaluate.benchmark.quotes import write_quotes
from evaluate.benchmark.submission import (
    RECORD,
    About,
    RunRecord,
    Submission,
    SubmissionError,
    check_seeds,
    quotes_path,
    read_submission,
    write_record,
)
from evaluate.benchmark.suite import Benchmark, Task
from mmenv.grading import tabulate
from mmenv.problem import Problem

PACKAGES = ("mmenv", "numpy", "gymnasium", "torch", "stable-baselines3")


@dataclass(frozen=True)
class Entry:
    """What enters the benchmark; the texts are those of `About`.

    Attributes:
        train: from a problem, a budget of transitions and a seed to whatever `mmenv.grade` grades: a
            Stable-Baselines3 model, a function of observations, a policy. If it has `num_timesteps`, as those
            models have, that is how many transitions were used; else the whole budget was.
    """

    name: str
    algorithm: str
    train: Callable[[Problem, int, int], Any]
    reward: str = "expected"
    tuned: str = "nothing"
    link: str = ""

    @property
    def about(self) -> About:
        """What the submission says of it."""
        return About(self.name, self.algorithm, self.reward, self.tuned, self.link)


def find_entry(place: str) -> Entry:
    """The entry at FILE.py:NAME. The file is run, as any Python file of one's own.

    Raises:
        ValueError: there is no such file, or no `Entry` of that name in it.
    """
    file, _, name = place.rpartition(":")
    if not name or not Path(file).is_file():
        raise ValueError(f"--run must be FILE.py:NAME with a Python file that exists, got {place!r}")
    found = runpy.run_path(file)
    entries = [key for key, value in found.items() if isinstance(value, Entry)]
    if name not in entries:
        raise ValueError(f"{file} must define {name} as an Entry; entries in it: {', '.join(entries) or 'none'}")
    return found[name]


def run(
    entry: Entry,
    benchmark: Benchmark,
    folder: Path,
    tasks: Sequence[Task] | None = None,
    progress: Callable[[Sequence[Task]], Iterable[Task]] = iter,
) -> Submission:
    """Train an entry and write its submission; runs that are there already are left as they are.

    Args:
        entry: what enters.
        benchmark: the version.
        folder: of the submission; made if it does not exist.
        tasks: what is run, in the order of the benchmark; everything if None.
        progress: is handed the tasks that are left, and hands them back one by one.

    Raises:
        SubmissionError: the folder holds another submission or a damaged one, seeds are left out before others, or a
            run went over its budget.
    """
    about, runs = entry.about, {}
    if (folder / RECORD).exists():
        begun = read_submission(folder, benchmark)
        if begun.about != about:
            raise SubmissionError(f"{folder} holds another submission, {begun.about.name!r}, or states it otherwise")
        runs = dict(begun.runs)
    wanted = [task for task in benchmark.tasks() if task in runs or tasks is None or task in tasks]
    try:
        check_seeds(wanted, benchmark)
    except ValueError as error:
        raise SubmissionError(f"{folder} cannot hold these runs: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    for task in progress([task for task in wanted if task not in runs]):
        runs[task] = _run(entry, benchmark, folder, task)
        today = datetime.now(UTC).date().isoformat()
        write_record(Submission(folder, about, today, _versions(), runs), benchmark)
    return read_submission(folder, benchmark)


def _run(entry: Entry, benchmark: Benchmark, folder: Path, task: Task) -> RunRecord:
    problem = benchmark.problem(task.market, entry.reward)
    started = time.process_time()
    agent = entry.train(problem, task.budget, task.seed)
    seconds = time.process_time() - started
    used = int(getattr(agent, "num_timesteps", task.budget))
    if used > task.budget:
        raise SubmissionError(f"{entry.name} must see at most {task.budget} transitions in {task.name}, it saw {used}")
    write_quotes(quotes_path(folder, task), tabulate(problem, agent).clip(problem.market))
    return RunRecord(used, round(seconds, 2))


def _versions() -> dict[str, str | None]:
    return {"python": platform.python_version()} | {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # not used, or a checkout that is not installed
        return None
