"""The straight line that skill is measured from: quotes linear in inventory, and the best of them.

A linear skew quotes half_spread + skew q below the mid and half_spread - skew q above it (equation 32 of
docs/model.md), so a positive skew sells inventory off. It is two numbers, which makes it the natural zero of
a scale of skill; the best two are found here by a search over exact evaluations. In a market of several regimes
each regime has a line of its own; and where the market is not its own mirror image, a third number, the lean,
shifts both quotes the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mmenv.fitting import ascend, climb, maximise, objectives_of
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import QuoteTable, quote_table
from mmenv.regimes import PerRegime
from mmenv.solver import solve, state_visits

# The net of lines from which the search starts.
SKEWS = 12
LEVELS_INSIDE = 16
LEVELS_OUTSIDE = 6

# Kinks are sharp only where much time is spent: at inventories up to this one.
RIDGES = 4

# How far lines of several regimes may have to go from where they start, in widths of the box, and in the last climb.
FIRST_CLIMB = 1 / 16
LAST_CLIMB = FIRST_CLIMB / 20
TINY = np.finfo(float).tiny


class LinearSkewFit(NamedTuple):
    """The best linear skew: its numbers [price, price / unit, price] and the objective it reaches [price].

    In a market of several regimes, half_spread, skew and lean are tuples with one number per regime.
    """

    half_spread: float | tuple[float, ...]
    skew: float | tuple[float, ...]
    objective: float
    lean: float | tuple[float, ...] = 0.0


def linear_skew_table(market: Market, half_spread: PerRegime, skew: PerRegime, lean: PerRegime = 0.0) -> QuoteTable:
    """The quotes of a linear skew in every state, unclipped (equation 32 of docs/model.md).

    Args:
        market: the market; its box of depths is ignored.
        half_spread: depth of both quotes at q = 0 [price].
        skew: what a unit of inventory adds to the bid depth and takes from the ask depth [price / unit].
        lean: added to the bid depth and taken from the ask depth [price].

    Raises:
        ValueError: a number per regime is given, but not for every regime.
    """
    for name, value in (("half_spread", half_spread), ("skew", skew), ("lean", lean)):
        if np.ndim(value) and np.shape(value) != (market.regimes,):
            raise ValueError(f"{name} must be one number or one for each of {market.regimes} regimes, got {value!r}")
    lines = np.stack(np.broadcast_arrays(half_spread, skew, lean, np.zeros(market.regimes))[:3], axis=-1)
    bid, ask = (np.broadcast_to(side[0], market.grid_shape) for side in _depths(market, lines[None]))
    return quote_table(bid, ask)


def best_linear_skew(market: Market, objective: Objective, near: QuoteTable | None = None) -> LinearSkewFit:
    """The linear skew that maximises an objective, once its quotes are in the market's box and on its ticks.

    Two numbers are found by covering all lines that differ within the box with a net and climbing from its best
    points. More numbers, of several regimes or of a market that is not its own mirror image, are found by going
    up slopes from two places, the best common line of the net and the lines nearest to the optimal quotes; a last
    climb without slopes finishes what kinks have stopped: the objective has some where a quote meets the box or
    fills with certainty. Deterministic.

    Args:
        market: the market.
        objective: the objective.
        near: the optimal quotes, if they are known; they are solved for where they are needed.

    Raises:
        ValueError: a penalty of the objective overflows in this market.
    """
    objective.check(market)

    def objectives(lines: np.ndarray) -> np.ndarray:
        lines = np.pad(lines, ((0, 0), (0, 1)))[:, None]
        return _clipped_objectives(market, objective, np.repeat(lines, market.regimes, axis=1))

    net, spacing = _net(market)
    if market.regimes == 1 and market.mirrored:
        # In these directions the quotes of one inventory stay where they are, at the end of the box for example.
        steady = [(float(q), sign) for q in range(1, min(market.max_inventory, RIDGES) + 1) for sign in (1.0, -1.0)]
        ridges = np.array([(1.0, 0.0), (0.0, 1.0), *steady])
        (half_spread, skew), value = maximise(objectives, net, spacing, ridges)
        return LinearSkewFit(float(half_spread), float(skew), float(value))
    common = np.append(net[np.argmax(objectives(net))], 0.0)
    optimal = solve(market, objective).quotes if near is None else near
    starts = np.tile(common, (market.regimes, 1)), _nearest_lines(market, optimal)
    lines, value = _best_lines(market, objective, starts)
    numbers = [tuple(map(float, column)) if market.regimes > 1 else float(column[0]) for column in lines.T]
    return LinearSkewFit(numbers[0], numbers[1], float(value), numbers[2])


def _best_lines(market: Market, objective: Objective, starts: Iterable[np.ndarray]) -> tuple[np.ndarray, float]:
    """The best lines of all regimes, from and to shape (regimes, 3); the lean only where it matters."""
    numbers = 2 if market.mirrored else 3
    low, high = _depths_that_matter(market)
    width = np.tile(np.array([1.0, 0.25, 1.0])[:numbers] * (high - low), market.regimes)

    def lines(points: np.ndarray) -> np.ndarray:
        return np.pad(points.reshape(-1, market.regimes, numbers), ((0, 0), (0, 0), (0, 3 - numbers)))

    def objectives(points: np.ndarray, market: Market = market) -> np.ndarray:
        return _clipped_objectives(market, objective, lines(points))

    smooth = replace(market, tick=None)  # between ticks there are no slopes
    points = [start[:, :numbers].ravel() for start in starts]
    points += [ascend(lambda at: objectives(at, smooth), point, FIRST_CLIMB * width) for point in points]
    if market.regimes == 1:  # few numbers: it costs little to climb without slopes from the first too
        points += [climb(objectives, at, objectives(at[None])[0], FIRST_CLIMB * width)[0] for at in points[:2]]
    values = objectives(np.stack(points))
    top = int(np.argmax(values))
    best, value = climb(objectives, points[top], values[top], np.maximum(LAST_CLIMB * width, market.tick or 0.0))
    return lines(best)[0], value


def _nearest_lines(market: Market, quotes: QuoteTable) -> np.ndarray:
    """The line of each regime nearest to given quotes, by least squares over the visits to states, (regimes, 3)."""
    visits = state_visits(market, quotes)[:-1]
    q, one = market.inventories.astype(float), np.ones(2 * market.max_inventory + 1)
    terms = np.concatenate([np.stack([one, q, one], axis=1), np.stack([one, -q, -one], axis=1)])
    depths = np.concatenate([quotes.bid_depth, quotes.ask_depth], axis=2)
    quoted = np.concatenate(quotes.quoted, axis=2)
    weights = quoted * np.tile(visits, 2)
    total = weights.sum(axis=0)
    mean = (weights * np.where(quoted, depths, 0.0)).sum(axis=0) / np.maximum(total, TINY)
    root = np.sqrt(total)
    lines = [np.linalg.lstsq(w[:, None] * terms, w * m, rcond=None)[0] for w, m in zip(root, mean, strict=True)]
    return np.stack(lines)


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
    laws = market.bid_law, market.ask_law
    low = max(market.min_depth, min(float(np.min(law.depth_of(law.log_arrivals - 2))) for law in laws))
    rare = math.log(market.steps) + 2
    high = min(market.max_depth, max(float(np.max(law.depth_of(law.log_arrivals + rare))) for law in laws))
    return (low, high) if low < high else (market.min_depth, market.max_depth)


def _clipped_objectives(market: Market, objective: Objective, lines: np.ndarray) -> np.ndarray:
    """The objective of lines (half_spread, skew, lean) in the box; shape (lines, regimes, 3) to (lines,)."""
    bid, ask = (market.allowed(side) for side in _depths(market, lines))
    shape = (market.steps, *bid.shape)
    return objectives_of(market, objective, np.broadcast_to(bid, shape), np.broadcast_to(ask, shape))


def _depths(market: Market, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bid and ask depths of lines (lines, regimes, 3), each of shape (lines, regimes, 2Q+1)."""
    half_spread, skew, lean = (lines[..., i, None] for i in range(3))
    shift = skew * market.inventories + lean
    return half_spread + shift, half_spread - shift
