"""The best a maker can do who may only skew, or only widen: exact optima of restricted families of quotes.

A restriction that holds state by state (bid = ask; or bid + ask = a constant) leaves one number to choose in each
state, so backward induction still finds the best policy of the family; the constant itself is then one number more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmenv.backup import Backup
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import QuoteTable, quote_table
from mmenv.solver import solve

# The number of a state is looked for on a net over the box, then on finer ones around the best: 8/k to 1e-5/k in all.
NET = 33
ZOOM = 9
ZOOMS = 6
# The same for the half-spread that a family has in common; each round its net is this many times finer.
HALF_SPREADS = 9
ROUNDS = 6

Shape = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Ablation:
    """What skewing and widening are worth: the best objective of each family of quotes [price].

    Attributes:
        neither: one depth for both sides and all states.
        widening: bid depth = ask depth, any function of time and inventory.
        skew: bid depth + ask depth constant, their difference any function of time and inventory.
        both: no restriction: the exact optimum.
        quotes: the best quotes of each family, by the names above.
    """

    neither: float
    widening: float
    skew: float
    both: float
    quotes: dict[str, QuoteTable]

    def share(self, family: str) -> float:
        """What a family gains over `neither`, as a part of what `both` gains."""
        return (getattr(self, family) - self.neither) / (self.both - self.neither)


def ablate(market: Market, objective: Objective) -> Ablation:
    """The exact optimum of every family.

    Args:
        market: the market, whose box bounds the quotes.
        objective: what is maximised.

    Raises:
        ValueError: a penalty of the objective overflows in this market.
    """
    full = solve(market, objective)
    neither, flat = best_constant(market, objective)
    widening, wide = best_widening(market, objective)
    skew, skewed = best_skew(market, objective)
    quotes = {"neither": flat, "widening": wide, "skew": skewed, "both": full.quotes}
    return Ablation(neither, widening, skew, full.optimum, quotes)


def best_constant(market: Market, objective: Objective) -> tuple[float, QuoteTable]:
    """The best depth that never changes: its objective and its quotes."""

    def objectives(depths: np.ndarray) -> np.ndarray:
        depth = depths[:, None]
        return _induct(market, objective, lambda nothing: (depth + nothing, depth + nothing), 0 * depth, 0 * depth)[0]

    depth, value = _best_half_spread(market, objectives)
    side = np.full(market.grid_shape, depth)
    return value, quote_table(side, side)


def best_widening(market: Market, objective: Objective) -> tuple[float, QuoteTable]:
    """The best quotes with the same depth on both sides, a function of (n, q): their objective and they."""
    low, high = np.array([[market.min_depth]]), np.array([[market.max_depth]])
    value, depth = _induct(market, objective, lambda width: (width, width), low, high)
    return float(value[0]), quote_table(depth, depth)


def best_skew(market: Market, objective: Objective) -> tuple[float, QuoteTable]:
    """The best quotes with one spread for all states, skewed by any function of (n, q): their objective and they."""

    def family(half_spreads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        half = half_spreads[:, None]
        low, high = _room(market, half)
        return _induct(market, objective, lambda lean: (half + lean, half - lean), low, high)

    half_spread, value = _best_half_spread(market, lambda points: family(points)[0])
    lean = family(np.array([half_spread]))[1]
    return value, quote_table(half_spread + lean, half_spread - lean)


def _room(market: Market, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most that quotes may lean with both depths in the box; a side not quoted does not count."""
    ends = market.max_depth - half, half - market.min_depth
    room = np.broadcast_to(np.minimum(*ends), (len(half), len(market.inventories)))
    low, high = -room, room.copy()
    # Only the bid, half + lean, is quoted at the short limit, and only the ask, half - lean, at the long one.
    low[:, :1], high[:, :1] = -ends[1], ends[0]
    low[:, -1:], high[:, -1:] = -ends[0], ends[1]
    return low, high


def _best_half_spread(market: Market, objectives: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """The best of all half-spreads in the box, on finer and finer nets around the best so far, and its objective."""
    low, high = market.min_depth, market.max_depth
    for _ in range(ROUNDS):
        points = np.linspace(low, high, HALF_SPREADS)
        values = objectives(points)
        best = int(np.argmax(values))
        low, high = points[max(best - 1, 0)], points[min(best + 1, HALF_SPREADS - 1)]
    return float(points[best]), float(values[best])


def _induct(
    market: Market, objective: Objective, shape: Shape, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Backward induction over one number a state, for several families at once.

    Args:
        market: the market; it must have one regime.
        objective: the objective.
        shape: from the number to (bid depth, ask depth), arrays of shape (..., families, 2Q+1).
        low: the least the number may be, shape (families, 1) or (families, 2Q+1).
        high: the most, same.

    Returns:
        Objectives at the start, shape (families,), and the numbers, shape (steps, families, 2Q+1).
    """
    states = len(market.inventories)
    value = np.broadcast_to(-objective.terminal_penalty(market.inventories), (len(low), states))
    chosen = np.empty((market.steps, len(low), states))
    for n in reversed(range(market.steps)):
        chosen[n], value = _best_number(Backup(market, objective, value), shape, low, high)
    return value[:, market.max_inventory], chosen


def _best_number(backup: Backup, shape: Shape, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number that is best in each state, and its value, each of shape (families, 2Q+1)."""
    start, width, points = low, high - low, NET
    for _ in range(ZOOMS if np.any(width > 0) else 1):
        numbers = start + np.linspace(0.0, 1.0, points)[:, None, None] * width
        numbers = np.broadcast_to(numbers, (points, *backup.kept.shape))
        values = backup.value(*shape(numbers))
        best = np.argmax(values, axis=0)[None]
        number = np.take_along_axis(numbers, best, axis=0)[0]
        cell = width / (points - 1)
        start = np.maximum(number - cell, low)
        width = np.minimum(number + cell, high) - start
        points = ZOOM
    return number, np.take_along_axis(values, best, axis=0)[0]
