"""What quotes are worth in continuous time: equation 24 of docs/model.md without its maximum."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from mmenv.market import Market
from mmenv.objectives import Objective

# Quotes deep inside the market fill at rates that no float needs to know: at this rate, per session, a fill is
# as good as instant.
INSTANT = 1e8
RELATIVE_TOLERANCE = 1e-9
MOST_EVALUATIONS = 100_000


Quotes = Callable[[float], tuple[np.ndarray, np.ndarray]]


class _Stuck(Exception):
    """The integration makes no headway."""


def continuous_objective(market: Market, objective: Objective, quotes: Quotes) -> float:
    """The objective of quotes in continuous time, at t = 0 and q = 0.

    Args:
        market: the market; its steps, box and fill law play no part.
        objective: what the quotes are valued by.
        quotes: from the time left to (bid_depth, ask_depth), each of shape (2Q+1,) [price]; entries of a side
            that is not quoted may hold anything.

    Returns:
        Certainty equivalent [price]; NaN where it is too far below zero to be integrated, as for quotes that do
        not mind inventory under a very strong risk aversion.
    """
    gamma, decay, q = objective.risk_aversion, market.depth_decay, market.inventories
    cost = objective.running_penalty(q) + gamma * (market.volatility * q) ** 2 / 2
    log_rate, log_instant = np.log(market.arrival_rate), np.log(INSTANT / market.horizon)

    def gain(depth: np.ndarray, change: np.ndarray) -> np.ndarray:
        rate = np.exp(np.minimum(log_rate - decay * depth, log_instant))
        margin = depth + change
        return rate * (margin if gamma == 0 else -np.expm1(-gamma * margin) / gamma)

    evaluations = itertools.count()

    def slope(time_left: float, value: np.ndarray) -> np.ndarray:
        if next(evaluations) > MOST_EVALUATIONS:
            raise _Stuck
        bid, ask = quotes(time_left)
        change = np.diff(value)
        total = -cost
        total[:-1] += gain(bid[:-1], change)
        total[1:] += gain(ask[1:], -change)
        return total

    start = -np.asarray(objective.terminal_penalty(q), dtype=float)
    span = (0.0, market.horizon)
    tolerances = {"rtol": RELATIVE_TOLERANCE, "atol": RELATIVE_TOLERANCE / decay}
    with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # LSODA says by a warning what `success` says too
        try:
            found = solve_ivp(slope, span, start, "LSODA", t_eval=span[1:], lband=1, uband=1, **tolerances)
        except _Stuck:
            return math.nan
    return float(found.y[market.max_inventory, -1]) if found.success else math.nan
