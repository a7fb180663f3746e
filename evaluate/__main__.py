"""`python -m evaluate`: grade agents against the exact optimum of their market, and write a report."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
EPISODES = 100_000
FORMATS = ("html", "md", "csv", "png", "svg")
POLICIES = ("fixed", "symmetric", "as", "glft", "glft_finite", "continuous", "linear_skew")
PARTS = {
    "compare": "runs side by side: settings, exact grades, paired differences",
    "watch": "an animated session of a run, as one HTML page",
    "card": "what a run is good for, how good it is, how it was made: its card, or a folder to share",
    "benchmark": "the leaderboard of a benchmark that any algorithm can enter; see docs/benchmark.md",
    "tables": "the tables of Avellaneda & Stoikov (2008) rerun, and what their formula gives away",
    "markets": "every registered market: ladder, markouts, quotes by regime",
    "robustness": "what policies made for one market lose in another",
    "article": "an article's claims on market makers, put to the test",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters still gets its table
    part = arguments[0] if arguments and arguments[0] in PARTS else "report"
    try:
        if not arguments:
            return _pretrained()
        return _PARTS[part](arguments[1:] if part != "report" else arguments)
    except KeyboardInterrupt:
        print("\ninterrupted: nothing was written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


def _pretrained() -> int:
    from evaluate import pretrained

    print(pretrained.page(_names_bar))
    return 0


def _report(arguments: Sequence[str]) -> int:
    options = _report_parser().parse_args(arguments)
    formats = _words("format", options.format, FORMATS)
    _check_tape(options)
    for flag in ("env", "market"):
        if options.runs and getattr(options, flag):
            raise ValueError(f"--{flag} is for a ladder without runs: runs bring their own problem")
    if options.env and options.market:
        raise ValueError("--env and --market both name a problem: give one of them")
    started = time.perf_counter()
    from mmenv._extras import needs

    with needs("report"):
        import matplotlib  # noqa: F401  (asked for before the work, not after it)
        import tqdm  # noqa: F401
    from evaluate import entrants, folder, report, text
    from evaluate.ladder import build_ladder
    from evaluate.results import Results
    from evaluate.runs import load_runs, newest_run

    paths = [*options.runs, *([str(newest_run(Path("runs")))] if options.latest else [])]
    names = None if options.policies is None else _words("policies", options.policies, entrants.BASELINES)
    runs = load_runs(paths) if paths else []
    problem = runs[0].problem if runs else _problem(options.env, options.market)
    recorded = _recorded(options.tape, problem, runs)
    out = folder.choose(options.out, _name(paths, options.env), options.overwrite)
    field = [*entrants.baselines(problem, names, _names_bar), *(run.entrant for run in runs), entrants.optimum(problem)]
    ladder = build_ladder(problem, field, options.episodes, options.seed, progress=_episodes_bar)
    results = Results(ladder, runs, _command(arguments), replay=_replay(problem, field, recorded, options.seed))
    files = report.write(results, out, formats, _names_bar)
    print(text.console_table(text.summary_rows(ladder)))
    print(_explanation(results))
    if results.replay is not None:
        print(_recording_text(results.replay))
    _say_where(out, files, time.perf_counter() - started)
    return 0


def _compare(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m evaluate compare", description=PARTS["compare"])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders; the first is what others are compared to")
    _add_tape_options(parser)
    options = parser.parse_args(arguments)
    _check_tape(options)
    if len(options.runs) < 2:
        raise ValueError(f"compare needs at least two runs, got {len(options.runs)}")
    from evaluate.compare import compare

    print(compare(options.runs, options.episodes, options.seed, _episodes_bar))
    return 0


def _watch(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m evaluate watch", description=PARTS["watch"])
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the session (default: 0)")
    parser.add_argument("--out", metavar="FILE", help="the page to write (default: reports/watch-RUN.html)")
    parser.add_argument("--overwrite", action="store_true", help="replace the page if it exists")
    options = parser.parse_args(arguments)
    from evaluate.watch import watch

    print(f"page: {watch(options.run, options.seed, options.out, options.overwrite)}")
    return 0


def _card(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m evaluate card", description=PARTS["card"])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="the run, then other seeds of its recipe")
    parser.add_argument("--out", metavar="FOLDER", help="write the agent and its card to this folder, to be shared")
    parser.add_argument("--overwrite", action="store_true", help="replace the agent in --out")
    options = parser.parse_args(arguments)
    if options.out is None:
        from evaluate.card import compose

        print(compose(options.runs)[0], end="")
    else:
        from evaluate.publish import publish

        print(f"agent: {publish(options.runs, options.out, options.overwrite)}")
    return 0


def _benchmark(arguments: Sequence[str]) -> int:
    from evaluate import benchmark

    return benchmark.main(arguments)


def _tables(arguments: Sequence[str]) -> int:
    from evaluate import tables

    return tables.main(arguments)


def _markets(arguments: Sequence[str]) -> int:
    from evaluate import markets

    return markets.main(arguments)


def _robustness(arguments: Sequence[str]) -> int:
    from evaluate import robustness

    return robustness.main(arguments)


def _article(arguments: Sequence[str]) -> int:
    from evaluate import article

    return article.main(arguments)


_PARTS: dict[str, Callable[[Sequence[str]], int]] = {
    "report": _report,
    "compare": _compare,
    "watch": _watch,
    "card": _card,
    "benchmark": _benchmark,
    "tables": _tables,
    "markets": _markets,
    "robustness": _robustness,
    "article": _article,
}


def _report_parser() -> argparse.ArgumentParser:
    parts = "\n".join(f"  {name:10s} {text}" for name, text in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m evaluate",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Grade agents against the exact optimum of their market and write a report: tables, figures, HTML. "
        "Without arguments: the shipped agents at a glance.",
        epilog=f"other commands (python -m evaluate COMMAND --help):\n{parts}\n",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run folders of one problem, or shipped agents")
    parser.add_argument("--latest", action="store_true", help="add the newest run folder below runs/")
    parser.add_argument("--env", metavar="ID", help="without runs: the environment whose ladder is shown")
    parser.add_argument("--market", metavar="FILE", help="without runs: the market of this file (market.json)")
    parser.add_argument("--tape", metavar="FILE", help="play all policies on this recorded tape too (tape.npz)")
    parser.add_argument(
        "--policies", nargs="+", metavar="NAME", help=f"baselines to show (default: {' '.join(POLICIES)})"
    )
    _add_tape_options(parser)
    parser.add_argument("--format", nargs="+", metavar="NAME", help=f"files to write (default: {' '.join(FORMATS)})")
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: a new folder below reports/)")
    parser.add_argument("--overwrite", action="store_true", help="replace the report in --out")
    return parser


def _add_tape_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--episodes", type=int, default=EPISODES, metavar="N", help=f"simulated sessions (default: {EPISODES:,})"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the evaluation's tape (default: 0)")


def _check_tape(options: argparse.Namespace) -> None:
    """Refuse a bad number before any work is done."""
    from mmenv import _validate

    _validate.integer("--episodes", options.episodes, at_least=2)
    _validate.integer("--seed", options.seed, at_least=0)


def _words(option: str, given: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """The words of an option, separated by spaces or commas, all of them known; all known ones by default."""
    from mmenv import _validate

    options = list(known)
    if given is None:
        return options
    words = [word for text in given for word in text.split(",") if word]
    if not words:
        raise ValueError(f"--{option} must name at least one of {', '.join(options)}")
    return [_validate.choice(f"--{option}", word, options) for word in dict.fromkeys(words)]


def _recorded(tape: str | None, problem: Any, runs: Sequence[Any]) -> Any:
    """The recorded tape, checked against the problem and what the agents were trained on; None without one."""
    if tape is None:
        return None
    from evaluate.recording import check
    from mmenv.data import load_tape

    recorded = load_tape(tape)
    seen = [(run.label, *run.policy.config["recording"]) for run in runs if run.policy.config.get("recording")]
    check(problem, recorded, seen)
    return recorded


def _replay(problem: Any, field: Sequence[Any], recorded: Any, seed: int) -> Any:
    if recorded is None:
        return None
    from evaluate.recording import replay

    return replay(problem, field, recorded, seed)


def _recording_text(replay: Any) -> str:
    from evaluate import recording_report, text

    table = text.console_table(recording_report.rows(replay), headers=1, width=160)
    verdicts = [recording_report.verdict(one).replace("**", "") for one in recording_report.featured(replay)]
    return "\n".join(["", "On the recording, per session:", table, *verdicts])


def _problem(env: str | None, market: str | None = None) -> Any:
    """The problem of a market file or of a registered environment, the default one if none is named."""
    from evaluate.registered import problem_of
    from mmenv import Problem
    from mmenv.environment_file import read_environment

    return problem_of(env) if market is None else Problem.from_arguments(**read_environment(market))


def _name(paths: Sequence[str], env: str | None) -> str:
    """What the report's folder is called by default."""
    if not paths:
        return "ladder" if env is None else f"ladder-{env.split('/')[-1]}"
    more = f"-and-{len(paths) - 1}-more" if len(paths) > 1 else ""
    return f"{Path(paths[0]).resolve().name}{more}"


def _command(arguments: Sequence[str]) -> str:
    return " ".join(["python -m evaluate", *arguments])


def _explanation(results: Any) -> str:
    from evaluate import text

    ladder = results.ladder
    lines = [
        "",
        f"Exact, but for the last column: difference to {ladder.reference} over {ladder.episodes:,} sessions of one "
        f"tape, with 95 % intervals.",
        "Skill: 0 is the best straight line, 1 the exact optimum.",
    ]
    if any(math.isnan(standing.versus["value"].low) for standing in ladder.standings):
        lines.append("–: a few bad sessions outweigh all others, so that no honest interval can be given.")
    lines += [text.headline(ladder, group, standings) for group, standings in text.seed_groups(ladder).items()]
    return "\n".join(lines)


def _say_where(out: Path, files: Sequence[Path], seconds: float) -> None:
    main_file = next((path for suffix in (".html", ".md", ".csv") for path in files if path.suffix == suffix), out)
    print(f"\nreport:   {main_file}")
    pictures = [path for path in files if path.suffix in (".png", ".svg")]
    if pictures:
        print(f"pictures: {pictures[0].parent} ({len(pictures)} files)")
    print(f"took {seconds:.0f} s")


def _episodes_bar(samples: Iterator[Any], total: int) -> Iterator[Any]:
    """Show how many sessions have been simulated, once it takes long enough to wonder."""
    with _bar(total, "sessions") as bar:
        for sample in samples:
            yield sample
            bar.update(sample.moments.count)


def _names_bar(names: Sequence[str], what: str) -> Iterator[str]:
    with _bar(len(names), what) as bar:
        for name in names:
            yield name
            bar.update(1)


def _bar(total: int, what: str) -> Any:
    from mmenv._extras import needs

    with needs("report"):
        from tqdm import tqdm

    return tqdm(total=total, desc=what, unit="", unit_scale=True, delay=2, disable=None, leave=False, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
