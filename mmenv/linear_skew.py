"""The straight line that skill is measured from: quotes linear in inventory, and the best of them.

A linear skew quotes half_spread + skew q below the mid and half_spread - skew q above it (equation 32 of
docs/model.md), so a positive skew sells inventory off. It is two numbers, which makes it the natural zero of
a scale of skill; the best two are found here by a search over exact evaluations.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mmenv.fitting import maximise, objectives_of
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import QuoteTable, quote_table

# The net of lines from which the search starts.
SKEWS = 12
LEVELS_INSIDE = 16
LEVELS_OUTSIDE = 6

# Kinks are sharp only where much time is spent: at inventories up to this one.
RIDGES = 4


class LinearSkewFit(NamedTuple):
    """The best linear skew: its two numbers [price, price / unit] and the objective it reaches [price]."""

    half_spread: float
    skew: float
    objective: float


def linear_skew_table(market: Market, half_spread: float, skew: float) -> QuoteTable:
    """The quotes of a linear skew in every state, unclipped (equation 32 of docs/model.md).

    Args:
        market: the market; its box of depths is ignored.
        half_spread: depth of both quotes at q = 0 [price].
        skew: what a unit of inventory adds to the bid depth and takes from the ask depth [price / unit].
    """
    bid, ask = (np.broadcast_to(half_spread + sign * skew * market.inventories, market.grid_shape) for sign in (1, -1))
    return quote_table(bid, ask)


def best_linear_skew(market: Market, objective: Objective) -> LinearSkewFit:
    """The linear skew that maximises an objective, once its quotes are clipped to the market's box of depths.

    A net over all lines that differ within the box finds where to look; stars of candidates around its best
    points, turned and rescaled from round to round, then climb to the top: the objective has kinks where a
    quote meets the box or fills with certainty, so no derivative is used. Deterministic.

    Args:
        market: the market.
        objective: the objective.

    Raises:
        ValueError: a penalty of the objective overflows in this market.
    """
    objective.check(market)

    def objectives(lines: np.ndarray) -> np.ndarray:
        return _clipped_objectives(market, objective, lines)

    net, spacing = _net(market)
    # In these directions the quotes of one inventory stay where they are, at the end of the box for example.
    steady = [(float(q), sign) for q in range(1, min(market.max_inventory, RIDGES) + 1) for sign in (1.0, -1.0)]
    ridges = np.array([(1.0, 0.0), (0.0, 1.0), *steady])
    (half_spread, skew), value = maximise(objectives, net, spacing, ridges)
    return LinearSkewFit(float(half_spread), float(skew), float(value))


def _net(market: Market) -> tuple[np.ndarray, np.ndarray]:
    """Lines (half_spread, skew) spread over all that matter, and the spacing around each; shapes (lines, 2).

    A skew beyond the width of the box takes a quote from end to end within a unit of inventory; a half-spread
    further from the box than skew * Q leaves every quote clipped.
    """
    low, high = _depths_that_matter(market)
    width, limit = high - low, market.max_inventory
    inside = np.linspace(low, high, LEVELS_INSIDE)
    beyond = np.linspace(0, 1, LEVELS_OUTSIDE + 1) ** 2
    steep = np.geomspace(width / (64 * limit), 2 * width, SKEWS)
    points, spacings = [], []
    for skew in np.concatenate([[0.0], steep, -steep[::-3]]):
        outside = abs(skew) * limit * beyond
        gaps = np.maximum(np.diff(outside), width / LEVELS_INSIDE)
        half_spread = np.concatenate([inside, high + outside[1:], low - outside[1:]])
        points.append(np.stack(np.broadcast_arrays(half_spread, skew), axis=1))
        across = np.concatenate([np.full(LEVELS_INSIDE, inside[1] - inside[0]), gaps, gaps])
        spacings.append(np.stack(np.broadcast_arrays(across, max(abs(skew), steep[0])), axis=1))
    return np.concatenate(points), np.concatenate(spacings)


def _depths_that_matter(market: Market) -> tuple[float, float]:
    """The part of the box between a nearly certain fill in a step and an unlikely one in a whole session [price]."""
    log_arrivals, k = market.law.log_arrivals, market.depth_decay
    low = max(market.min_depth, (log_arrivals - 2) / k)
    high = min(market.max_depth, (log_arrivals + math.log(market.steps) + 2) / k)
    return (low, high) if low < high else (market.min_depth, market.max_depth)


def _clipped_objectives(market: Market, objective: Objective, lines: np.ndarray) -> np.ndarray:
    """The objective of lines (half_spread, skew), clipped to the box; shape (lines, 2) to (lines,)."""
    half_spread, skew = lines[:, 0, None, None], lines[:, 1, None, None]
    lean = skew * market.inventories
    bid, ask = (np.clip(half_spread + side, market.min_depth, market.max_depth) for side in (lean, -lean))
    shape = (market.steps, *bid.shape)
    return objectives_of(market, objective, np.broadcast_to(bid, shape), np.broadcast_to(ask, shape))
