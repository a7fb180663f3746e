"""The step that defines the market, written once (docs/model.md, section 1).

It has no randomness (the tape is an argument), no exponential and no branch on data: arithmetic and comparisons
only, so Python floats, NumPy arrays and torch tensors all run it and give the same bits in float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mmenv.market import Market
from mmenv.tape import Flow


class State(NamedTuple):
    """Where a session stands before the maker quotes. Scalars, or arrays of shape (paths,).

    Attributes:
        step: n = 0 .. N; the time is n dt.
        regime: z, index of the regime.
        inventory: q [units].
        cash: X [price].
        mid: S [price].
    """

    step: Any
    regime: Any
    inventory: Any
    cash: Any
    mid: Any

    @property
    def wealth(self) -> Any:
        """W = X + q S, marked to the mid [price]."""
        return self.cash + self.inventory * self.mid


class Quotes(NamedTuple):
    """The maker's two quotes, as finite depths below and above the mid [price], and units to trade before."""

    bid_depth: Any
    ask_depth: Any
    hedge: Any = 0


class Fills(NamedTuple):
    """What the quotes did within a step.

    Attributes:
        bid: whether the bid filled.
        ask: whether the ask filled.
        earned: the depths of the filled quotes less their fees, added up, and less the cost of the hedge: the
            profit over the mid [price].
        hedged: units traded at the mid before quoting.
    """

    bid: Any
    ask: Any
    earned: Any
    hedged: Any = 0


def initial_state(market: Market, paths: int | None = None) -> State:
    """The start of a session: flat, without cash, in the initial regime.

    Args:
        market: the market.
        paths: number of sessions side by side for arrays of shape (paths,), or None for Python numbers.
    """
    if paths is None:
        return State(step=0, regime=market.initial_regime, inventory=0, cash=0.0, mid=market.initial_mid)
    inventory, cash, mid = np.zeros(paths, dtype=np.int64), np.zeros(paths), np.full(paths, market.initial_mid)
    regime = 0 if market.regimes == 1 else np.full(paths, market.initial_regime)
    return State(step=0, regime=regime, inventory=inventory, cash=cash, mid=mid)


def step(market: Market, state: State, quotes: Quotes, flow: Flow) -> tuple[State, Fills]:
    """Play one step (equations 1 to 4 of docs/model.md).

    A side at the inventory limit is not quoted. Both sides may fill; fills happen at the mid before its move.

    Args:
        market: the market; only its inventory limit and its fees are used.
        state: the state before the quotes.
        quotes: finite depths [price].
        flow: one row of a tape.

    Returns:
        The state after the move, and what the quotes did.
    """
    limit = market.max_inventory
    hedged: Any = 0
    if market.hedges:
        state, hedged = _hedge(market, state, quotes.hedge)
    bid = (flow.bid_reach > quotes.bid_depth) & (state.inventory < limit)
    ask = (flow.ask_reach > quotes.ask_depth) & (state.inventory > -limit)
    # Python, NumPy and torch all let booleans be multiplied by numbers and added to them, not all be subtracted.
    net = bid + -1 * ask
    earned = bid * quotes.bid_depth + ask * quotes.ask_depth
    if market.fill_fee:
        earned = earned - (1 * bid + ask) * market.fill_fee
    cash = state.cash + (earned - net * state.mid)
    if market.hedges:
        cost = market.trade_cost(hedged)
        earned, cash = earned - cost, cash - cost
    inventory = state.inventory + net
    after = State(state.step + 1, flow.regime, inventory, cash, state.mid + flow.mid_move)
    return after, Fills(bid, ask, earned, hedged)


def hedged_inventory(market: Market, inventory: Any, hedge: Any) -> Any:
    """q + h, kept within the limit [units]; scalars or arrays."""
    limit = market.max_inventory
    held = inventory + hedge
    return held - (held - limit) * (held > limit) - (held + limit) * (held < -limit)


def _hedge(market: Market, state: State, hedge: Any) -> tuple[State, Any]:
    """The state after trading at the mid, its cost not yet paid, and the units traded (equation 47)."""
    held = hedged_inventory(market, state.inventory, hedge)
    traded = held - state.inventory
    return state._replace(inventory=held, cash=state.cash - traded * state.mid), traded
