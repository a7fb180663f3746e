"""Claim 4: slicing beats sweeping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evaluate.article import played
from evaluate.article.bench import Bench, Maker
from evaluate.article.chain import Chain, average, half_life
from evaluate.article.finding import Cell, Finding, Label, Verdict, labels
from evaluate.article.quoting import ROUNDING, after_purchase, event_study
from evaluate.article.trader import (
    best_plan,
    cheapest_instant_round_trip,
    even_slices,
    price_random_times,
    price_round_trip,
    price_schedule,
    threshold_plan,
)
from evaluate.metrics import Estimate
from evaluate.text import number, with_interval
from mmenv.objectives import RiskNeutral

SIZES = (5, 10, 20)
# Pauses between slices, as parts of the session.
PAUSES = (0.005, 0.01, 0.025, 0.05)
# A gain this small is no gain: it is less than a hundred-thousandth of the half-spread.
NOTHING = 1e-5


@dataclass(frozen=True)
class Costs:
    """What it costs to buy from a flat maker, per unit over the initial mid [price].

    Attributes:
        one: the first ask.
        sweep: all at once.
        even: in single units, evenly over the interval.
        random: each unit at a random time.
        threshold: a unit whenever it costs no more than the first ask did, the rest at the deadline.
        best: by the best plan that only buys.
        best_selling: by the best plan that may sell too.
        refused: the most units that the maker is expected to refuse under any of these.
    """

    one: float
    sweep: float
    even: float
    random: float
    threshold: float
    best: float
    best_selling: float
    refused: float


SCHEDULES = ("sweep", "even", "random", "threshold", "best", "best_selling")


def price_all(chain: Chain, first: int, last: int, units: int) -> Costs:
    """The cost of every schedule, exactly."""
    flat = chain.at(0)
    one = float(chain.ask_depth[first, flat])
    sweep = price_schedule(chain, first, 0, [(first, units)])
    even = price_schedule(chain, first, 0, evenly(first, last, units))
    random, refused = price_random_times(chain, first, last, 0, units)
    threshold, best, selling = [
        plan.cost(flat, units) / units
        for plan in (
            threshold_plan(chain, first, last, units, one),
            best_plan(chain, first, last, units),
            best_plan(chain, first, last, units, short=units, extra=units),
        )
    ]
    return Costs(
        one=one,
        sweep=sweep.per_unit,
        even=even.per_unit,
        random=random,
        threshold=threshold,
        best=best,
        best_selling=selling,
        refused=max(sweep.refused, even.refused, refused),
    )


def evenly(first: int, last: int, units: int) -> list[tuple[int, int]]:
    """Single units at even pauses that fill the interval."""
    return even_slices(first, units, units, (last - first) // max(units - 1, 1))


def without_flow(chain: Chain) -> Chain:
    """The same quotes in a market in which nobody else trades."""
    return replace(chain, bid_fill=0 * chain.bid_fill, ask_fill=0 * chain.ask_fill)


def asks_of_slices(chain: Chain, first: int, units: int, pause: int) -> tuple[np.ndarray, np.ndarray]:
    """Expected asks of single-unit slices: less the first, and less those without our own purchases [price]."""
    slices = even_slices(first, units, units, pause)
    asks = price_schedule(chain, first, 0, slices).asks
    steps = [n for n, _ in slices]
    untouched = chain.path(first, chain.start(0), steps[-1])
    alone = np.array([average(untouched[n - first], chain.ask_depth[n]) for n in steps])
    return asks - asks[0], asks - alone


def netting(chain: Chain, first: int, last: int, units: int) -> dict[str, float]:
    """Who takes the other side of a sweep: expected extra sellers, missing buyers, and what is left at the end."""
    bought, untouched = after_purchase(chain, first, units), chain.start(0)
    ours, theirs = (chain.path(first, chances, last) for chances in (bought, untouched))
    change, steps = (ours - theirs)[:-1], slice(first, last)
    return {
        "extra_sellers": float(np.sum(change * chain.bid_fill[steps])),
        "missing_buyers": float(-np.sum(change * chain.ask_fill[steps])),
        "left": float((theirs[-1] - ours[-1]) @ chain.market.inventories),
    }


@dataclass(frozen=True)
class Measured:
    """Everything that is measured for the claim.

    Attributes:
        costs: of every schedule, by maker and size of the order.
        mine: those of the page's order with the optimal maker.
        pauses: between slices [steps].
        asks: of the slices, less the first and less what they would be without us, by maker and pause.
        still: the cost per unit where nobody else trades.
        neutral: what slicing saves with a maker who does not mind risk.
        trips: what round trips cost and earn, by maker.
        simulated: the schedules played on tapes.
    """

    costs: dict[tuple[str, int], Costs]
    mine: Costs
    pauses: list[int]
    asks: dict[str, dict[int, tuple[np.ndarray, np.ndarray]]]
    still: float
    neutral: float
    trips: dict[str, dict[str, float]]
    simulated: dict[str, tuple]

    def lowest(self, panel: int) -> dict[str, float]:
        """The lowest of a maker's asks after the first slice: less the first (0), less what it would be (1)."""
        return {name: min(float(asks[panel][1:].min()) for asks in of.values()) for name, of in self.asks.items()}


def claim_4(bench: Bench) -> Finding:
    """Slicing beats sweeping."""
    found = _measure(bench)
    facts = _facts(found)
    verdict = Verdict.FAILS if not facts["saves"] else Verdict.HOLDS if facts["below_untouched"] else Verdict.OTHERWISE
    grids = {
        "costs": _cost_rows(found.costs),
        "simulated": _simulated_rows(found.mine, found.simulated),
        "trips": _trip_rows(found.trips),
    }
    return Finding(4, verdict, _numbers(bench, found), facts, grids, _curves(bench, found))


def _measure(bench: Bench) -> Measured:
    chain, first, last, units = bench.optimum.chain, bench.first, bench.last, bench.order
    costs = {(name, n): price_all(m.chain, first, last, n) for name, m in bench.makers.items() for n in SIZES}
    pauses = sorted({max(1, bench.steps(part)) for part in PAUSES})
    asks = {
        name: {pause: asks_of_slices(m.chain, first, units, pause) for pause in pauses}
        for name, m in bench.makers.items()
    }
    still = price_schedule(without_flow(chain), first, 0, evenly(first, last, units)).per_unit
    trips = {name: _round_trips(bench, m.chain) for name, m in bench.makers.items()}
    mine = costs["optimum", units]
    return Measured(costs, mine, pauses, asks, still, _neutral_saving(bench), trips, _simulated(bench, mine))


def _facts(found: Measured) -> dict[str, bool]:
    costs, mine, raw = found.costs.values(), found.mine, found.lowest(0)
    small = found.costs["optimum", SIZES[0]]
    return {
        "simulation_agrees": all(_agrees(getattr(mine, name), mean) for name, (mean, _) in found.simulated.items()),
        "saves": all(c.even < c.sweep - ROUNDING for c in costs),
        "below_first": min(raw.values()) < -ROUNDING,
        "below_first_optimum": raw["optimum"] < -ROUNDING,
        "below_untouched": min(found.lowest(1).values()) < -ROUNDING,
        "flow_needed": mine.sweep - found.still < (mine.sweep - mine.even) / 20,
        "selling_helps": max(c.best - c.best_selling for c in costs) > NOTHING,
        "blind_trip_pays": min(trip["blind"] for trip in found.trips.values()) < 0,
        "lucky_trip_pays": max(trip["best"] for trip in found.trips.values()) > NOTHING,
        "best_below_first": small.best < small.one,
    }


def _numbers(bench: Bench, found: Measured) -> dict[str, float]:
    """What the prose quotes."""
    mine, raw, neutral = found.mine, found.lowest(0), found.neutral
    chain, first, last, units = bench.optimum.chain, bench.first, bench.last, bench.order
    return {
        "units": units,
        "interval": bench.time(last - first),
        **{name: getattr(mine, name) for name in ("one", *SCHEDULES)},
        "saving": 100 * (mine.sweep - mine.even) / mine.sweep,
        "still": found.still,
        "flow_share": 100 * (1 - (mine.sweep - found.still) / (mine.sweep - mine.even)),
        "neutral_saving": abs(neutral) if abs(neutral) < ROUNDING else neutral,
        "as_cheaper": -raw["as"],
        "raw_optimum": raw["optimum"],
        "own_least": min(found.lowest(1).values()),
        "small": SIZES[0],
        "small_best": found.costs["optimum", SIZES[0]].best,
        "half_life": bench.time(half_life(event_study(chain, first, units))),
        "refused": max(c.refused for c in found.costs.values()),
        "trip_best_as": found.trips["as"]["best"],
        "trip_best_optimum": found.trips["optimum"]["best"],
        **netting(chain, first, last, units),
        "std_sweep": found.simulated["sweep"][1].value,
        "std_even": found.simulated["even"][1].value,
    }


def _curves(bench: Bench, found: Measured) -> dict[str, Any]:
    chain, first, last, units = bench.optimum.chain, bench.first, bench.last, bench.order
    return {
        "asks": found.asks,
        "still": asks_of_slices(without_flow(chain), first, units, found.pauses[-1]),
        "slices": _curves_over_slices(chain, first, units, found.pauses),
        "sizes": _curves_over_sizes(chain, first, last),
        "dt": bench.market.dt,
        "one": found.mine.one,
        "best": found.mine.best,
        "units": units,
    }


def _agrees(exact: float, simulated: Estimate) -> bool:
    """Whether an exact value lies within twice the 95 % interval, which it should but for once in 10,000 times."""
    return abs(exact - simulated.value) <= 2 * simulated.half_width + ROUNDING


def _neutral_saving(bench: Bench) -> float:
    """What slicing saves per unit with a risk-neutral maker whose inventory limit is too far away to be felt."""
    market = replace(bench.market, max_inventory=4 * bench.market.max_inventory)
    chain = Maker.optimal(market, RiskNeutral()).chain
    sweep = price_schedule(chain, bench.first, 0, [(bench.first, bench.order)])
    return sweep.per_unit - price_schedule(chain, bench.first, 0, evenly(bench.first, bench.last, bench.order)).per_unit


def _round_trips(bench: Bench, chain: Chain) -> dict[str, float]:
    """What a round trip costs at least: at one moment, at two fixed beforehand; and what the best plan earns."""
    stop = bench.market.steps - 1
    holding = np.arange(0, stop - bench.first + 1)
    blind = min(float(price_round_trip(chain, bench.first, 0, units, holding).min()) for units in (1, *SIZES[:-1]))
    best = best_plan(chain, 0, stop, 0, short=SIZES[0], extra=SIZES[0])
    return {"instant": cheapest_instant_round_trip(chain), "blind": blind, "best": -best.cost(chain.at(0), 0)}


def _simulated(bench: Bench, costs: Costs) -> dict[str, tuple]:
    chain, first, last, units = bench.optimum.chain, bench.first, bench.last, bench.order
    traders = {
        "sweep": played.fixed([(first, units)]),
        "even": played.fixed(evenly(first, last, units)),
        "random": played.at_random(first, last, units),
        "threshold": played.planned(chain, threshold_plan(chain, first, last, units, costs.one)),
        "best": played.planned(chain, best_plan(chain, first, last, units)),
    }
    return played.costs(bench, traders, {name: getattr(costs, name) for name in traders})


def _curves_over_slices(
    chain: Chain, first: int, units: int, pauses: Sequence[int]
) -> dict[int, tuple[list[int], list[float]]]:
    """Cost per unit against the number of slices, by pause."""
    numbers = list(range(1, units + 1))
    return {
        pause: (
            numbers,
            [price_schedule(chain, first, 0, even_slices(first, units, s, pause)).per_unit for s in numbers],
        )
        for pause in pauses
    }


def _curves_over_sizes(chain: Chain, first: int, last: int) -> dict[str, tuple[Sequence[int], list[float]]]:
    """Cost per unit against the size of the order, by schedule."""
    sizes = range(1, SIZES[-1] + 1)
    table = [price_all(chain, first, last, n) for n in sizes]
    return {name: (sizes, [getattr(costs, name) for costs in table]) for name in SCHEDULES[:-1]}


def _cost_rows(all_costs: dict[tuple[str, int], Costs]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [labels("maker", "order", "one", *SCHEDULES)]
    for (name, units), costs in all_costs.items():
        rows.append([Label(name), str(units), *(number(getattr(costs, key), 4) for key in ("one", *SCHEDULES))])
    return rows


def _simulated_rows(costs: Costs, simulated: dict[str, tuple]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [labels("schedule", "exact", "simulated", "std")]
    for name, (mean, std) in simulated.items():
        rows.append([Label(name), number(getattr(costs, name), 4), with_interval(mean), with_interval(std)])
    return rows


def _trip_rows(trips: dict[str, dict[str, float]]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [labels("maker", "trip_instant", "trip_blind", "trip_best")]
    for name, trip in trips.items():
        rows.append([Label(name), number(trip["instant"], 4), number(trip["blind"], 4), number(trip["best"], 5)])
    return rows
