"""The shipped agents at a glance: each graded exactly in the market it was trained for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agents import load, shipped
from evaluate import text
from evaluate.advantage import mean_depth_error
from mmenv.grading import grade, reference_solution

Progress = Callable[[Sequence[str], str], Iterable[str]]
HEADERS = [
    ["", "", "% of", "gap", "line's gap", "", "depth"],
    ["agent", "optimum", "optimum", "[%]", "[%]", "skill", "error"],
]
LEGEND = (
    "Exact, no simulation. Skill: 0 is the best straight line, 1 the optimum. Depth error: mean distance of the\n"
    "quotes from the best ones [price], each state as often as the agent visits it."
)


def rows(progress: Progress) -> text.Rows:
    """A row of cells for each shipped agent."""
    return [_row(name) for name in progress(shipped(), "agents")]


def _row(name: str) -> list[str]:
    policy = load(name)
    problem = policy.problem
    graded, best = grade(problem, policy), reference_solution(problem.market, problem.objective).quotes
    line = 100 * (1 - graded.linear_skew / graded.optimum) if graded.optimum > 0 else float("nan")
    return [
        name,
        text.number(graded.optimum, 4),
        text.number(graded.percent_of_optimum, 5),
        text.number(graded.gap_percent, 5),
        text.number(line, 4),
        text.skill(graded.skill),
        f"{mean_depth_error(graded.quotes, best, graded.evaluation.visits[:-1]):.2g}",
    ]


def page(progress: Progress = lambda names, what: names) -> str:
    """What `python -m evaluate` prints without arguments.

    Args:
        progress: wraps the names while the agents are graded.
    """
    found = rows(progress)
    if not found:
        return "No agents are shipped with this version: train one with python -m train."
    table = text.console_table([*HEADERS, *found])
    return f"{table}\n\n{LEGEND}\n\nA full report of one, with figures:  python -m evaluate {found[0][0]}"
