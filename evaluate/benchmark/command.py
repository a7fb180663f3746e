"""`python -m evaluate benchmark`: grade submissions and print the leaderboard, or train an entry."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from evaluate import folder
from evaluate.benchmark.entry import find_entry, run
from evaluate.benchmark.leaderboard import Score, grade_submission, results_csv, results_json, tables
from evaluate.benchmark.submission import RECORD, Submission, SubmissionError, read_submission
from evaluate.benchmark.suite import Benchmark, Task, version_0
from evaluate.text import console_table, markdown_table
from mmenv._extras import needs

SHIPPED = Path(__file__).parents[2] / "benchmarks" / "submissions"
INTERRUPTED = 130
NOTES = (
    "Exact gaps to the optimum: the median over training seeds, the lowest and the highest. Skill (median): 0 is the "
    "best\nstraight line, 1 the optimum. CPU s: processor time of a run (median), on the machine of whoever entered."
)


def main(argv: Sequence[str], benchmark: Benchmark | None = None) -> int:
    """Run the command; returns the exit code.

    Raises:
        ValueError, TypeError, OSError: bad input, in one sentence.
        ModuleNotFoundError: tqdm is not installed.
    """
    options = _parser().parse_args(argv)
    benchmark = benchmark or version_0()
    if options.run is not None:
        return _run(options, benchmark)
    for flag in ("markets", "budgets", "seeds"):
        if getattr(options, flag) is not None:
            raise ValueError(f"--{flag} is for --run: all runs of a submission are graded")
    submissions = read_all(options.folders, benchmark)
    out = folder.choose(options.out, "benchmark", options.overwrite)
    scores = [score for one in submissions for score in grade_submission(one, benchmark, _bar)]
    _print(scores, benchmark)
    with folder.publish(out) as new:
        _write(new, scores, benchmark)
        folder.mark(new, {"report": "benchmark", "version": benchmark.version})
    print(f"\nfiles: {out}")
    return 0


def _run(options: argparse.Namespace, benchmark: Benchmark) -> int:
    if options.folders:
        raise ValueError("--run trains one entry: give its folder as --out, and no others")
    if options.overwrite:
        raise ValueError("--overwrite is for results: --run goes on with the submission in --out, or makes a new one")
    tasks = benchmark.tasks(options.markets, options.budgets, options.seeds)
    entry = find_entry(options.run)
    out = Path("submissions") / re.sub(r"[^\w.+-]+", "-", entry.name) if options.out is None else Path(options.out)
    try:
        submission = run(entry, benchmark, out, tasks, _bar)
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on with the run that was cut short", file=sys.stderr)
        return INTERRUPTED
    _print(grade_submission(submission, benchmark, _bar), benchmark)
    print(f"\nsubmission: {out}")
    return 0


def read_all(folders: Sequence[str], benchmark: Benchmark) -> list[Submission]:
    """The submissions in the folders; those that come with the repository if none is named.

    Raises:
        SubmissionError: one of them cannot be graded, two have one name, or there are none.
    """
    paths = [Path(each) for each in folders]
    if not paths:
        paths = sorted(path.parent for path in SHIPPED.glob(f"*/{RECORD}"))
    if not paths:
        raise SubmissionError(
            "the submissions are in benchmarks/submissions of the repository, not in the installed package: "
            "name the folders of those to be graded"
        )
    submissions = [read_submission(path, benchmark) for path in paths]
    names = [one.about.name for one in submissions]
    for one in submissions:
        if names.count(one.about.name) > 1:
            raise SubmissionError(f"two submissions are named {one.about.name!r}: rename the one in {one.folder}")
    return submissions


def _print(scores: Sequence[Score], benchmark: Benchmark) -> None:
    for title, rows in tables(scores, benchmark).items():
        print(f"\n{title}\n{console_table(rows, headers=1)}")
    print(f"\n{NOTES}")


def _write(new: Path, scores: Sequence[Score], benchmark: Benchmark) -> None:
    parts = [f"### {title}\n\n{markdown_table(rows)}\n" for title, rows in tables(scores, benchmark).items()]
    texts = {
        "leaderboard.md": "\n".join([*parts, NOTES + "\n"]),
        "results.json": results_json(scores, benchmark),
        "results.csv": results_csv(scores),
    }
    for name, text in texts.items():
        (new / name).write_text(text, encoding="utf-8", newline="\n")


def _bar(tasks: Sequence[Task]) -> Iterable[Task]:
    with needs("report"):
        from tqdm import tqdm

    return tqdm(tasks, desc="runs", delay=2, disable=None, leave=False, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluate benchmark",
        description="Grade submissions to the benchmark exactly and print the leaderboard, or train an entry.",
        epilog="How to enter, and the rules: docs/benchmark.md.",
    )
    parser.add_argument(
        "folders", nargs="*", metavar="FOLDER", help="submissions (default: those in benchmarks/submissions)"
    )
    parser.add_argument("--run", metavar="FILE.py:NAME", help="train this Entry and write its submission")
    parser.add_argument("--markets", nargs="+", metavar="NAME", help="with --run: only these markets")
    parser.add_argument("--budgets", nargs="+", type=int, metavar="N", help="with --run: only these budgets")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="with --run: only these seeds")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="where to write (default: a new folder below reports/; with --run submissions/NAME, where it goes on)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the results in --out")
    return parser
