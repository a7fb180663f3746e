"""Fitting the few numbers of a formula to an objective: a search over exact evaluations, many at a time.

The objective of a formula has kinks, where a quote meets the box or fills with certainty, and may have
several tops, so nothing here uses a derivative or trusts a single start. Everything is deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.solver import _Backup

# A star of candidates: this many directions in the plane, at each of these parts of its radius.
DIRECTIONS = 12
RADII = (1.0, 1 / 3, 1 / 9)
SMALLEST_RADIUS = 1e-7
ROUNDS = 100
GOLDEN = (math.sqrt(5) - 1) / 2


def objectives_of(market: Market, objective: Objective, bid_depth: np.ndarray, ask_depth: np.ndarray) -> np.ndarray:
    """The exact objective of many tables at once, as `evaluate_exactly` gives it for one.

    Args:
        market: the market; its box does not bound the quotes.
        objective: what the quotes are valued by.
        bid_depth: shape (steps, tables, regimes, 2Q+1) [price]; regimes may be 1. Any value where not quoted.
        ask_depth: the same.

    Returns:
        Shape (tables,) [price].
    """
    tables = bid_depth.shape[1]
    final = -objective.terminal_penalty(market.inventories)
    value = np.broadcast_to(final, (tables, market.regimes, len(final)))
    for n in reversed(range(market.steps)):
        value = _Backup(market, objective, value).value(bid_depth[n], ask_depth[n])
    return value[:, 0, market.max_inventory]


def climb(
    objectives: Callable[[np.ndarray], np.ndarray], start: np.ndarray, value: float, spacing: np.ndarray
) -> tuple[np.ndarray, float]:
    """Climb to a top by stars of candidates around the best point so far, resized and turned every round.

    Args:
        objectives: what to maximise, from points (candidates, numbers) to values (candidates,).
        start: one or two numbers to start from.
        value: their objective.
        spacing: the radius of the first star along each number; same shape as `start`.

    Returns:
        The top and its objective.
    """
    best, radius = start, 1.0
    for turn in range(ROUNDS):
        star = _star(len(start), turn)
        candidates = best + radius * spacing * star
        values = objectives(candidates)
        top = int(np.argmax(values))
        if values[top] > value:
            best, value = candidates[top], float(values[top])
            radius *= 2 * RADII[top // (len(star) // len(RADII))]
        else:
            radius *= RADII[-1]
        if radius < SMALLEST_RADIUS:
            break
    return best, float(value)


def _star(numbers: int, turn: int) -> np.ndarray:
    """Candidates on rings of the radii `RADII` around the origin, outermost ring first, shape (candidates, numbers)."""
    if numbers == 1:
        ring = np.array([[1.0], [-1.0]])
    else:
        # A turn by the golden part of the angle between directions finds a ridge of any direction in time.
        angles = 2 * math.pi * (np.arange(DIRECTIONS) + turn * GOLDEN) / DIRECTIONS
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([radius * ring for radius in RADII])
