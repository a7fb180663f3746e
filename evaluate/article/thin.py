"""Claim 5: thin markets make it worse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from evaluate.article.bench import Bench, Maker
from evaluate.article.chain import Chain, half_life
from evaluate.article.finding import Cell, Finding, Label, Verdict, labels
from evaluate.article.quoting import event_study
from evaluate.article.slicing import SIZES, evenly
from evaluate.article.trader import best_plan, price_schedule
from evaluate.text import number

# How many times the plain market's takers there are.
THIN, DEEP = 0.25, 4.0
COLUMNS = ("flow", "one", "sweep", "even", "best", "surcharge", "share", "jump_one", "half_life")


def claim_5(bench: Bench) -> Finding:
    """Thin markets make it worse."""
    # One step length for all three, short enough for the deepest.
    fine = replace(bench.market, steps=bench.market.steps * int(DEEP))
    flows = {"thin": THIN, "plain": 1.0, "deep": DEEP}
    found, curves = {}, {}
    for name, factor in flows.items():
        market = replace(fine, arrival_rate=fine.arrival_rate * factor)
        found[name], curves[name] = _measure(bench, Maker.optimal(market, bench.objective).chain)
    thin, plain, deep = found.values()
    tests = {"surcharge": "surcharge", "cost": "even", "recovery": "half_life", "jump": "jump_one"}
    facts = {fact: thin[key] > plain[key] > deep[key] for fact, key in tests.items()}
    values = {f"{key}_{name}": value for name, costs in found.items() for key, value in costs.items()}
    values |= {"units": bench.order, "thin_flow": THIN, "deep_flow": DEEP, "times_flow": DEEP / THIN}
    values["times_jump"] = thin["jump_one"] / deep["jump_one"]
    values["times_half_life"] = thin["half_life"] / deep["half_life"]
    rows: list[list[Cell]] = [labels("market", *COLUMNS)]
    for name, costs in found.items():
        rows.append([Label(name), *(number(costs[key], 1 if key in ("flow", "share") else 4) for key in COLUMNS)])
    verdict = Verdict.HOLDS if all(facts.values()) else Verdict.FAILS
    return Finding(5, verdict, values, facts, {"markets": rows}, curves)


def _measure(bench: Bench, chain: Chain) -> tuple[dict[str, float], dict[str, Any]]:
    """What an order costs in one of the markets and how its quotes recover; and the curves of both."""
    market = chain.market
    first, last = market.steps // 4, 3 * market.steps // 4
    one = float(chain.ask_depth[first, chain.at(0)])
    sizes = list(range(1, SIZES[-1] + 1))
    sweep = {n: price_schedule(chain, first, 0, [(first, n)]).per_unit for n in sizes}
    even = {n: price_schedule(chain, first, 0, evenly(first, last, n)).per_unit for n in sizes}
    event = event_study(chain, first, bench.event)
    others = chain.path(first, chain.start(0), last - 1)
    volume = float(np.sum(others * (chain.bid_fill + chain.ask_fill)[first:last]))
    units = bench.order
    costs = {
        "flow": market.arrival_rate,
        "one": one,
        "sweep": sweep[units],
        "even": even[units],
        "best": best_plan(chain, first, last, units).cost(chain.at(0), units) / units,
        "surcharge": sweep[units] - one,
        "share": 100 * units / (units + volume),
        "jump_one": float(event[0]) / bench.event,
        "half_life": half_life(event) * market.dt,
    }
    curves = {
        "sizes": sizes,
        "surcharge": [cost - one for cost in sweep.values()],
        "even": [cost - one for cost in even.values()],
        "event": event,
        "dt": market.dt,
    }
    return costs, curves
