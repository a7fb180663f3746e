"""Playing a policy along a tape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmenv.dynamics import Quotes, hedged_inventory, initial_state, step
from mmenv.market import Market
from mmenv.quotes import Policy, QuoteTable, as_quote_table
from mmenv.tape import Tape


@dataclass(frozen=True)
class Paths:
    """What happened to a policy along the sessions of a tape.

    Attributes:
        mid: S, shape (steps + 1, paths) [price].
        inventory: q, shape (steps + 1, paths) [units].
        cash: X, shape (steps + 1, paths) [price].
        wealth: W = X + q S, shape (steps + 1, paths) [price].
        bid_fill: whether the bid filled, shape (steps, paths).
        ask_fill: whether the ask filled, shape (steps, paths).
        bid_depth: depth quoted, shape (steps, paths) [price]; +inf where the bid was not quoted.
        ask_depth: depth quoted, shape (steps, paths) [price]; +inf where the ask was not quoted.
        hedge: units traded at the mid before quoting, shape (steps, paths).
    """

    mid: np.ndarray
    inventory: np.ndarray
    cash: np.ndarray
    wealth: np.ndarray
    bid_fill: np.ndarray
    ask_fill: np.ndarray
    bid_depth: np.ndarray
    ask_depth: np.ndarray
    hedge: np.ndarray

    @property
    def profit(self) -> np.ndarray:
        """W_N - W_0, shape (paths,) [price]."""
        return self.wealth[-1] - self.wealth[0]


def simulate(market: Market, policy: QuoteTable | Policy, tape: Tape) -> Paths:
    """Play `policy` along `tape`.

    Args:
        market: the market; its box does not bound the quotes.
        policy: a QuoteTable, or a policy with a `tabulate` method.
        tape: sessions of as many steps as the market has; any number of paths.

    Returns:
        The paths; they take about 50 bytes per step and path, so cut very large tapes into pieces.

    Raises:
        TypeError: `policy` is neither a table nor a policy.
        ValueError: the tape's steps are not the market's, or the table does not fit the market.
    """
    if tape.steps != market.steps:
        raise ValueError(f"the tape must have the market's {market.steps} steps, got {tape.steps}")
    if market.regimes > 1 and tape.regime is None:
        raise ValueError(f"the tape must state the regimes of a market that has {market.regimes} of them, got None")
    table = as_quote_table(market, policy)
    floats = {name: np.empty((market.steps + 1, tape.paths)) for name in ("mid", "cash", "wealth")}
    inventory = np.empty((market.steps + 1, tape.paths), dtype=np.int64)
    hedge = np.zeros((market.steps, tape.paths), dtype=np.int64)
    depths = {name: np.empty((market.steps, tape.paths)) for name in ("bid_depth", "ask_depth")}
    fills = {name: np.empty((market.steps, tape.paths), dtype=bool) for name in ("bid_fill", "ask_fill")}

    state = initial_state(market, tape.paths)
    for n in range(market.steps + 1):
        floats["mid"][n], floats["cash"][n], floats["wealth"][n] = state.mid, state.cash, state.wealth
        inventory[n] = state.inventory
        if n == market.steps:
            break
        at = state.inventory + market.max_inventory
        bid, ask = table.bid_depth[n, state.regime, at], table.ask_depth[n, state.regime, at]
        trade = 0 if table.hedge is None else table.hedge[n, state.regime, at]
        held = hedged_inventory(market, state.inventory, trade)
        hedge[n] = held - state.inventory
        bid_quoted, ask_quoted = held < market.max_inventory, held > -market.max_inventory
        depths["bid_depth"][n] = np.where(bid_quoted, bid, np.inf)
        depths["ask_depth"][n] = np.where(ask_quoted, ask, np.inf)
        quotes = Quotes(np.where(bid_quoted, bid, 0.0), np.where(ask_quoted, ask, 0.0), hedge[n])
        state, filled = step(market, state, quotes, tape.flow(n))
        fills["bid_fill"][n], fills["ask_fill"][n] = filled.bid, filled.ask
    return Paths(inventory=inventory, **floats, **depths, **fills, hedge=hedge)
