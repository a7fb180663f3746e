"""Hypothesis strategies: any valid market and objective, and invalid values of every field."""

from __future__ import annotations

import itertools
import math
from typing import Any

from hypothesis import strategies as st

from mmenv import ExponentialPenalty, ExponentialUtility, Market, Objective, QuadraticPenalty, RiskNeutral

NAN, INF = math.nan, math.inf
NOT_NUMBERS = ["2", None, True, [1.0], 1j]
NOT_FINITE = [NAN, INF, -INF, 1e101, 10**400]

# What each field refuses, as type and as value.
BAD_FIELDS: dict[str, list[Any]] = {
    "initial_mid": NOT_NUMBERS + NOT_FINITE + [-1e300],
    "volatility": NOT_NUMBERS + NOT_FINITE + [-1e-9, -2],
    "horizon": NOT_NUMBERS + NOT_FINITE + [0, 0.0, -1, 1e-300],
    "steps": [*NOT_NUMBERS, NAN, INF, 0, -3, 200.0, 1.5],
    "arrival_rate": NOT_NUMBERS + NOT_FINITE + [-1],
    "depth_decay": NOT_NUMBERS + NOT_FINITE + [0, -1.5, 1e-200],
    "max_inventory": [*NOT_NUMBERS, NAN, INF, 0, -1, 3.0],
    "min_depth": NOT_NUMBERS + NOT_FINITE,
    "max_depth": NOT_NUMBERS + NOT_FINITE,
    "fill_law": ["Linear", "poison", "", None, 1, ["linear"]],
}
BAD_OBJECTIVE_FIELDS: list[tuple[type[Objective], str, Any]] = [
    (kind, name, value)
    for kind, names in (
        (ExponentialPenalty, ("weight", "rate", "terminal_weight")),
        (QuadraticPenalty, ("weight", "terminal_weight")),
        (ExponentialUtility, ("risk_aversion",)),
    )
    for name in names
    for value in NOT_NUMBERS + NOT_FINITE + [-0.1] + ([0, 1e-200] if kind is ExponentialUtility else [])
]


def sizes(smallest: float, largest: float) -> st.SearchStrategy[float]:
    """Positive numbers over many orders of magnitude."""
    return st.floats(math.log(smallest), math.log(largest)).map(math.exp)


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Any market: numbers over twenty orders of magnitude, expected arrivals a step from none to 10^6."""
    horizon, steps = draw(sizes(1e-10, 1e10)), draw(st.integers(1, 12))
    arrivals = draw(st.one_of(st.just(0.0), sizes(1e-12, 1e6)))
    price = draw(sizes(1e-10, 1e10))
    low = draw(st.floats(-50, 50))
    return Market(
        initial_mid=draw(st.floats(-1e12, 1e12)),
        volatility=price * draw(st.one_of(st.just(0.0), sizes(1e-6, 1e6))),
        horizon=horizon,
        steps=steps,
        arrival_rate=arrivals * steps / horizon,
        depth_decay=1 / price,
        max_inventory=draw(st.integers(1, 12)),
        min_depth=price * low,
        max_depth=price * (low + draw(sizes(1e-3, 100))),
        fill_law=draw(st.sampled_from(["linear", "poisson"])),
    )


@st.composite
def rich_markets(draw: st.DrawFn) -> Market:
    """Any market with regimes, drift, unlike sides, informed takers, fees, ticks, fill curves and a hedge venue."""
    regimes, steps = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    horizon, price = draw(sizes(1e-6, 1e6)), draw(sizes(1e-6, 1e6))
    low, width = draw(st.floats(-20, 20)), draw(sizes(1e-2, 50))

    def each(numbers: st.SearchStrategy[float], unit: float) -> Any:
        values = [unit * draw(numbers) for _ in range(regimes)]
        return values if regimes > 1 else values[0]

    arrivals, decays = st.one_of(st.just(0.0), sizes(1e-9, 1e4)), sizes(0.1, 10)
    options: dict[str, Any] = {}
    if draw(st.booleans()):
        options["tick"] = price * width / draw(st.integers(1, 40))
    if draw(st.booleans()):
        options["hedge_cost"] = price * draw(sizes(1e-4, 10))
        options["hedge_fixed_cost"] = price * draw(st.one_of(st.just(0.0), sizes(1e-4, 10)))
    if draw(st.booleans()):
        options["informed_share"] = each(st.floats(0, 1), 1.0)
        options["informed_jump"] = each(sizes(1e-4, 100), price)
    if regimes > 1:
        leaving = st.one_of(st.just(0.0), sizes(1e-3, 1e3)).map(lambda rate: rate / horizon)
        rates = [[0.0 if i == j else draw(leaving) for j in range(regimes)] for i in range(regimes)]
        for i, row in enumerate(rates):
            row[i] = -sum(row)
        options |= {"transition_rates": rates, "initial_regime": draw(st.integers(0, regimes - 1))}
    return Market(
        initial_mid=price * draw(st.floats(-1e4, 1e4)),
        volatility=each(st.one_of(st.just(0.0), sizes(1e-4, 1e4)), price),
        drift=each(st.floats(-100, 100), price / horizon),
        horizon=horizon,
        steps=steps,
        bid_arrival_rate=each(arrivals, steps / horizon),
        ask_arrival_rate=each(arrivals, steps / horizon),
        bid_depth_decay=each(decays, 1 / price),
        ask_depth_decay=each(decays, 1 / price),
        max_inventory=draw(st.integers(1, 6)),
        min_depth=price * low,
        max_depth=price * (low + width),
        fill_law=draw(st.sampled_from(["linear", "poisson"])),
        fill_curve=draw(curves(price)),
        fee=price * draw(st.floats(-1, 1)),
        fee_rate=draw(st.floats(-0.01, 0.01)),
        **options,
    )


@st.composite
def curves(draw: st.DrawFn, price: float) -> Any:
    """Any fill curve."""
    kind = draw(st.sampled_from(["exponential", "power", "table"]))
    if kind == "power":
        return {"name": "power", "scale": price * draw(sizes(0.1, 10)), "exponent": draw(sizes(1.1, 10))}
    if kind == "table":
        depths = [0.0, *itertools.accumulate(price * draw(sizes(0.1, 2)) for _ in range(3))]
        falls = [0.0, *itertools.accumulate(draw(st.floats(0, 2)) for _ in range(3))]
        return {"name": "table", "depths": depths, "factors": [math.exp(-fall) for fall in falls]}
    return kind


@st.composite
def objectives(draw: st.DrawFn) -> Objective:
    """Any objective: no penalty at all, up to penalties of the order of 10^40."""
    weight = st.one_of(st.just(0.0), sizes(1e-20, 1e20))
    return draw(
        st.one_of(
            st.builds(ExponentialPenalty, weight=weight, rate=st.floats(0, 4), terminal_weight=weight),
            st.builds(QuadraticPenalty, weight=weight, terminal_weight=weight),
            st.just(RiskNeutral()),
            st.builds(ExponentialUtility, risk_aversion=sizes(1e-12, 1e12)),
        )
    )
