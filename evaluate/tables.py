"""`python -m evaluate tables`: the tables of Avellaneda & Stoikov (2008) rerun, and what their formula gives away."""

from __future__ import annotations

import argparse
import csv
import io
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from evaluate import folder
from evaluate.optimality import FORMULAS, RISK_AVERSIONS, Comparison, compare
from evaluate.replication import FIGURES, PAPER_RUNS, Line, replicate
from evaluate.text import Rows, console_table, markdown_table, number
from mmenv import _validate
from mmenv.market import Market

EPISODES = 200_000
REPLICATED = (0.1, 0.01, 0.5)
FIGURE_NAMES = ("spread", "profit", "std of profit", "final q", "std of final q")

REPLICATION = "Avellaneda & Stoikov (2008), section 3.3: print, simulation and exact theory"
OPTIMALITY = "Certainty equivalents of exponential utility, in percent of the exact optimum"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    Raises:
        TypeError, ValueError: an option is out of its range.
        OSError: the files cannot be written.
        ModuleNotFoundError: matplotlib is not installed.
    """
    options = _parser().parse_args(argv)
    from evaluate import style  # asks for matplotlib before the work, not after it

    market = Market(**{field.name: getattr(options, field.name) for field in fields(Market) if field.name in options})
    given = [_validate.real("--risk-aversion", gamma, above=0) for gamma in options.risk_aversion or ()]
    out = folder.choose(options.out, "tables", options.overwrite)
    lines = replicate(market, given or REPLICATED, options.episodes, options.seed)
    comparisons = compare(market, given or RISK_AVERSIONS)
    parts = report(market, lines, comparisons, options.episodes)
    for title, rows, _ in parts:
        print(f"\n{title}\n")
        print(console_table(rows, headers=1))
    print("\n" + "\n".join(notes for _, _, notes in parts if notes))
    with folder.publish(out) as new, style.styled():
        write(new, parts, lines, comparisons)
        folder.mark(new, {"report": "tables", "market": market.to_dict(), "episodes": options.episodes})
    print(f"\nfiles: {out}")
    return 0


def report(
    market: Market, lines: Sequence[Line], comparisons: Sequence[Comparison], episodes: int
) -> list[tuple[str, Rows, str]]:
    """The three tables, each with its title and its notes."""
    return [
        (REPLICATION, replication_rows(lines), replication_notes(lines, episodes)),
        (f"{OPTIMALITY}, dt = {market.dt:g}", optimality_rows(comparisons, continuous=False), ""),
        (f"{OPTIMALITY}, dt -> 0", optimality_rows(comparisons, continuous=True), optimality_notes(market)),
    ]


def replication_rows(lines: Sequence[Line]) -> Rows:
    """A header, then one row for each figure of each strategy: published, simulated with standard error, exact."""
    rows = [["strategy", "γ", "figure", "published", "simulated", "exact", "published off by"]]
    for line in lines:
        for i, (figure, name) in enumerate(zip(FIGURES, FIGURE_NAMES, strict=True)):
            simulated, surprise = line.simulated[figure], line.surprise(figure)
            rows.append([
                line.strategy,
                f"{line.risk_aversion:g}",
                name,
                f"{line.published[i]:g}" if line.published else "–",
                f"{_plain(simulated.value)} ± {_plain(simulated.half_width)}",
                _plain(getattr(line.exact, figure)),
                "–" if math.isnan(surprise) else f"{surprise:+.1f} s.e.",
            ])  # fmt: skip
    return rows


def _plain(value: float) -> str:
    """Four digits after the point; no minus sign on a zero."""
    text = f"{value:.4f}"
    return text.lstrip("-") if float(text) == 0 else text


def replication_notes(lines: Sequence[Line], episodes: int) -> str:
    """What the columns of the replication mean."""
    notes = [
        f"Simulated: {episodes:,} sessions, ± one standard error. Exact: backward induction, no sampling error.",
        f"Off by: published less exact, in standard errors of {PAPER_RUNS:,} simulations, the paper's number.",
        "Depths are not clipped, and the limit on inventory is so wide that it is not felt.",
    ]
    if any(line.published and line.strategy == "symmetric" for line in lines):
        notes.append("The paper's deviations of symmetric profit lie below the exact ones; all are given as they are.")
    return "\n".join(notes)


def optimality_rows(comparisons: Sequence[Comparison], continuous: bool) -> Rows:
    """A header, then one row for each risk aversion: the optimum [price], and every formula in percent of it."""
    rows = [["γ", "optimum", *FORMULAS]]
    for one in comparisons:
        optimum = one.continuous_optimum if continuous else one.optimum
        percents = [one.percent(name, continuous) for name in FORMULAS]
        cells = ["–" if math.isnan(percent) else f"{percent:.2f}" for percent in percents]
        rows.append([f"{one.risk_aversion:g}", number(optimum), *cells])
    return rows


def optimality_notes(market: Market) -> str:
    """What the comparison leaves open and what it does not."""
    return (
        f"Depths are unlimited, in the formulas and in the optimum; inventory is limited to ±{market.max_inventory}. "
        "Without that limit\nthe symmetric quotes would have no finite certainty equivalent as dt -> 0.\n"
        "Symmetric: the average spread of Avellaneda & Stoikov around the mid. GLFT finite horizon: the optimum of "
        "dt -> 0."
    )


def write(
    out: Path, parts: Sequence[tuple[str, Rows, str]], lines: Sequence[Line], comparisons: Sequence[Comparison]
) -> None:
    """Write tables.md, both sets of figures as CSV in full precision, and the figure as PNG and SVG."""
    from evaluate import style
    from evaluate.optimality_plot import plot_optimality

    blocks = [f"## {title}\n\n{markdown_table(rows)}\n\n{notes}".rstrip() for title, rows, notes in parts]
    blocks.append("![What the formulas give away](optimality.png)")
    _save(out / "tables.md", "\n\n".join(blocks) + "\n")
    _save(out / "replication.csv", _csv(replication_records(lines)))
    _save(out / "optimality.csv", _csv(optimality_records(comparisons)))
    figure = plot_optimality(comparisons)
    for suffix in ("png", "svg"):
        (out / f"optimality.{suffix}").write_bytes(style.rendered(figure, suffix))


def replication_records(lines: Sequence[Line]) -> list[dict[str, object]]:
    """The replication in full precision, one record for each figure of each strategy."""
    return [
        {
            "risk_aversion": line.risk_aversion,
            "strategy": line.strategy,
            "figure": figure,
            "published": line.published[i] if line.published else "",
            "simulated": line.simulated[figure].value,
            "standard_error": line.simulated[figure].half_width,
            "exact": getattr(line.exact, figure),
        }
        for line in lines
        for i, figure in enumerate(FIGURES)
    ]


def optimality_records(comparisons: Sequence[Comparison]) -> list[dict[str, object]]:
    """The certainty equivalents in full precision, one record for each risk aversion and policy."""
    records: list[dict[str, object]] = []
    for one in comparisons:
        rows = {"optimum": (one.optimum, one.continuous_optimum)}
        rows |= {name: (one.formulas[name], one.continuous_formulas[name]) for name in FORMULAS}
        records += [
            {"risk_aversion": one.risk_aversion, "policy": name, "in_steps": in_steps, "continuous": continuous}
            for name, (in_steps, continuous) in rows.items()
        ]
    return records


def _csv(records: Sequence[dict[str, object]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, records[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return buffer.getvalue()


def _save(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluate tables",
        description="Rerun the tables of Avellaneda & Stoikov (2008), and show how far their formula is from optimal.",
    )
    parser.add_argument(
        "--risk-aversion",
        type=float,
        nargs="+",
        metavar="γ",
        help="risk aversions of both (default: the paper's and more)",
    )
    default = Market()
    for name, kind, what in (
        ("volatility", float, "of the mid, price per square root of time"),
        ("horizon", float, "T, length of a session"),
        ("steps", int, "N, steps in a session"),
        ("arrival_rate", float, "A, market orders per side and unit time at depth 0"),
        ("depth_decay", float, "k, per price"),
        ("max_inventory", int, "Q of the certainty equivalents; the replication has no limit"),
        ("fill_law", str, "linear or poisson"),
    ):
        flag, value = f"--{name.replace('_', '-')}", getattr(default, name)
        parser.add_argument(flag, type=kind, default=value, metavar="X", help=f"{what} (default: {value})")
    parser.add_argument("--episodes", type=int, default=EPISODES, metavar="N", help=f"sessions (default: {EPISODES:,})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the tape (default: 0)")
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: a new folder below reports/)")
    parser.add_argument("--overwrite", action="store_true", help="replace the tables in --out")
    return parser
