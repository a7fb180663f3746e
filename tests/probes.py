"""Tables of quotes that between them make every parameter of a market show in profit or inventory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmenv import Objective, QuoteTable, solve
from mmenv.linear_skew import linear_skew_table
from mmenv.market import Market
from mmenv.quotes import quote_table


def optimum(market: Market, objective: Objective) -> QuoteTable:
    """The optimal quotes."""
    return solve(market, objective).quotes


def collector(market: Market, objective: Objective) -> QuoteTable:
    """Buys at any price and hardly sells: inventory stays at its limit, where moves of the mid weigh most."""
    bid, ask = (market.allowed(np.full(market.grid_shape, depth)) for depth in (market.min_depth, market.max_depth))
    return quote_table(bid, ask)


def busy(market: Market, objective: Objective) -> QuoteTable:
    """Trades at any price to stay flat, at a venue too where there is one: fills and their fees weigh most."""
    width = market.max_depth - market.min_depth
    table = linear_skew_table(market, 0.0, width / 16).clip(market)
    if not market.hedges:
        return table
    mid = np.zeros(market.grid_shape)
    return quote_table(mid, mid, np.broadcast_to(-market.inventories, market.grid_shape))


PROBES: dict[str, Callable[[Market, Objective], QuoteTable]] = {
    "optimum": optimum,
    "collector": collector,
    "busy": busy,
}
