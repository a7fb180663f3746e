"""Policies that know nothing of theory: fixed quotes and straight lines."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from mmenv import _validate
from mmenv.fitting import maximise, objectives_of
from mmenv.linear_skew import best_linear_skew, linear_skew_table
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import QuoteTable, quote_table
from mmenv.regimes import PerRegime, per_regime

HALF_SPREADS = 33


@dataclass(frozen=True)
class FixedSpread:
    """The same two depths in every state.

    Attributes:
        bid_depth: [price].
        ask_depth: [price].

    Raises:
        TypeError, ValueError: a depth is not a finite number.
    """

    bid_depth: float
    ask_depth: float

    def __post_init__(self) -> None:
        _check_fields(self)

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes in every state, unclipped."""
        return quote_table(np.full(market.grid_shape, self.bid_depth), np.full(market.grid_shape, self.ask_depth))


@dataclass(frozen=True)
class Symmetric:
    """The same depth on both sides of the mid in every state.

    Attributes:
        half_spread: depth of both quotes [price].

    Raises:
        TypeError, ValueError: half_spread is not a finite number.
    """

    half_spread: float

    def __post_init__(self) -> None:
        _check_fields(self)

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes in every state, unclipped."""
        return linear_skew_table(market, self.half_spread, 0.0)

    @classmethod
    def fit(cls, market: Market, objective: Objective) -> Self:
        """The half-spread within the market's box of depths that is best for an objective."""
        objective.check(market)

        def objectives(half_spreads: np.ndarray) -> np.ndarray:
            depth = market.allowed(half_spreads[:, :, None])
            depth = np.broadcast_to(depth, (market.steps, len(depth), 1, len(market.inventories)))
            return objectives_of(market, objective, depth, depth)

        net = np.linspace(market.min_depth, market.max_depth, HALF_SPREADS)[:, None]
        best, _ = maximise(objectives, net, np.full_like(net, net[1, 0] - net[0, 0]))
        return cls(float(np.clip(best[0], market.min_depth, market.max_depth)))


@dataclass(frozen=True)
class LinearSkew:
    """Quotes linear in inventory: half_spread + skew q below the mid, half_spread - skew q above it (equation 32).

    Attributes:
        half_spread: depth of both quotes at q = 0 [price].
        skew: what a unit of inventory adds to the bid depth and takes from the ask depth [price / unit].
        lean: added to the bid depth and taken from the ask depth [price]; 0 in a market that is its own mirror image.

    Each may be a sequence with one number for each regime of the market.

    Raises:
        TypeError, ValueError: a field is not a finite number, nor a sequence of them.
    """

    half_spread: PerRegime
    skew: PerRegime
    lean: PerRegime = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, per_regime(field.name, getattr(self, field.name)))

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes in every state, unclipped.

        Raises:
            ValueError: a number per regime was given, but not for every regime of this market.
        """
        return linear_skew_table(market, self.half_spread, self.skew, self.lean)

    @classmethod
    def fit(cls, market: Market, objective: Objective) -> Self:
        """The line that is best for an objective, one per regime, with quotes clipped to the market's box of depths."""
        best = best_linear_skew(market, objective)
        return cls(best.half_spread, best.skew, best.lean)


def _check_fields(policy: FixedSpread | Symmetric) -> None:
    for field in fields(policy):
        object.__setattr__(policy, field.name, _validate.real(field.name, getattr(policy, field.name)))
