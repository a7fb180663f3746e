"""Fitting the few numbers of a formula to an objective: a search over exact evaluations, many at a time.

The objective of a formula has kinks, where a quote meets the box or fills with certainty, and may have
several tops, so nothing here trusts a single start, nor slopes alone. Everything is deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mmenv.backup import Backup
from mmenv.market import Market
from mmenv.objectives import Objective

STATES_AT_ONCE = 8192

# Slopes are differences over this part of the scale; the search by slopes ends when a step gains less than that part
# of the objective, whatever the prices are: it is told the objective in this part of the one it starts from, since
# L-BFGS-B takes what is smaller than one for nothing.
DIFFERENCE = 1e-6
LEAST_GAIN = 1e-9
UNIT = 1e-6

# How many peaks of a net are climbed from, a peak being better than all points this near, in spacings.
STARTS = 4
NEIGHBOURHOOD = 2.0

# A star of candidates: this many directions in the plane, at each of these parts of its radius.
DIRECTIONS = 8
RADII = (1.0, 1 / 3, 1 / 9)
# A climb ends when its star is this small, in spacings, or as flat as this part of the objective.
SMALLEST_RADIUS = 1e-7
TOLERANCE = 1e-9
ROUNDS = 100
FARTHEST_GUESS = 3.0
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
    # As many at once as the processor's cache holds; a risk-averse maker's lotteries take twice the room.
    at_once = STATES_AT_ONCE // 2 if objective.risk_aversion > 0 else STATES_AT_ONCE
    size = max(1, at_once // (market.regimes * len(market.inventories)))
    pieces = [slice(start, start + size) for start in range(0, bid_depth.shape[1], size)]
    return np.concatenate([_objectives(market, objective, bid_depth[:, at], ask_depth[:, at]) for at in pieces])


def _objectives(market: Market, objective: Objective, bid_depth: np.ndarray, ask_depth: np.ndarray) -> np.ndarray:
    final = -objective.terminal_penalty(market.inventories)
    value = np.broadcast_to(final, (bid_depth.shape[1], market.regimes, len(final)))
    for n in reversed(range(market.steps)):
        value = Backup(market, objective, value).value(bid_depth[n], ask_depth[n])
    return value[:, market.initial_regime, market.max_inventory]


def maximise(
    objectives: Callable[[np.ndarray], np.ndarray],
    net: np.ndarray,
    spacing: np.ndarray,
    ridges: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """The best point of a space of one or two numbers: climb from the peaks of a net, keep the highest top.

    Args:
        objectives: what to maximise, from points (candidates, numbers) to values (candidates,).
        net: points that cover the space, shape (points, numbers).
        spacing: how far from each its neighbours are, along each number, same shape.
        ridges: directions in which the objective may have kinks, shape (directions, numbers).

    Returns:
        The point, shape (numbers,), and its objective.
    """
    values = objectives(net)
    tops = [climb(objectives, net[i], values[i], spacing[i], ridges) for i in _peaks(net, spacing, values)]
    return max(tops, key=lambda top: top[1])


def _peaks(net: np.ndarray, spacing: np.ndarray, values: np.ndarray) -> list[int]:
    """The best few points of a net that have no better point near them, best first."""
    peaks: list[int] = []
    order = np.argsort(-values, kind="stable")
    for rank, i in enumerate(order):
        near = np.all(np.abs(net[order[:rank]] - net[i]) <= NEIGHBOURHOOD * spacing[i], axis=1)
        if not near.any():
            peaks.append(int(i))
        if len(peaks) == STARTS:
            break
    return peaks


def ascend(objectives: Callable[[np.ndarray], np.ndarray], start: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Go up slopes from a start, by L-BFGS-B of SciPy; where there are kinks it may stop short of a top.

    Args:
        objectives: what to maximise, from points (candidates, numbers) to values (candidates,).
        start: shape (numbers,).
        scale: how far each number may have to go, same shape.

    Returns:
        The point reached, shape (numbers,).
    """
    from scipy.optimize import minimize  # a fifth of a second, which `import mmenv` need not take

    aside = np.concatenate([np.zeros((1, len(start))), DIFFERENCE * np.eye(len(start))])
    unit = UNIT * abs(float(objectives(start[None])[0])) or 1.0

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        values = objectives((point + aside) * scale) / unit
        return -values[0], (values[0] - values[1:]) / DIFFERENCE

    options = {"maxcor": 2 * len(start), "ftol": LEAST_GAIN, "gtol": 0.0}
    return minimize(loss, start / scale, jac=True, method="L-BFGS-B", options=options).x * scale


def climb(
    objectives: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    value: float,
    spacing: np.ndarray,
    ridges: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """Climb to a top by stars of candidates around the best point so far, resized and turned every round.

    Where the objective is smooth, a parabola through each star says where its top should be, and the next
    star holds that point too; along a kink, only candidates in its very direction gain anything.

    Args:
        objectives: what to maximise, from points (candidates, numbers) to values (candidates,).
        start: the numbers to start from; one or two are searched most thoroughly.
        value: their objective.
        spacing: the radius of the first star along each number; same shape as `start`.
        ridges: directions in which the objective may have kinks, shape (directions, numbers).

    Returns:
        The top and its objective.
    """
    along = np.empty((0, len(start))) if ridges is None else ridges / spacing
    along = along / np.max(np.abs(along), axis=1, keepdims=True)
    best, guess, radius = start, start, 1.0
    for turn in range(ROUNDS):
        star = _star(along, turn)
        candidates = np.concatenate([best + radius * spacing * star, guess[None]])
        values = objectives(candidates)
        guess = best + radius * spacing * _summit(star, values[:-1] - value)
        top = int(np.argmax(values))
        spread = max(value, values[top]) - float(values.min())
        if values[top] > value:
            radius = max(2 * float(np.max(np.abs(candidates[top] - best) / spacing)), radius * RADII[-1])
            best, value = candidates[top], float(values[top])
        else:
            radius *= RADII[-1]
        if radius < SMALLEST_RADIUS or spread <= TOLERANCE * abs(value):
            break
    return best, float(value)


def _star(along: np.ndarray, turn: int) -> np.ndarray:
    """Candidates around the origin, at the parts `RADII` of the unit radius, shape (candidates, numbers)."""
    numbers = along.shape[1]
    if numbers == 1:
        ring = np.array([[1.0], [-1.0]])
    elif numbers > 2:
        # Axes turned at random, but alike in every run, and enough of them for the parabola of `_summit`.
        generator = np.random.default_rng(turn)
        frames = 1 + (numbers + 3) // (4 * len(RADII))
        axes = [np.linalg.qr(generator.standard_normal((numbers, numbers)))[0] for _ in range(frames)]
        ring = np.concatenate([sign * axis for axis in axes for sign in (1, -1)])
    else:
        # Turned by the golden part of the angle between directions, so that no direction is left out for long.
        angles = 2 * math.pi * (np.arange(DIRECTIONS) + turn * GOLDEN) / DIRECTIONS
        ring = np.concatenate([np.stack([np.cos(angles), np.sin(angles)], axis=1), along, -along])
    return np.concatenate([radius * ring for radius in RADII])


def _summit(star: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Where a parabola through the centre of a star and its gains is highest; the centre if it has no top."""
    numbers = star.shape[1]
    first, second = np.triu_indices(numbers)
    terms = np.concatenate([star, star[:, first] * star[:, second]], axis=1)
    slopes = np.linalg.lstsq(terms, gains, rcond=None)[0]
    curvature = np.zeros((numbers, numbers))
    curvature[first, second] = slopes[numbers:]
    curvature += curvature.T
    if not np.all(np.linalg.eigvalsh(curvature) < 0):
        return np.zeros(numbers)
    step = -np.linalg.solve(curvature, slopes[:numbers])
    return step / max(1.0, float(np.max(np.abs(step))) / FARTHEST_GUESS)
