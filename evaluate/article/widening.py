"""Claim 3: the maker also widens as inventory worsens. What the optimum does, and what widening is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from evaluate.article.bench import Bench, Maker
from evaluate.article.calibration import calibrated, mean_square_inventory
from evaluate.article.chain import Chain
from evaluate.article.families import Ablation, ablate
from evaluate.article.finding import Cell, Finding, Label, Verdict, labels
from evaluate.text import number
from mmenv.closed_forms import continuous_quotes
from mmenv.market import Market
from mmenv.objectives import ExponentialPenalty, Objective, QuadraticPenalty

# A nearly straight penalty and a steep one; both of `ExponentialPenalty`.
STRAIGHT_RATE = 0.01
STEEP_RATE = 0.8
# Widening counts as protection if it gains at least this part of what skewing and widening gain together.
MATERIAL = 0.1
SMALL_STEPS = 4
INVENTORIES = (0, 5, 10)


def settings(market: Market) -> dict[str, Market]:
    """Both fill laws and a smaller step."""
    return {
        "linear": replace(market, fill_law="linear"),
        "poisson": replace(market, fill_law="poisson"),
        "small": replace(market, fill_law="linear", steps=SMALL_STEPS * market.steps),
    }


def penalties(bench: Bench) -> dict[str, Objective]:
    """Penalties of different convexity and equal strength, by name; the suite's own first."""
    target = mean_square_inventory(bench.market, bench.optimum.quotes)
    kinds: dict[str, tuple[Callable[[float], Objective], float]] = {
        "straight": (lambda w: ExponentialPenalty(w, STRAIGHT_RATE), 50.0),
        "quadratic": (QuadraticPenalty, 0.1),
        "steep": (lambda w: ExponentialPenalty(w, STEEP_RATE), 0.05),
    }
    return {"own": bench.objective} | {
        name: calibrated(bench.market, kind, guess, target) for name, (kind, guess) in kinds.items()
    }


def claim_3(bench: Bench) -> Finding:
    """The maker also widens as inventory worsens."""
    markets, objectives = settings(bench.market), penalties(bench)
    spreads = {name: _spreads(markets, objective) for name, objective in objectives.items()}
    ablations = {
        (where, name): ablate(markets[where], objective)
        for where in markets
        for name, objective in objectives.items()
        if name == "own" or where == "linear"
    }
    own = {where: ablations[where, "own"].quotes for where in markets}
    trades = {where: _trades(Maker.of(markets[where], quotes["both"]).chain) for where, quotes in own.items()}
    alone = _trades(Maker.of(markets["linear"], own["linear"]["widening"]).chain)
    worst = max(1 - ablation.share("skew") for ablation in ablations.values())
    wider = {(name, where): spread[10] - spread[0] for name, rows in spreads.items() for where, spread in rows.items()}
    facts = {
        "as_widens": bool(np.nanmax(np.abs(np.diff(bench.makers["as"].chain.spread[:, 1:-1], axis=1))) > 1e-9),
        "always_widens": min(wider.values()) > 0,
        "material": worst >= MATERIAL,
        "trades_less": all(far["fills"] < near["fills"] for near, *_, far in trades.values()),
        "earns_more": all(far["earned"] > near["earned"] for near, *_, far in trades.values()),
        "alone_trades_less": alone[-1]["fills"] < alone[0]["fills"],
        "alone_earns_more": alone[-1]["earned"] > alone[0]["earned"],
    }
    values = _numbers(bench, spreads["own"], ablations["linear", "own"])
    values |= {"worst_gain": 100 * worst, "most_wider": max(wider.values()), "least_wider": min(wider.values())}
    grids = {
        "spreads": _spread_rows(spreads, objectives),
        "ablation": _ablation_rows(ablations),
        "trades": _trade_rows({**trades, "alone": alone}),
    }
    curves = {"spreads": spreads["own"], "inventories": bench.market.inventories, "ablations": ablations}
    return Finding(3, _verdict(facts), values, facts, grids, curves)


def _verdict(facts: dict[str, bool]) -> Verdict:
    if not facts["material"]:
        return Verdict.FAILS
    return Verdict.HOLDS if facts["always_widens"] and facts["trades_less"] else Verdict.OTHERWISE


def _numbers(bench: Bench, own: dict[str, dict[int, float]], first: Ablation) -> dict[str, float]:
    """What the prose quotes of the suite's own penalty: spreads by setting, and what skew and widening are worth."""
    return {
        "arrivals": bench.market.arrival_rate * bench.market.dt,
        "small_arrivals": bench.market.arrival_rate * bench.market.dt / SMALL_STEPS,
        **{f"wider_{where}": spread[10] - spread[0] for where, spread in own.items()},
        "spread": own["linear"][0],
        "skew": first.skew,
        "widening": first.widening,
        "both": first.both,
        "neither": first.neither,
        "skew_share": 100 * first.share("skew"),
        "widening_share": 100 * first.share("widening"),
    }


def _spreads(markets: dict[str, Market], objective: Objective) -> dict[str, dict[int, float]]:
    """The optimal spread by inventory 0 .. Q-1 in the middle of the session, by setting; and in continuous time."""
    tables = {where: Maker.optimal(market, objective).chain for where, market in markets.items()}
    market = markets["linear"]
    tables["continuous"] = Maker.of(market, continuous_quotes(market, objective)).chain
    return {
        where: {q: float(chain.spread[chain.market.steps // 2, chain.at(q)]) for q in range(market.max_inventory)}
        for where, chain in tables.items()
    }


def _trades(chain: Chain) -> list[dict[str, float]]:
    """Fills per unit of time, and what one earns over the mid, by inventory in the middle of the session."""
    n = chain.market.steps // 2
    rows = []
    for q in INVENTORIES:
        i = chain.at(q)
        bid, ask = chain.bid_fill[n, i], chain.ask_fill[n, i]
        earned = bid * chain.bid_depth[n, i] + ask * chain.ask_depth[n, i]
        rows.append({"fills": float(bid + ask) / chain.market.dt, "earned": float(earned / (bid + ask))})
    return rows


def _spread_rows(spreads: dict, objectives: dict[str, Objective]) -> list[list[Cell]]:
    wheres = ("linear", "poisson", "small", "continuous")
    rows: list[list[Cell]] = [labels("penalty", "convexity", "inventory", *wheres)]
    for name, objective in objectives.items():
        convexity = objective.running_penalty(10) / objective.running_penalty(5)
        for q in INVENTORIES:
            shown = [spreads[name][where][q] for where in wheres]
            if q:
                cells = [f"{value - spreads[name][where][0]:+.4f}" for value, where in zip(shown, wheres, strict=True)]
            else:
                cells = [number(value, 4) for value in shown]
            first: list[Cell] = [Label(f"penalty_{name}"), number(float(convexity), 2)] if not q else ["", ""]
            rows.append([*first, str(q), *cells])
    return rows


def _ablation_rows(ablations: dict[tuple[str, str], Ablation]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [
        labels("penalty", "setting", "neither", "widening", "skew", "both", "skew_gain", "rest_gain")
    ]
    for (where, name), a in ablations.items():
        values = [number(getattr(a, family), 4) for family in ("neither", "widening", "skew", "both")]
        shares = [f"{100 * a.share('skew'):.3f}", f"{100 * (1 - a.share('skew')):.3f}"]
        rows.append([Label(f"penalty_{name}"), Label(where), *values, *shares])
    return rows


def _trade_rows(trades: dict[str, list[dict[str, float]]]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [
        [Label("maker"), *(Label(key, {"q": q}) for key in ("fills_at", "earned_at") for q in INVENTORIES)]
    ]
    for name, row in trades.items():
        figures = [number(at["fills"], 1) for at in row] + [number(at["earned"], 4) for at in row]
        rows.append([Label("widening_only" if name == "alone" else f"optimum_{name}"), *figures])
    return rows
