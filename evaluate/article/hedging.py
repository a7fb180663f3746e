"""Claim 7: hedging, free and late in the plain market, and at a venue that costs something (`mmenv/Hedged-v0`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evaluate.article.bench import Bench, Maker
from evaluate.article.chain import Chain
from evaluate.article.families import best_constant
from evaluate.article.finding import Cell, Finding, Grid, Label, Verdict, labels
from evaluate.article.quoting import ROUNDING
from evaluate.text import number
from mmenv.envs.markets import hedged
from mmenv.market import Market
from mmenv.problem import Problem
from mmenv.quotes import QuoteTable
from mmenv.solver import evaluate_exactly, solve

LAGS = (0, 1, 2, 5, 10, 20, 50)
# A hedge that is this many steps late is looked at more closely.
LATE = 10
# What a unit costs at the venue, in the picture [price].
COSTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)


def claim_7(bench: Bench) -> Finding:
    """Hedged, the mid's moves do not matter to profit."""
    makers = {**bench.makers, "constant": Maker.of(bench.market, best_constant(bench.market, bench.objective)[1])}
    found = {name: _variance(bench, maker) for name, maker in makers.items()}
    problem = Problem.from_arguments(**hedged())
    at_venue = {name: _parts(problem, market, quotes) for name, (market, quotes) in venue_makers(problem).items()}
    facts = {
        "mean_same": max(f["mean_moved"] for f in found.values()) < ROUNDING,
        "adds_up": max(f["cross"] for f in found.values()) < ROUNDING,
        "mostly_mid": found["optimum"]["share"] > 50,
        "late_always_helps": all(f[f"std_{LATE}"] < f["std"] for f in found.values()),
        "venue_removes": at_venue["hedge_all"]["share"] < at_venue["hedge_never"]["share"] / 2,
        "venue_pays": at_venue["hedge_all"]["mean"] > at_venue["hedge_never"]["mean"],
        "optimum_waits": at_venue["hedge_best"]["paid"] < at_venue["hedge_all"]["paid"],
    }
    verdict = Verdict.HOLDS if facts["mean_same"] and facts["adds_up"] else Verdict.FAILS
    values = {f"{key}_{name}": value for name, f in {**found, **at_venue}.items() for key, value in f.items()}
    values |= {"lag": bench.time(1), "late": bench.time(LATE)}
    values |= {"cost": float(problem.market.hedge_cost or 0.0), "fixed_cost": problem.market.hedge_fixed_cost}
    grids = {"variance": _free_rows(bench, found), "venue": _venue_rows(at_venue)}
    return Finding(7, verdict, values, facts, grids, {"late": _late(bench, found), "venue": _by_cost(problem)})


def _free_rows(bench: Bench, found: Mapping[str, Mapping[str, float]]) -> Grid:
    head: list[Cell] = [*labels("maker", "profit", "variance", "from_mid", "std_unhedged", "std_hedged")]
    rows: list[list[Cell]] = [[*head, *(Label("std_lag", {"time": bench.time(lag)}) for lag in (1, LATE))]]
    for name, f in found.items():
        cells = [number(f["mean"], 2), number(f["std"] ** 2, 2), number(f["share"], 1)]
        rows.append([Label(name), *cells, *(number(f[key], 2) for key in ("std", "hedged", "std_1", f"std_{LATE}"))])
    return rows


def _venue_rows(found: Mapping[str, Mapping[str, float]]) -> Grid:
    rows: list[list[Cell]] = [labels("maker", "profit", "paid_venue", "variance", "from_mid", "std", "worth")]
    for name, f in found.items():
        cells = [number(f["mean"], 2), number(f["paid"], 2), number(f["std"] ** 2, 2), number(f["share"], 1)]
        rows.append([Label(name), *cells, number(f["std"], 2), number(f["value"], 2)])
    return rows


def _late(bench: Bench, found: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    return {
        name: {
            "lags": [bench.time(lag) for lag in LAGS],
            "std": [f[f"std_{lag}"] for lag in LAGS],
            "unhedged": f["std"],
        }
        for name, f in found.items()
    }


def _variance(bench: Bench, maker: Maker) -> dict[str, float]:
    """Profit's variance in two parts: the fills' (all that is left where the mid stands still) and the mid's."""
    still = replace(bench.market, volatility=0.0)
    moving, fixed = (evaluate_exactly(market, bench.objective, maker.quotes) for market in (bench.market, still))
    total, fills = moving.profit_std**2, fixed.profit_std**2
    mid = exposure_variance(maker.chain, None)
    return {
        "mean": moving.profit_mean,
        "mean_moved": abs(moving.profit_mean - fixed.profit_mean),
        "cross": abs(total - fills - mid) / total,
        "share": 100 * mid / total,
        "std": moving.profit_std,
        "hedged": fixed.profit_std,
        **{f"std_{lag}": float(np.sqrt(fills + exposure_variance(maker.chain, lag))) for lag in LAGS},
    }


def exposure_variance(chain: Chain, lag: int | None) -> float:
    """Variance of profit that comes from the mid if each fill is hedged at the mid `lag` steps later, free of cost.

    The mid is a martingale that fills know nothing of, so its moves are uncorrelated with each other and with what
    fills earn: the variance is sigma^2 dt sum E[(q' - q' of `lag` steps ago)^2], which is 0 at lag 0.

    Args:
        chain: the maker.
        lag: steps, >= 0, or None for no hedge at all.
    """
    market = chain.market
    q = market.inventories.astype(float)
    visits = chain.path(0, chain.start(0))
    squares = visits @ q**2
    total = float(squares[1:].sum())
    if lag is not None:
        # later[n] is E[q at n + lag | q at n], for every state.
        later = np.broadcast_to(q, (market.steps + 1, len(q)))
        for _ in range(lag):
            later = np.stack([chain.backward(n, later[n + 1]) for n in range(len(later) - 1)])
        joint = np.sum(visits[: len(later)] * q * later, axis=1)
        total += float(np.sum((squares[: len(later)] - 2 * joint)[max(1 - lag, 0) :]))
    return market.volatility**2 * market.dt * total


def venue_makers(problem: Problem) -> dict[str, tuple[Market, QuoteTable]]:
    """Makers next to a venue, by how they use it, each with the market that it trades in.

    Who hedges every fill quotes as is best for one to whom every fill costs what its hedge does, and is flat whenever
    it quotes; the optimum chooses when to hedge; the last one pays nothing.
    """
    market = problem.market
    every = (market.hedge_cost or 0.0) + market.hedge_fixed_cost
    free = replace(market, hedge_cost=0.0, hedge_fixed_cost=0.0)
    priced = replace(free, fee=market.fee + every)
    without = replace(market, hedge_cost=None, hedge_fixed_cost=0.0)
    return {
        "hedge_never": (without, solve(without, problem.objective).quotes),
        "hedge_best": (market, solve(market, problem.objective).quotes),
        "hedge_all": (market, solve(priced, problem.objective).quotes),
        "hedge_free": (free, solve(free, problem.objective).quotes),
    }


def _parts(problem: Problem, market: Market, quotes: QuoteTable) -> dict[str, float]:
    """A maker's profit, what it pays at the venue, and the part of its variance that comes from the mid, exactly."""
    moving = evaluate_exactly(market, problem.objective, quotes)
    still = evaluate_exactly(replace(market, volatility=0.0), problem.objective, quotes)
    paid = 0.0
    if quotes.hedge is not None:
        units = quotes.held - np.arange(quotes.held.shape[-1])
        paid = float(np.sum(moving.visits[:-1] * market.trade_cost(units)))
    return {
        "mean": moving.profit_mean,
        "std": moving.profit_std,
        "share": 100 * (1 - still.profit_std**2 / moving.profit_std**2),
        "std_mid": float(np.sqrt(moving.profit_std**2 - still.profit_std**2)),
        "paid": paid,
        "value": moving.objective,
    }


def _by_cost(problem: Problem) -> dict[str, Any]:
    """What the mid leaves and what is earned by what a unit costs at a venue without a fixed cost."""
    curves: dict[str, Any] = {"costs": COSTS, "std_mid": {}, "mean": {}}
    for cost in COSTS:
        market = replace(problem.market, hedge_cost=cost, hedge_fixed_cost=0.0)
        for name, (where, quotes) in venue_makers(Problem(market, problem.objective)).items():
            if name != "hedge_free":
                parts = _parts(problem, where, quotes)
                for key in ("std_mid", "mean"):
                    curves[key].setdefault(name, []).append(parts[key])
    return curves
