"""The maker's inventory as a Markov chain under its own quotes: forwards, backwards, and what is read off it.

Inventory after a step depends on the inventory before it and on chance alone, so every expectation over other
takers' flow is a sum over the grid (equation 21 of docs/model.md); nothing here is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmenv.market import Market
from mmenv.quotes import QuoteTable
from mmenv.solver import fill_probabilities, shift_inventory


@dataclass(frozen=True)
class Chain:
    """A maker's quotes in the plain market, and how its inventory moves under them.

    Attributes:
        market: the market; it must have one regime.
        bid_depth: shape (steps, 2Q+1) [price]; +inf where not quoted.
        ask_depth: shape (steps, 2Q+1) [price]; +inf where not quoted.
        bid_fill: P(bid fills), same shape.
        ask_fill: P(ask fills), same shape.
    """

    market: Market
    bid_depth: np.ndarray
    ask_depth: np.ndarray
    bid_fill: np.ndarray
    ask_fill: np.ndarray

    @classmethod
    def of(cls, market: Market, quotes: QuoteTable) -> Chain:
        """The chain of a table of quotes.

        Raises:
            ValueError: the market has several regimes, or the table does not fit it.
        """
        if market.regimes != 1:
            raise ValueError(f"market must have one regime, got {market.regimes}")
        quotes.check(market)
        bid, ask = fill_probabilities(market, quotes)
        return cls(market, quotes.bid_depth[:, 0], quotes.ask_depth[:, 0], bid[:, 0], ask[:, 0])

    @property
    def midpoint(self) -> np.ndarray:
        """(ask + bid) / 2 less the mid, shape (steps, 2Q+1) [price]; NaN where a side is not quoted."""
        with np.errstate(invalid="ignore"):
            centre = (self.ask_depth - self.bid_depth) / 2
        return np.where(np.isfinite(centre), centre, np.nan)

    @property
    def spread(self) -> np.ndarray:
        """ask - bid, shape (steps, 2Q+1) [price]; NaN where a side is not quoted."""
        total = self.ask_depth + self.bid_depth
        return np.where(np.isfinite(total), total, np.nan)

    def at(self, inventory: int) -> int:
        """The index of an inventory."""
        return inventory + self.market.max_inventory

    def start(self, inventory: int) -> np.ndarray:
        """The distribution that is sure of an inventory, shape (2Q+1,)."""
        return (self.market.inventories == inventory).astype(float)

    def forward(self, n: int, chances: np.ndarray) -> np.ndarray:
        """The distribution after step n from that before it, along the last axis; any leading axes."""
        up, down = self._moves(n)
        bought, sold = chances * up, chances * down
        after = chances * (1 - up - down)
        after[..., 1:] += bought[..., :-1]
        after[..., :-1] += sold[..., 1:]
        return after

    def backward(self, n: int, values: np.ndarray) -> np.ndarray:
        """E[values(q after step n) | q before it], along the last axis; any leading axes."""
        up, down = self._moves(n)
        stay = (1 - up - down) * values
        return stay + up * shift_inventory(values, 1) + down * shift_inventory(values, -1)

    def _moves(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        bid, ask = self.bid_fill[n], self.ask_fill[n]
        return bid * (1 - ask), ask * (1 - bid)

    def path(self, first: int, chances: np.ndarray, last: int | None = None) -> np.ndarray:
        """The distributions before steps first .. last, shape (last - first + 1, 2Q+1); last defaults to the end."""
        last = self.market.steps if last is None else last
        rows = [chances]
        for n in range(first, last):
            rows.append(self.forward(n, rows[-1]))
        return np.stack(rows)


def average(chances: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean of values over the states in which they are defined, along the last axis."""
    weight = np.where(np.isfinite(values), chances, 0.0)
    return np.sum(weight * np.where(np.isfinite(values), values, 0.0), axis=-1) / np.sum(weight, axis=-1)


def half_life(excess: np.ndarray) -> float:
    """Steps until a quantity falls to half of what it was first, read between steps off a straight line.

    Args:
        excess: the quantity before each step, shape (steps,); positive first.

    Returns:
        Steps; NaN if it never falls that far or does not start positive.
    """
    below = np.flatnonzero(excess <= excess[0] / 2)
    if excess[0] <= 0 or len(below) == 0:
        return float("nan")
    i = int(below[0])
    return float(i - 1 + (excess[i - 1] - excess[0] / 2) / (excess[i - 1] - excess[i]))


def time_to(chain: Chain, first: int, target: int, inventory: int) -> tuple[float, float]:
    """From step `first` at an inventory: P(target reached by the end), and expected steps until then or the end."""
    inventories = chain.market.inventories
    reached, steps = (inventories == target).astype(float), np.zeros(len(inventories))
    for n in reversed(range(first, chain.market.steps)):
        reached = np.where(inventories == target, 1.0, chain.backward(n, reached))
        steps = np.where(inventories == target, 0.0, 1 + chain.backward(n, steps))
    return float(reached[chain.at(inventory)]), float(steps[chain.at(inventory)])
