"""`python -m evaluate robustness`: what policies made for one market lose in another, exactly.

A policy is solved, fitted or trained for the market that its maker assumes, and graded in the market that is there: the
same but for one parameter, which is off by a factor. Losses are percent of the optimum of the market that is there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents import AvellanedaStoikov, GueantLehalleFernandezTapia
from evaluate.entrants import known_in_continuous_time
from evaluate.registered import problem_of
from evaluate.streaming import DEFAULT_RISK_AVERSION
from evaluate.text import Rows, console_table, markdown_table
from mmenv import _validate
from mmenv.grading import reference_linear_skew, reference_solution
from mmenv.linear_skew import linear_skew_table
from mmenv.market import Market
from mmenv.problem import Problem
from mmenv.quotes import Policy, QuoteTable
from mmenv.solver import evaluate_exactly

FACTORS = (0.5, 0.8, 1.25, 2.0)
# What may be assumed wrongly, and the fields of a market that say it.
PARAMETERS = {
    "volatility": ("volatility",),
    "arrivals": ("arrival_rate", "bid_arrival_rate", "ask_arrival_rate"),
    "decay": ("depth_decay", "bid_depth_decay", "ask_depth_decay"),
    "informed": ("informed_share",),
}
WIDTH = 140


@dataclass(frozen=True)
class Losses:
    """What policies lose where one parameter is not what they were made for.

    Attributes:
        parameter: its name, one of PARAMETERS.
        factors: what the parameter of the problem is multiplied by, rising; 1 is among them.
        optima: the optimum at each factor, shape (factors,) [price].
        losses: by policy, optimum less value, [assumed factor, factor that is there] [price]; NaN where a policy was
            not made for that factor.
    """

    parameter: str
    factors: tuple[float, ...]
    optima: np.ndarray
    losses: dict[str, np.ndarray]

    @property
    def made(self) -> int:
        """The index of factor 1."""
        return self.factors.index(1.0)

    def percent(self, policy: str) -> np.ndarray:
        """Losses in percent of the optimum there, same shape; NaN where it is not positive."""
        optima = np.where(self.optima > 0, self.optima, np.nan)
        return 100 * self.losses[policy] / optima


def scaled(market: Market, parameter: str, factor: float) -> Market:
    """A market with a parameter multiplied by a factor in every regime; shares of informed takers stay at most 1."""
    most = 1.0 if parameter == "informed" else np.inf
    fields: dict[str, Any] = {}
    for name in PARAMETERS[parameter]:
        value = getattr(market, name)
        if value is not None:
            number = np.minimum(np.multiply(value, factor), most)
            fields[name] = tuple(number.tolist()) if number.ndim else float(number)
    return replace(market, **fields)


def parameters_of(market: Market) -> list[str]:
    """The parameters that a market has: those that are not zero."""
    return [name for name, fields in PARAMETERS.items() if any(market.by_regime(field).any() for field in fields)]


def made_for(problem: Problem) -> dict[str, QuoteTable]:
    """The quotes of formulas, of the best straight line and of the optimum, each made for this problem."""
    market, objective = problem.market, problem.objective
    gamma = objective.risk_aversion or DEFAULT_RISK_AVERSION
    line = reference_linear_skew(market, objective)
    formulas: dict[str, Policy] = {f"Avellaneda–Stoikov γ={gamma:g}": AvellanedaStoikov(gamma)}
    if known_in_continuous_time(market):
        formulas[f"GLFT finite γ={gamma:g}"] = GueantLehalleFernandezTapia(gamma, finite_horizon=True)
    return {
        **{name: formula.tabulate(market) for name, formula in formulas.items()},
        "best linear skew": linear_skew_table(market, line.half_spread, line.skew, line.lean),
        "exact optimum": reference_solution(market, objective).quotes,
    }


def losses(
    problem: Problem, parameter: str, factors: Iterable[float] = FACTORS, agents: dict[str, QuoteTable] | None = None
) -> Losses:
    """What policies made for each factor of a parameter lose at each of them.

    Args:
        problem: the problem at factor 1.
        parameter: one of PARAMETERS.
        factors: each > 0; 1 is added.
        agents: quotes of agents made for factor 1, by their name.

    Raises:
        TypeError, ValueError: an unknown parameter, or a factor is out of its range.
    """
    parameter = _validate.choice("parameter", parameter, PARAMETERS)
    chosen = sorted({1.0, *(_validate.real("--factor", factor, above=0) for factor in factors)})
    there = [Problem(scaled(problem.market, parameter, factor), problem.objective) for factor in chosen]
    optima = np.array([reference_solution(other.market, other.objective).optimum for other in there])
    found: dict[str, np.ndarray] = {}
    for assumed, maker in enumerate(there):
        own = dict(agents or {}) if chosen[assumed] == 1 else {}
        for name, quotes in {**made_for(maker), **own}.items():
            matrix = found.setdefault(name, np.full((len(chosen), len(chosen)), np.nan))
            matrix[assumed] = [optimum - _value(other, quotes) for optimum, other in zip(optima, there, strict=True)]
    return Losses(parameter, tuple(chosen), optima, found)


def _value(problem: Problem, quotes: QuoteTable) -> float:
    return evaluate_exactly(problem.market, problem.objective, quotes.clip(problem.market)).objective


def loss_rows(results: Sequence[Losses]) -> Rows:
    """What policies made for factor 1 lose at all factors, percent of the optimum there: a row per market."""
    rows = [["graded at", *results[0].losses]]
    for result in results:
        for column, factor in enumerate(result.factors):
            shares = (result.percent(policy)[result.made, column] for policy in result.losses)
            rows.append([f"{result.parameter} x {factor:g}", *(_percent(share, 2) for share in shares)])
    return rows


def matrix_rows(result: Losses, policy: str) -> Rows:
    """One policy's losses at every factor (columns), made for every factor (rows), percent of the optimum there."""
    rows = [["made for, graded at", *(f"{result.parameter} x {factor:g}" for factor in result.factors)]]
    for factor, line in zip(result.factors, result.percent(policy), strict=True):
        rows.append([f"{result.parameter} x {factor:g}", *(_percent(share, 3) for share in line)])
    return rows


def _percent(share: float, digits: int) -> str:
    return "–" if np.isnan(share) else f"{max(share, 0.0):.{digits}f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    Raises:
        TypeError, ValueError: an option is out of its range.
        OSError: the files cannot be written.
        ModuleNotFoundError: matplotlib is not installed.
    """
    options = _parser().parse_args(argv)
    from evaluate import folder, robustness_plot, style
    from evaluate.runs import load_runs

    runs = load_runs(options.runs) if options.runs else []
    if runs and options.env:
        raise ValueError("--env is for a matrix without runs: runs bring their own problem")
    problem = runs[0].problem if runs else problem_of(options.env)
    agents = {run.label: run.policy.tabulate(problem.market) for run in runs}
    out = folder.choose(options.out, "robustness", options.overwrite)
    results = [losses(problem, name, options.factor, agents) for name in parameters_of(problem.market)]
    print(console_table(loss_rows(results), headers=1, width=WIDTH))
    print("\nLoss in percent of the optimum of the market graded in, all made for the market as it is; exact.")
    with folder.publish(out) as new, style.styled():
        _write(new, results)
        figure = robustness_plot.plot_losses(results)
        for suffix in ("png", "svg"):
            (new / f"robustness.{suffix}").write_bytes(style.rendered(figure, suffix))
        folder.mark(new, {"report": "robustness", "market": problem.market.to_dict()})
    print(f"files: {out}")
    return 0


def _write(out: Path, results: Sequence[Losses]) -> None:
    parts = ["# Made for one market, graded in another", markdown_table(loss_rows(results))]
    for result in results:
        for policy in result.losses:
            parts += [f"## {result.parameter}: {policy}", markdown_table(matrix_rows(result, policy))]
    (out / "robustness.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8", newline="\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluate robustness", description=__doc__.split("\n\n")[1])
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="run folders of one problem, graded beside the baselines"
    )
    parser.add_argument("--env", metavar="ID", help="without runs: a registered environment")
    parser.add_argument(
        "--factor", nargs="+", type=float, default=FACTORS, metavar="X", help="factors (default: 0.5 0.8 1.25 2)"
    )
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: a new folder below reports/)")
    parser.add_argument("--overwrite", action="store_true", help="replace the report in --out")
    return parser
