"""Recorded markets in one form, whatever file they came from: arrays of trades and of best quotes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmenv import _validate

SECOND = 1_000_000_000
# Prices are counted in this unit when a tick is looked for; no venue quotes finer.
FINEST_TICK = 1e-8
TICK_SAMPLE = 200_000
LARGEST_PRICE = 1e10  # counted in the finest tick it still fits an integer


class RecordingError(ValueError):
    """A recording that cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Trades:
    """Trades in order of time; arrays of shape (trades,).

    Attributes:
        time: when each happened [ns], int64, never falling.
        price: at what price, > 0 [price].
        side: +1 where the buyer was the aggressor, -1 where the seller was, int8.
        size: how much was traded [units of the venue], NaN where unknown.

    Raises:
        RecordingError: arrays of different lengths, times out of order, a price that is not positive, another side.
    """

    time: np.ndarray
    price: np.ndarray
    side: np.ndarray
    size: np.ndarray

    def __post_init__(self) -> None:
        _check_columns(self, ("price", "side", "size"))
        if len(self.price) and not (np.isfinite(self.price).all() and self.price.min() > 0):
            raise RecordingError("price must be a finite number > 0 in every trade")
        if len(self.price) and self.price.max() > LARGEST_PRICE:
            raise RecordingError(f"price must be at most {LARGEST_PRICE:g} in every trade, got {self.price.max():g}")
        if not (np.abs(self.side) == 1).all():
            raise RecordingError("side must be +1 (buyer was the aggressor) or -1 (seller) in every trade")

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class Quotes:
    """Best quotes in order of time, each in force until the next; arrays of shape (quotes,).

    Attributes:
        time: since when each is in force [ns], int64, never falling.
        bid: best bid, > 0 [price].
        ask: best ask, > bid [price].

    Raises:
        RecordingError: arrays of different lengths, times out of order, or an ask that is not above its bid.
    """

    time: np.ndarray
    bid: np.ndarray
    ask: np.ndarray

    def __post_init__(self) -> None:
        _check_columns(self, ("bid", "ask"))
        if not (np.isfinite(self.ask).all() and (self.bid > 0).all() and (self.ask > self.bid).all()):
            raise RecordingError("quotes must be finite with 0 < bid < ask throughout")
        if len(self.ask) and self.ask.max() > LARGEST_PRICE:
            raise RecordingError(f"quotes must be at most {LARGEST_PRICE:g}, got {self.ask.max():g}")

    def __len__(self) -> int:
        return len(self.time)

    @property
    def mid(self) -> np.ndarray:
        """(bid + ask) / 2, shape (quotes,) [price]."""
        return (self.bid + self.ask) / 2


def _check_columns(table: Trades | Quotes, names: tuple[str, ...]) -> None:
    for name in names:
        if np.shape(getattr(table, name)) != (len(table.time),):
            raise RecordingError(
                f"{name} must have shape {(len(table.time),)} like time, got {np.shape(getattr(table, name))}"
            )
    if (np.diff(table.time) < 0).any():
        raise RecordingError("time must never fall from one row to the next")


def check_overlap(trades: Trades, quotes: Quotes) -> None:
    """Refuse trades and quotes that are not of the same time.

    Raises:
        RecordingError: the one ends before the other begins, or one of them is empty.
    """
    if not len(trades) or not len(quotes):
        raise RecordingError(f"a recording needs trades and quotes, got {len(trades)} and {len(quotes)} of them")
    if trades.time[-1] < quotes.time[0] or quotes.time[-1] < trades.time[0]:
        spans = [f"from {_when(table.time[0])} to {_when(table.time[-1])}" for table in (trades, quotes)]
        raise RecordingError(f"trades and quotes must overlap in time, got trades {spans[0]} and quotes {spans[1]}")


def _when(time: int) -> str:
    return f"{np.datetime64(int(time), 'ns').astype('datetime64[ms]')} UTC"


def split(trades: Trades, quotes: Quotes, share: float) -> tuple[tuple[Trades, Quotes], tuple[Trades, Quotes]]:
    """Cut a recording in two at a moment in time: what is fitted or trained on must end before what is tested on.

    Args:
        trades: the trades.
        quotes: the quotes; the one in force at the moment opens the second part.
        share: of the time of the quotes that the first part gets, in (0, 1).

    Raises:
        TypeError, ValueError: share is not a number in (0, 1).
        RecordingError: a part would hold no trade, or fewer than two quotes.
    """
    share = _validate.real("split", share, above=0)
    if share >= 1:
        raise ValueError(f"split must be a number in (0, 1), got {share!r}")
    moment = int(quotes.time[0]) + round(share * (int(quotes.time[-1]) - int(quotes.time[0])))
    first = int(np.searchsorted(trades.time, moment, side="right"))
    last = int(in_force(quotes, np.array([moment]), inclusive=True)[0])
    if not 0 < first < len(trades) or not 0 < last < len(quotes) - 1:
        raise RecordingError(f"split must leave trades and quotes on both sides, got {share!r}")
    early = Trades(*(getattr(trades, name)[:first] for name in ("time", "price", "side", "size")))
    late = Trades(*(getattr(trades, name)[first:] for name in ("time", "price", "side", "size")))
    opening = np.concatenate([[moment], quotes.time[last + 1 :]])
    before = Quotes(*(np.append(side[: last + 1], side[last]) for side in (quotes.time, quotes.bid, quotes.ask)))
    before.time[-1] = moment
    return (early, before), (late, Quotes(opening, quotes.bid[last:], quotes.ask[last:]))


class MarketOrders(NamedTuple):
    """Market orders: the trades of one instant and side taken together, since one order may sweep many.

    Attributes:
        time: [ns], shape (orders,).
        side: +1 buyer, -1 seller.
        price: the deepest price that each reached [price].
    """

    time: np.ndarray
    side: np.ndarray
    price: np.ndarray


def market_orders(trades: Trades) -> MarketOrders:
    """Group the trades of one timestamp and side into market orders, in order of time (sellers first in a tie)."""
    if not len(trades):
        return MarketOrders(trades.time, trades.side, trades.price)
    time, side, price = trades.time, trades.side, trades.price
    falling = np.flatnonzero((np.diff(time) == 0) & (np.diff(side) < 0))
    if len(falling):  # put sellers before buyers where an instant has both
        order = np.argsort(2 * (time - time[0]) + (side > 0), kind="stable")
        time, side, price = time[order], side[order], price[order]
    first = np.flatnonzero(np.r_[True, (np.diff(time) != 0) | (np.diff(side) != 0)])
    deepest = np.maximum.reduceat(side * price, first)
    return MarketOrders(time[first], side[first], side[first] * deepest)


def in_force(quotes: Quotes, time: np.ndarray, inclusive: bool) -> np.ndarray:
    """Index of the quote in force at each time, -1 before the first.

    Args:
        quotes: the quotes.
        time: shape (times,) [ns].
        inclusive: whether a quote stamped with that very time counts. A trade's own quote update often bears the
            trade's timestamp, so trades ask for the quote strictly before them.
    """
    return np.searchsorted(quotes.time, time, side="right" if inclusive else "left") - 1


def quotes_from_trades(trades: Trades, tick: float) -> Quotes:
    """Quotes guessed from trades alone: the last price that buyers paid and the last that sellers got.

    Where the two cross, the newer one is right and the older one is taken to have moved a tick beyond it.

    Args:
        trades: at least one of each side.
        tick: the smallest spread [price].

    Raises:
        RecordingError: all trades are on one side.
    """
    index = np.arange(len(trades))
    last_buy, last_sell = (np.maximum.accumulate(np.where(trades.side == side, index, -1)) for side in (1, -1))
    known = (last_buy >= 0) & (last_sell >= 0)
    if not known.any():
        raise RecordingError("the mid cannot be guessed from trades of one side only: give a file of quotes too")
    time, newer_buy = trades.time[known], (last_buy > last_sell)[known]
    ask, bid = trades.price[last_buy[known]], trades.price[last_sell[known]]
    crossed = ask <= bid
    ask, bid = np.where(crossed & ~newer_buy, bid + tick, ask), np.where(crossed & newer_buy, ask - tick, bid)
    last = np.flatnonzero(np.r_[np.diff(time) != 0, True])
    return Quotes(time[last], bid[last], ask[last])


def infer_tick(*prices: np.ndarray) -> float:
    """The largest step of which all differences of prices are multiples [price].

    Raises:
        RecordingError: fewer than two different prices.
    """
    sample = np.unique(np.concatenate([np.unique(values[:TICK_SAMPLE]) for values in prices]))
    counted = np.unique(np.round(sample / FINEST_TICK).astype(np.int64))
    if len(counted) < 2:
        raise RecordingError("the tick cannot be read from fewer than two different prices: give it with --tick")
    return float(np.gcd.reduce(np.diff(counted))) * FINEST_TICK


def check_tick(tick: float, *prices: np.ndarray) -> None:
    """Refuse a tick of which prices are not multiples.

    Raises:
        RecordingError: one price in a hundred or more is off the grid by a hundredth of a tick.
    """
    for values in prices:
        offset = np.abs(values / tick - np.round(values / tick))
        if np.mean(offset > 0.01) >= 0.01:
            example = values[np.argmax(offset)]
            raise RecordingError(f"prices must be multiples of the tick {tick:g}, got {example:.10g}")
