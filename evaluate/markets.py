"""`python -m evaluate markets`: every registered market, exactly: its ladder, its markouts, its quotes by regime."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents import AvellanedaStoikov, GueantLehalleFernandezTapia, RunError, load, shipped
from evaluate import entrants
from evaluate.ladder import Entrant
from evaluate.registered import full_id, problem_of
from evaluate.streaming import DEFAULT_RISK_AVERSION
from evaluate.text import Rows, console_table, markdown_table, number, skill
from mmenv.envs.registration import IDS
from mmenv.grading import grade, reference_solution
from mmenv.market import Market
from mmenv.markout import markout
from mmenv.problem import Problem
from mmenv.quotes import QuoteTable
from mmenv.solver import action_values, fill_probabilities

HORIZONS = (1, 10, 50)
WIDTH = 110


def field_of(problem: Problem) -> dict[str, Entrant]:
    """The policies whose quotes are compared: two formulas, the best straight line and the optimum, by key."""
    gamma = problem.objective.risk_aversion or DEFAULT_RISK_AVERSION
    formulas = [
        Entrant(f"Avellaneda–Stoikov γ={gamma:g}", "baseline", AvellanedaStoikov(gamma), "as"),
        Entrant(f"GLFT asymptotic γ={gamma:g}", "baseline", GueantLehalleFernandezTapia(gamma), "glft"),
    ]
    return {one.key: one for one in (*formulas, *entrants.linear_skew(problem), entrants.optimum(problem))}


def ladder_rows(problem: Problem, agents: Sequence[Entrant] = ()) -> Rows:
    """All baselines, agents and the optimum, graded exactly: a row for each policy, worst first."""
    rows: list[tuple[float, list[str]]] = []
    for one in (*entrants.baselines(problem), *agents, entrants.optimum(problem)):
        graded = grade(problem, one.policy)
        exact = graded.evaluation
        told = [number(graded.objective, 4), f"{graded.percent_of_optimum:.3f}", skill(graded.skill)]
        rest = (exact.profit_mean, exact.profit_std, exact.mean_spread)
        rows.append((graded.objective, [one.label, *told, *map(number, rest)]))
    rows.sort(key=lambda row: row[0])
    head = ["policy", "value", "% of optimum", "skill", "profit mean", "profit std", "mean spread"]
    return [head, *(row for _, row in rows)]


def markout_rows(problem: Problem, horizons: Sequence[int] = HORIZONS) -> Rows:
    """What a fill earns and what the mid then takes back, on average over fills of both sides, exactly."""
    market = problem.market
    rows = [["policy", "fills", "depth of a fill", *(f"markout, {h} step{'s'[: h > 1]}" for h in horizons)]]
    for one in field_of(problem).values():
        graded = grade(problem, one.policy)
        visits = graded.evaluation.visits[:-1]
        sides = fill_probabilities(market, graded.quotes)
        depths = (graded.quotes.bid_depth, graded.quotes.ask_depth)
        fills = [float(np.sum(visits * chance)) for chance in sides]
        earned = sum(
            float(np.sum(visits * chance * np.where(chance > 0, depth, 0.0)))
            for chance, depth in zip(sides, depths, strict=True)
        )
        against = np.average(np.stack(markout(market, graded.quotes, horizons)), axis=0, weights=fills)
        rows.append([one.label, number(sum(fills), 1), number(earned / sum(fills)), *map(number, against)])
    return rows


def agent_rows(agents: dict[str, list[Any]]) -> Rows:
    """Trained agents of all markets against the best straight line: a row for each market, its range over runs."""
    rows = [["market", "best straight line, %", "agents", "% of optimum", "largest gap, %", "skill", "beats the line"]]
    for name, policies in agents.items():
        problem = problem_of(name)
        grades = [grade(problem, policy) for policy in policies]
        if not grades:
            continue
        shares = sorted(one.percent_of_optimum for one in grades)
        line = 100 * grades[0].linear_skew / grades[0].optimum
        skills = sorted(one.skill for one in grades)
        beats = sum(one.objective > one.linear_skew for one in grades)
        rows.append([
            name.split("/")[1], f"{line:.4f}", str(len(grades)), _span(shares, "{:.4f}"), f"{100 - shares[0]:.4f}",
            _span(skills, "{:.3f}"), f"{beats} of {len(grades)}",
        ])  # fmt: skip
    return rows


def _span(values: Sequence[float], form: str) -> str:
    low, high = form.format(values[0]), form.format(values[-1])
    return low if low == high else f"{low} to {high}"


def gap_rows(agents: dict[str, list[Any]]) -> Rows:
    """Where the first agent of each market leaves its gap (equation 23 of docs/model.md): shares of it in percent."""
    head = ["market", "gap, %", "last 5 % of time", "10 % outermost inventories", "optimum quotes before the mid"]
    rows = [[*head, "another hedge than the optimum's"]]
    for name, policies in agents.items():
        problem = problem_of(name)
        if not policies or problem.objective.risk_aversion > 0:  # of a utility it does not add up
            continue
        solution = reference_solution(problem.market, problem.objective)
        graded = grade(problem, policies[0])
        visits = graded.evaluation.visits[:-1]
        lost = visits * (solution.value[:-1] - action_values(solution, graded.quotes))
        late = np.arange(problem.market.steps)[:, None, None] >= 0.95 * problem.market.steps
        before = np.minimum(solution.quotes.bid_depth, solution.quotes.ask_depth) < 0
        other = graded.quotes.held != solution.quotes.held
        told = [late, _outermost(visits, 0.1), before, *([other] if problem.market.hedges else [])]
        shares = [
            f"{100 * float(np.sum(lost, where=np.broadcast_to(part, lost.shape)) / lost.sum()):.0f}" for part in told
        ]
        rows.append([name.split("/")[1], f"{graded.gap_percent:.4f}", *shares, *["–"] * (4 - len(shares))])
    return rows


def _outermost(visits: np.ndarray, share: float) -> np.ndarray:
    """The inventories farthest from zero that are held at most that share of the time, shape (2Q+1,)."""
    held = visits.sum(axis=(0, 1)) / visits.sum()
    far = np.abs(np.arange(len(held)) - len(held) // 2)
    return np.array([held[far >= distance].sum() <= share for distance in far])


def mid_session(market: Market, table: QuoteTable) -> tuple[np.ndarray, np.ndarray]:
    """Bid and ask depths half-way through the session, in the box; shapes (regimes, 2Q+1), inf where not quoted."""
    clipped = table.clip(market)
    return clipped.bid_depth[market.steps // 2], clipped.ask_depth[market.steps // 2]


def regime_rows(problem: Problem) -> Rows:
    """Depths quoted flat and half-way through the session, regime by regime: bid / ask."""
    market = problem.market
    rows = [["quotes at q = 0: bid / ask depth", *(f"regime {z}" for z in range(market.regimes))]]
    for one in field_of(problem).values():
        bid, ask = mid_session(market, grade(problem, one.policy).quotes)
        at = market.max_inventory
        rows.append([one.label, *(f"{b:.3f} / {a:.3f}" for b, a in zip(bid[:, at], ask[:, at], strict=True))])
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    Raises:
        ValueError: an environment is not registered, or a run was trained in none of those shown.
        OSError: the files cannot be written.
        ModuleNotFoundError: matplotlib is not installed.
    """
    options = _parser().parse_args(argv)
    from evaluate import folder, markets_plot, style

    names = list(dict.fromkeys(map(full_id, options.env or IDS)))
    out = folder.choose(options.out, "markets", options.overwrite)
    agents = _agents(options.runs, names)
    parts = [("Trained agents", agent_rows(agents)), ("Where gaps lie", gap_rows(agents))]
    for name in names:
        problem, title = problem_of(name), name.split("/")[1]
        shown = [Entrant(policy.name, "agent", policy, policy.name) for policy in agents[name][:1]]
        parts.append((f"{title}: ladder", ladder_rows(problem, shown)))
        parts.append((f"{title}: markouts", markout_rows(problem)))
        parts.append((f"{title}: quotes by regime", regime_rows(problem)))
    for part, rows in parts:
        print(f"\n{part}\n\n{console_table(rows, headers=1, width=WIDTH)}")
    with folder.publish(out) as new, style.styled():
        text = "\n\n".join(f"## {part}\n\n{markdown_table(rows)}" for part, rows in parts)
        (new / "markets.md").write_text(text + "\n", encoding="utf-8", newline="\n")
        for name in names:
            problem, title = problem_of(name), name.split("/")[1].lower()
            _draw(new / f"{title}.svg", lambda problem=problem: markets_plot.plot_regimes(problem))  # type: ignore[misc]
            if problem.market.hedges:
                _draw(new / f"{title}-band.svg", lambda problem=problem: markets_plot.plot_band(problem))  # type: ignore[misc]
        folder.mark(new, {"report": "markets", "environments": names})
    print(f"\nfiles: {out}")
    return 0


def _draw(path: Path, plot: Callable[[], Any]) -> None:
    from evaluate import style

    path.write_bytes(style.rendered(plot(), "svg"))


def _agents(runs: Sequence[str], names: Sequence[str]) -> dict[str, list[Any]]:
    """Agents by the registered market they were trained in: those given, or the shipped ones.

    Raises:
        RunError: a run cannot be read, or was trained in none of these markets.
    """
    available = [one for one in shipped() if f"mmenv/{one}" in names]
    policies = [load(run) for run in (runs or available)]
    grouped: dict[str, list[Any]] = {}
    for name in names:
        problem = problem_of(name)
        key = problem.market, problem.objective
        grouped[name] = [policy for policy in policies if (policy.problem.market, policy.problem.objective) == key]
    shown = [policy for those in grouped.values() for policy in those]
    for run, policy in zip(runs, policies if runs else [], strict=True):
        if policy not in shown:
            raise RunError(f"runs must be of the markets {', '.join(names)}: {run!r} was trained in another")
    return grouped


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluate markets",
        description="Registered markets, exactly: ladders, markouts, quotes by regime.",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run folders, of any of the markets (default: shipped)")
    parser.add_argument("--env", nargs="+", metavar="ID", help="some of the registered ids (default: all)")
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: a new folder below reports/)")
    parser.add_argument("--overwrite", action="store_true", help="replace the report in --out")
    return parser
