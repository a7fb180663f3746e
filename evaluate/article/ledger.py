"""Who pays whom: what the ignorant and the informed among the takers pay a maker, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmenv.backup import Side
from mmenv.market import Market
from mmenv.quotes import QuoteTable
from mmenv.solver import state_visits


@dataclass(frozen=True)
class Ledger:
    """A session's trades with the maker, all that was traded marked to the mid after the step, by regime.

    The mid is a martingale, so on average this is what they are worth at the end too. All arrays have shape
    (regimes,).

    Attributes:
        ignorant_fills: expected fills by takers who know nothing [units].
        informed_fills: expected fills by takers who know [units].
        paid: what the ignorant pay the maker [price].
        gained: what the informed gain from the maker [price].
        markout_sum: what the mid moves against the maker after its fills, summed [price].
    """

    ignorant_fills: np.ndarray
    informed_fills: np.ndarray
    paid: np.ndarray
    gained: np.ndarray
    markout_sum: np.ndarray

    @property
    def fills(self) -> np.ndarray:
        """All fills [units]."""
        return self.ignorant_fills + self.informed_fills

    @property
    def profit(self) -> np.ndarray:
        """What is left to the maker, its expected profit [price]."""
        return self.paid - self.gained

    @property
    def total(self) -> Ledger:
        """All regimes together, shape (1,)."""
        columns = (self.ignorant_fills, self.informed_fills, self.paid, self.gained, self.markout_sum)
        return Ledger(*(column.sum(keepdims=True) for column in columns))


def ledger(market: Market, quotes: QuoteTable) -> Ledger:
    """The ledger of a maker in a market without drift and fees (equations 37 and 40 of docs/model.md).

    With P the chance of a taker beyond the mid, an informed one who fills us sees the mid move by J (1 - rho P) on
    average: J less what the market expects of his side. An ignorant one sees rho J P against him.

    Raises:
        ValueError: the market has drift or fees.
    """
    if market.by_regime("drift").any() or market.fill_fee:
        raise ValueError("market must have neither drift nor fees")
    visits = state_visits(market, quotes)[:-1]
    share, jump = market.by_regime("informed_share"), market.by_regime("informed_jump")
    sums = np.zeros((5, market.regimes))
    for side, depth in zip(Side.pair(market), (quotes.bid_depth, quotes.ask_depth), strict=True):
        fill, beyond = side.probability(depth), side.law.probability(0.0)
        earned = np.where(fill > 0, depth, 0.0)
        informed = share * np.minimum(fill, beyond)
        ignorant = fill - informed
        paid = ignorant * (earned + share * jump * beyond)
        gained = informed * (jump * (1 - share * beyond) - earned)
        against = np.broadcast_to(side.adverse_selection(fill), fill.shape)
        for row, values in zip(sums, (ignorant, informed, paid, gained, against), strict=True):
            row += np.sum(visits * values, axis=(0, 2))
    return Ledger(*sums)
