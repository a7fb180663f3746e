"""A table of quotes over the grid of states: the form in which policies are solved, shipped and graded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mmenv.market import ON_GRID, Market


@dataclass(frozen=True)
class QuoteTable:
    """Depths quoted in every state, indexed [n, z, q + Q].

    Entries of a side that is not quoted (the bid at q = Q, the ask at q = -Q) are ignored; +inf by convention.

    Attributes:
        bid_depth: shape (steps, regimes, 2Q+1) [price].
        ask_depth: shape (steps, regimes, 2Q+1) [price].
        hedge: units traded at the mid before quoting, same shape; None in a market without a hedge venue.

    Raises:
        ValueError: the arrays are not three-dimensional and of one shape.
    """

    bid_depth: np.ndarray
    ask_depth: np.ndarray
    hedge: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("bid_depth", "ask_depth"):
            values = np.asarray(getattr(self, name), dtype=float)
            if values.ndim != 3 or values.shape != np.shape(self.bid_depth):
                raise ValueError(
                    f"{name} must have shape (steps, regimes, 2Q+1) like bid_depth {np.shape(self.bid_depth)}, "
                    f"got {values.shape}"
                )
            object.__setattr__(self, name, values)
        if self.hedge is not None:
            raise ValueError("hedge must be None: the market has no hedge venue")

    def check(self, market: Market) -> None:
        """Refuse a table that does not fit `market`.

        Raises:
            ValueError: the shape is not the market's, or a quoted depth is not finite.
        """
        if self.bid_depth.shape != market.grid_shape:
            raise ValueError(
                f"quotes must have shape (steps, regimes, 2Q+1) = {market.grid_shape}, got {self.bid_depth.shape}"
            )
        for name, quoted in (("bid_depth", self.bid_depth[..., :-1]), ("ask_depth", self.ask_depth[..., 1:])):
            if not np.isfinite(quoted).all():
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(quoted))[0])
                n, z, i = where[0], where[1], where[2] + (name == "ask_depth")
                raise ValueError(
                    f"{name} must be finite wherever the side is quoted, got {quoted[where]} "
                    f"at step {n}, regime {z}, inventory {i - market.max_inventory}"
                )
            if market.tick is not None:
                off = np.abs(quoted / market.tick - np.round(quoted / market.tick))
                if off.max() > ON_GRID:
                    raise ValueError(
                        f"{name} must be a multiple of the tick {market.tick:g} everywhere, "
                        f"got {quoted[np.unravel_index(np.argmax(off), off.shape)]!r}; table.clip(market) rounds"
                    )

    def clip(self, market: Market) -> QuoteTable:
        """The same quotes in the market's box of depths, and on its ticks; sides that are not quoted stay +inf."""
        return quote_table(market.allowed(self.bid_depth), market.allowed(self.ask_depth))


class Policy(Protocol):
    """Anything that can state its quotes for every state of a market."""

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes over the whole grid of `market`, unclipped, at the times n dt."""
        ...


def quote_table(bid_depth: np.ndarray, ask_depth: np.ndarray) -> QuoteTable:
    """A table with +inf written over the sides that are not quoted; shapes (steps, regimes, 2Q+1)."""
    bid, ask = np.array(bid_depth, dtype=float), np.array(ask_depth, dtype=float)
    bid[..., -1] = np.inf
    ask[..., 0] = np.inf
    return QuoteTable(bid, ask)


def as_quote_table(market: Market, policy: QuoteTable | Policy) -> QuoteTable:
    """The table of `policy` in `market`, checked against the market.

    Raises:
        TypeError: `policy` is neither a QuoteTable nor has a `tabulate` method.
        ValueError: the table does not fit the market.
    """
    if isinstance(policy, QuoteTable):
        table = policy
    elif hasattr(policy, "tabulate"):
        table = policy.tabulate(market)
    else:
        raise TypeError(f"a policy must be a QuoteTable or have a tabulate(market) method, got {policy!r}")
    table.check(market)
    return table
