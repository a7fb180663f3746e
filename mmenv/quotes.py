"""A table of quotes over the grid of states: the form in which policies are solved, shipped and graded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mmenv.market import ON_GRID, Market


@dataclass(frozen=True)
class QuoteTable:
    """Depths quoted in every state, indexed [n, z, q + Q].

    Entries of a side that is not quoted (the bid at q = Q, the ask at q = -Q, after the hedge) are ignored; +inf by
    convention.

    Attributes:
        bid_depth: shape (steps, regimes, 2Q+1) [price].
        ask_depth: shape (steps, regimes, 2Q+1) [price].
        hedge: units traded at the mid before quoting, same shape, integers; None for never. What would lead beyond
            the inventory limit is not traded.

    Raises:
        ValueError: the arrays are not three-dimensional and of one shape, or hedges are not integers.
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
            hedge = np.asarray(self.hedge)
            if hedge.shape != self.bid_depth.shape or not np.array_equal(hedge, np.rint(hedge)):
                raise ValueError(f"hedge must be integers of the shape of bid_depth, {self.bid_depth.shape}")
            object.__setattr__(self, "hedge", hedge.astype(np.int64))

    @property
    def held(self) -> np.ndarray:
        """Index q + Q of the inventory after the hedge in every state, same shape as the depths."""
        last = self.bid_depth.shape[-1] - 1
        at = np.broadcast_to(np.arange(last + 1), self.bid_depth.shape)
        return at if self.hedge is None else np.clip(at + self.hedge, 0, last)

    @property
    def quoted(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether the bid and the ask are quoted in every state, same shape as the depths each."""
        held = self.held
        return held < self.bid_depth.shape[-1] - 1, held > 0

    def check(self, market: Market, on_ticks: bool = True) -> None:
        """Refuse a table that does not fit `market`.

        Args:
            market: the market.
            on_ticks: whether depths must be multiples of the market's tick.

        Raises:
            ValueError: the shape is not the market's, a quoted depth is not finite or not a multiple of the tick, or
                there are hedges and no venue.
        """
        if self.bid_depth.shape != market.grid_shape:
            raise ValueError(
                f"quotes must have shape (steps, regimes, 2Q+1) = {market.grid_shape}, got {self.bid_depth.shape}"
            )
        if self.hedge is not None and not market.hedges:
            raise ValueError("hedge must be None: the market has no hedge venue")
        for name, is_quoted in zip(("bid_depth", "ask_depth"), self.quoted, strict=True):
            depth = getattr(self, name)
            if not np.isfinite(depth[is_quoted]).all():
                n, z, i = (int(at) for at in np.argwhere(is_quoted & ~np.isfinite(depth))[0])
                raise ValueError(
                    f"{name} must be finite wherever the side is quoted, got {depth[n, z, i]} "
                    f"at step {n}, regime {z}, inventory {i - market.max_inventory}"
                )
            quoted = depth[is_quoted]
            if market.tick is not None and on_ticks:
                off = np.abs(quoted / market.tick - np.round(quoted / market.tick))
                if off.max() > ON_GRID:
                    raise ValueError(
                        f"{name} must be a multiple of the tick {market.tick:g} everywhere, "
                        f"got {float(quoted.ravel()[np.argmax(off)])!r}; table.clip(market) rounds"
                    )

    def clip(self, market: Market) -> QuoteTable:
        """The same quotes in the market's box of depths, and on its ticks; sides that are not quoted stay +inf."""
        return quote_table(market.allowed(self.bid_depth), market.allowed(self.ask_depth), self.hedge)


class Policy(Protocol):
    """Anything that can state its quotes for every state of a market."""

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes over the whole grid of `market`, unclipped, at the times n dt."""
        ...


def quote_table(bid_depth: np.ndarray, ask_depth: np.ndarray, hedge: np.ndarray | None = None) -> QuoteTable:
    """A table with +inf written over the sides that are not quoted; shapes (steps, regimes, 2Q+1)."""
    bid, ask = np.array(bid_depth, dtype=float), np.array(ask_depth, dtype=float)
    bid_quoted, ask_quoted = QuoteTable(bid, ask, hedge).quoted
    bid[~bid_quoted] = np.inf
    ask[~ask_quoted] = np.inf
    return QuoteTable(bid, ask, hedge)


def as_quote_table(market: Market, policy: QuoteTable | Policy, clip: bool = False) -> QuoteTable:
    """The table of `policy` in `market`, checked against the market.

    Args:
        market: the market.
        policy: a QuoteTable, or a policy with a `tabulate` method.
        clip: bring the depths into the market's box and onto its ticks, instead of refusing those between ticks.

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
    table.check(market, on_ticks=not clip)
    return table.clip(market) if clip else table
