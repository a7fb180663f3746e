"""Claim 6, continued: calm and toxic spells, which the maker sees (`mmenv/ToxicFlow-v0`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evaluate.article.bench import RISK_AVERSION
from evaluate.article.finding import Cell, Label, labels
from evaluate.article.ledger import ledger
from evaluate.text import number
from mmenv.closed_forms import asymptotic_glft, avellaneda_stoikov
from mmenv.envs.markets import toxic_flow
from mmenv.grading import reference_solution
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.problem import Problem
from mmenv.quotes import QuoteTable
from mmenv.solver import evaluate_exactly

REGIMES = ("calm", "toxic")
MAKERS = ("optimum", "as", "glft", "blind")


@dataclass(frozen=True)
class Spells:
    """What is found: facts, numbers of the prose, a table, and curves."""

    facts: dict[str, bool]
    values: dict[str, float]
    rows: list[list[Cell]]
    curves: dict[str, Any]


def spells() -> Spells:
    """How makers quote and what they earn in calm and in toxic flow.

    "blind" is the optimal maker of the twin market in which nobody knows anything, so that what differs from the
    optimum is protection against the informed and not against the toxic regime's other parameters.
    """
    problem = Problem.from_arguments(**toxic_flow())
    market, objective = problem.market, problem.objective
    nobody = replace(market, informed_share=0.0)
    tables = {
        "optimum": reference_solution(market, objective).quotes,
        "as": avellaneda_stoikov(market, RISK_AVERSION),
        "glft": asymptotic_glft(market, RISK_AVERSION),
        "blind": reference_solution(nobody, objective).quotes,
    }
    found = {name: _measure(market, objective, tables[name]) for name in MAKERS}
    wider, more = ({name: f[key][1] - f[key][0] for name, f in found.items()} for key in ("half_spread", "skew"))
    facts = {
        "spells_widen": wider["optimum"] > wider["blind"],
        "spells_skew": more["optimum"] > more["blind"],
        "blind_earn_less": all(
            f["profit"][1] < found["optimum"]["profit"][1] for name, f in found.items() if name != "optimum"
        ),
    }
    values = {f"spells_worth_{name}": f["worth"] for name, f in found.items()}
    values |= {f"percent_{name}": 100 * f["worth"] / found["optimum"]["worth"] for name, f in found.items()}
    for z, regime in enumerate(REGIMES):
        for key in ("half_spread", "skew", "markout", "profit"):
            values |= {f"{key}_{name}_{regime}": float(f[key][z]) for name, f in found.items()}
    n, weights = market.steps // 2, evaluate_exactly(market, objective, tables["optimum"]).visits
    curves = {
        "inventories": market.inventories,
        "quotes": {name: (table.bid_depth[n], table.ask_depth[n]) for name, table in tables.items()},
        "visits": weights[n] / weights[n].sum(axis=1, keepdims=True),
    }
    return Spells(facts, values, _rows(found), curves)


def _measure(market: Market, objective: Objective, quotes: QuoteTable) -> dict[str, Any]:
    """By regime: quotes of a flat maker at half time; fills and profit per unit of time in it; loss a fill."""
    n, flat = market.steps // 2, market.max_inventory
    bid, ask = quotes.bid_depth[n], quotes.ask_depth[n]
    centre = (ask - bid) / 2
    book = ledger(market, quotes)
    time = market.occupation * market.horizon
    return {
        "worth": evaluate_exactly(market, objective, quotes).objective,
        "half_spread": (ask + bid)[:, flat] / 2,
        "skew": centre[:, flat] - centre[:, flat + 1],
        "markout": book.markout_sum / book.fills,
        "fills": book.fills / time,
        "profit": book.profit / time,
        "paid": book.paid / np.maximum(book.ignorant_fills, np.finfo(float).tiny),
    }


def _rows(found: dict[str, dict[str, Any]]) -> list[list[Cell]]:
    keys = ("half_spread", "skew", "markout", "paid", "fills", "profit")
    names = ("half_spread", "skew_unit", "markout_one", "payer_paid", "fills_time", "profit_time")
    rows: list[list[Cell]] = [labels("maker", "flow_kind", *names, "worth")]
    for name, f in found.items():
        for z, regime in enumerate(REGIMES):
            cells = [number(float(f[key][z]), 2 if key in ("fills", "profit") else 4) for key in keys]
            rows.append([Label(name), Label(regime), *cells, number(f["worth"], 2)])
    return rows
