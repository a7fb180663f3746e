"""Markets, objectives and quotes that several tests share, and transformations of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmenv import ExponentialPenalty, ExponentialUtility, Market, Objective, QuadraticPenalty, QuoteTable, RiskNeutral
from mmenv.quotes import quote_table

LAWS = ("linear", "poisson")


def random_market(rng: np.random.Generator, steps: int = 60, max_inventory: int = 6) -> Market:
    """A market of varied parameters: 0.02 to 3 expected arrivals per step, boxes of all positions and widths."""
    horizon, n = float(np.exp(rng.uniform(-1, 1))), int(rng.integers(1, steps + 1))
    decay, low = float(np.exp(rng.uniform(-1, 2))), float(rng.uniform(-1.5, 0.3))
    return Market(
        volatility=float(rng.uniform(0, 4) / decay),
        horizon=horizon,
        steps=n,
        arrival_rate=float(np.exp(rng.uniform(-4, 1.1))) * n / horizon,
        depth_decay=decay,
        max_inventory=int(rng.integers(1, max_inventory + 1)),
        min_depth=low / decay,
        max_depth=(low + float(rng.uniform(1, 6))) / decay,
        fill_law=str(rng.choice(LAWS)),
    )


def random_objective(rng: np.random.Generator, market: Market) -> Objective:
    """An objective of a strength that matters in `market`."""
    price = 1 / market.depth_decay
    weight, terminal = price * float(np.exp(rng.uniform(-3, 1))), price * float(rng.uniform(0, 2))
    kind = rng.integers(4)
    if kind == 0:
        return ExponentialPenalty(
            weight=weight / market.horizon, rate=float(rng.uniform(0, 1)), terminal_weight=terminal
        )
    if kind == 1:
        return QuadraticPenalty(weight=weight / market.horizon, terminal_weight=terminal)
    if kind == 2:
        return RiskNeutral()
    return ExponentialUtility(float(np.exp(rng.uniform(-3, 0.5))) / price)


def random_quotes(rng: np.random.Generator, market: Market) -> QuoteTable:
    """Independent depths in every state, in the box and a little beyond it."""
    low, width = market.min_depth, market.max_depth - market.min_depth
    bid, ask = low + width * rng.uniform(-0.1, 1.1, size=(2, *market.grid_shape))
    return quote_table(bid, ask)


def scaled(market: Market, objective: Objective, factor: float) -> tuple[Market, Objective]:
    """The same problem with prices measured in another unit: all answers are `factor` times as large."""
    prices = ("initial_mid", "volatility", "min_depth", "max_depth")
    market = replace(
        market,
        **{name: getattr(market, name) * factor for name in prices},
        depth_decay=market.depth_decay / factor,
    )
    if isinstance(objective, ExponentialUtility):
        return market, ExponentialUtility(objective.risk_aversion / factor)
    if isinstance(objective, ExponentialPenalty | QuadraticPenalty):
        weights = {"weight": objective.weight * factor, "terminal_weight": objective.terminal_weight * factor}
        return market, replace(objective, **weights)
    return market, objective


def mirrored(quotes: QuoteTable) -> QuoteTable:
    """The quotes of the market seen in a mirror: inventory reversed, sides swapped."""
    return QuoteTable(quotes.ask_depth[..., ::-1], quotes.bid_depth[..., ::-1])


# Parameter sets on which simulation is compared with exact values: paper's market under both laws and all
# objectives, then one feature after another. The objective's value is well away from zero in all of them.
SETS: dict[str, tuple[Market, Objective]] = {
    "paper": (Market(), ExponentialPenalty()),
    "paper, poisson": (Market(fill_law="poisson"), ExponentialPenalty()),
    "paper, CARA": (Market(), ExponentialUtility(0.1)),
    "paper, CARA, poisson": (Market(fill_law="poisson"), ExponentialUtility(0.1)),
    "paper, CARA, nearly neutral": (Market(), ExponentialUtility(0.01)),
    "quadratic penalty": (Market(steps=100), QuadraticPenalty(0.5)),
    "strong terminal penalty": (Market(steps=100), ExponentialPenalty(terminal_weight=2)),
    "risk-neutral, limit felt": (Market(steps=60, horizon=0.3, max_inventory=4), RiskNeutral()),
    "one unit": (Market(steps=100, horizon=0.5, max_inventory=1), ExponentialPenalty()),
    "volatile": (Market(steps=100, volatility=6), QuadraticPenalty(1.0)),
    "certain fills": (Market(steps=40), ExponentialPenalty(weight=3)),
    "many orders a step, poisson, CARA": (Market(steps=50, fill_law="poisson"), ExponentialUtility(0.1)),
    "box that binds": (Market(steps=80, horizon=0.4, min_depth=0.8, max_depth=1.0), ExponentialPenalty()),
    "steep decay, CARA": (
        Market(steps=80, horizon=0.4, depth_decay=4, arrival_rate=300, volatility=1, min_depth=-0.3, max_depth=1.2),
        ExponentialUtility(0.5),
    ),
    "large prices": scaled(Market(steps=100, fill_law="poisson"), ExponentialPenalty(), 250.0),
    "few steps": (Market(steps=12, horizon=0.2, max_inventory=5), QuadraticPenalty(2.0, terminal_weight=0.1)),
}


def symmetric(market: Market, spread: float) -> QuoteTable:
    """The same depth on both sides in every state."""
    half = np.full(market.grid_shape, spread / 2)
    return quote_table(half, half)


def suboptimal(market: Market, optimal: QuoteTable, spread: float) -> dict[str, QuoteTable]:
    """Three policies that are not optimal, and not hopeless: two lean too little or too much, one makes errors."""
    errors = np.random.default_rng(3).uniform(-0.4, 0.4, size=(2, *market.grid_shape)) / market.depth_decay
    sides = [np.where(np.isfinite(side), side, 0.0) for side in (optimal.bid_depth, optimal.ask_depth)]
    lean = [side - spread / 2 for side in sides]
    return {
        "leaning too little": quote_table(*(side - 0.3 * by for side, by in zip(sides, lean, strict=True))),
        "leaning too much": quote_table(*(side + 0.5 * by for side, by in zip(sides, lean, strict=True))),
        "with errors": quote_table(*(side + error for side, error in zip(sides, errors, strict=True))),
    }
