"""Markouts: how far the mid moves against us after a fill, exactly (docs/model.md, section 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmenv import _validate
from mmenv.backup import Side
from mmenv.market import Market
from mmenv.quotes import Policy, QuoteTable, as_quote_table
from mmenv.solver import state_visits


class Markout(NamedTuple):
    """Mean move of the mid against us after a fill, at each horizon, shape (horizons,) [price]; NaN without fills."""

    bid: np.ndarray
    ask: np.ndarray


def markout(market: Market, quotes: QuoteTable | Policy, horizons: Sequence[int]) -> Markout:
    """The markouts of a policy, averaged over its fills (equation 44 of docs/model.md).

    Args:
        market: the market.
        quotes: a QuoteTable, or a policy with a `tabulate` method.
        horizons: steps after the mid at which the fill was made, each in [1, N]; fills within the last steps of
            the session, for which a horizon has no mid any more, are left out at that horizon.

    Returns:
        What a fill on each side loses to the mid: positive is against us.

    Raises:
        TypeError, ValueError: a horizon is not an integer in its range, or the table does not fit the market.
    """
    horizons = [_validate.integer("horizons", h, at_least=1, at_most=market.steps) for h in horizons]
    table = as_quote_table(market, quotes)
    visits = state_visits(market, table)[:-1]
    drift = _expected_drift(market, max(horizons))
    sides = []
    pair = (side.held(table.held) for side in Side.pair(market))
    for side, depth, sign in zip(pair, (table.bid_depth, table.ask_depth), (1, -1), strict=True):
        chance = side.probability(depth)
        cost = np.broadcast_to(side.adverse_selection(chance), chance.shape)
        fills, lost = (visits * chance).sum(axis=2), (visits * np.where(chance > 0, cost, 0.0)).sum(axis=2)
        sides.append(np.array([_average(fills, lost - sign * fills * drift[h], market.steps - h) for h in horizons]))
    return Markout(*sides)


def _average(fills: np.ndarray, lost: np.ndarray, last: int) -> float:
    """Loss per fill over the steps up to `last`; arrays of shape (steps, regimes)."""
    total = fills[: last + 1].sum()
    return float(lost[: last + 1].sum() / total) if total > 0 else float("nan")


def _expected_drift(market: Market, steps: int) -> np.ndarray:
    """Expected drift of the mid over the next 0 .. steps steps from each regime, shape (steps + 1, regimes)."""
    drift = market.by_regime("drift")[:, 0] * market.dt
    total = np.zeros((steps + 1, market.regimes))
    for h in range(steps):
        total[h + 1] = drift + market.transition @ total[h]
    return total
