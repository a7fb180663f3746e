"""A benchmark others can enter, graded exactly: `python -m evaluate benchmark`; see docs/benchmark.md."""

from evaluate.benchmark.command import main
from evaluate.benchmark.entry import Entry, run
from evaluate.benchmark.leaderboard import Score, grade_submission
from evaluate.benchmark.submission import Submission, SubmissionError, read_submission
from evaluate.benchmark.suite import Benchmark, Task, version_0

__all__ = [
    "Benchmark",
    "Entry",
    "Score",
    "Submission",
    "SubmissionError",
    "Task",
    "grade_submission",
    "main",
    "read_submission",
    "run",
    "version_0",
]
