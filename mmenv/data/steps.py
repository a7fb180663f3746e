"""A recording cut into steps of dt: the mid's move and how far takers reached on each side (docs/real-markets.md).

A step begins at t_n with the quote in force then, t_n included, and holds the trades in (t_n, t_{n+1}]: what the
maker sees when it quotes is older than every trade that can fill it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmenv import _validate
from mmenv.data.clean import DEFAULT_GAP, silences
from mmenv.data.recording import SECOND, MarketOrders, Quotes, RecordingError, Trades, check_overlap, in_force

MOST_STEPS = 100_000_000


@dataclass(frozen=True)
class Steps:
    """A recording in steps; arrays of shape (steps,) unless they say otherwise.

    Attributes:
        dt: length of a step [s].
        tick: of the venue's prices [price].
        start: when each step begins [ns].
        mid: at the start of each step [price].
        mid_move: change of the mid within the step [price].
        bid_reach: how far below that mid sellers traded [price]; -inf where none did.
        ask_reach: how far above that mid buyers traded [price]; -inf where none did.
        segment: number of the stretch without silences that the step is in.
    """

    dt: float
    tick: float
    start: np.ndarray
    mid: np.ndarray
    mid_move: np.ndarray
    bid_reach: np.ndarray
    ask_reach: np.ndarray
    segment: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    @property
    def on_tick(self) -> np.ndarray:
        """Whether each step begins with the mid on a tick, not between two; shape (steps,)."""
        return np.round(2 * self.mid / self.tick) % 2 == 0


def cut(trades: Trades, quotes: Quotes, dt: float, tick: float, gap: float = DEFAULT_GAP) -> Steps:
    """Cut a recording into steps.

    Args:
        trades: the trades.
        quotes: the best quotes over the same time.
        dt: length of a step [s], > 0.
        tick: of the venue's prices [price], > 0; reaches and mids are rounded to half of it, which only undoes the
            rounding of binary fractions.
        gap: silences of the quotes longer than this [s] are left out, and so are stretches longer than this before
            the first trade and after the last.

    Raises:
        TypeError, ValueError: dt, tick or gap is not a number in its range.
        RecordingError: the files do not overlap in time by at least two steps.
    """
    dt = _validate.real("dt", dt, above=0)
    tick = _validate.real("tick", tick, above=0)
    gap = _validate.real("gap", gap, above=0)
    step = _nanoseconds(dt)
    check_overlap(trades, quotes)
    stretches = _stretches(trades, quotes, gap, step)
    parts = [_cut_stretch(trades, quotes, begin, count, step, tick) for begin, count in stretches]
    start, mid, mid_move, bid_reach, ask_reach = (np.concatenate(part) for part in zip(*parts, strict=True))
    segment = np.repeat(np.arange(len(stretches), dtype=np.int32), [count for _, count in stretches])
    return Steps(dt, tick, start, mid, mid_move, bid_reach, ask_reach, segment)


def _nanoseconds(dt: float) -> int:
    step = round(dt * SECOND)
    if step < 1:
        raise RecordingError(f"dt must be at least a nanosecond, got {dt!r} s")
    return step


def _stretches(trades: Trades, quotes: Quotes, gap: float, step: int) -> list[tuple[int, int]]:
    """Beginnings [ns] and numbers of steps of the stretches without silences."""
    silence = round(gap * SECOND)
    begin, end = int(quotes.time[0]), int(quotes.time[-1])
    if trades.time[0] - begin > silence:
        begin = int(trades.time[0])
    if end - trades.time[-1] > silence:
        end = int(trades.time[-1])
    bounds = [begin, *silences(quotes.time, gap).ravel().tolist(), end]
    pairs = zip(bounds[::2], bounds[1::2], strict=True)
    clipped = [(max(a, begin), min(b, end)) for a, b in pairs]
    stretches = [(a, (b - a) // step) for a, b in clipped if (b - a) // step >= 1]
    total = sum(count for _, count in stretches)
    if total > MOST_STEPS:
        raise RecordingError(f"dt must cut the recording into at most {MOST_STEPS:,} steps, got {total:,}")
    if total < 2:
        raise RecordingError(
            f"trades and quotes must share at least two steps of {step / SECOND:g} s, got trades over "
            f"{np.ptp(trades.time) / SECOND:g} s and quotes over {np.ptp(quotes.time) / SECOND:g} s"
        )
    return stretches


def _cut_stretch(
    trades: Trades, quotes: Quotes, begin: int, count: int, step: int, tick: float
) -> tuple[np.ndarray, ...]:
    edges = begin + step * np.arange(count + 1, dtype=np.int64)
    at = in_force(quotes, edges, inclusive=True)
    mids = _round(quotes.mid[at], tick / 2)
    first, last = np.searchsorted(trades.time, edges[[0, -1]], side="right")
    inside = slice(int(first), int(last))
    index = np.searchsorted(edges, trades.time[inside], side="left") - 1
    reaches = [
        _round(
            _deepest(index, side * trades.price[inside], trades.side[inside] == side, count) - side * mids[:-1],
            tick / 2,
        )
        for side in (-1, 1)
    ]
    return edges[:-1], mids[:-1], np.diff(mids), reaches[0], reaches[1]


def _deepest(index: np.ndarray, signed_price: np.ndarray, ours: np.ndarray, count: int) -> np.ndarray:
    """The largest signed price of our side's trades in each step, -inf where there is none; `index` must rise."""
    deepest = np.full(count, -np.inf)
    index, signed_price = index[ours], signed_price[ours]
    if len(index):
        first = np.flatnonzero(np.r_[True, np.diff(index) != 0])
        deepest[index[first]] = np.maximum.reduceat(signed_price, first)
    return deepest


def _round(values: np.ndarray, unit: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.round(values / unit) * unit


def order_reaches(orders: MarketOrders, quotes: Quotes, tick: float) -> np.ndarray:
    """How far each market order went beyond the mid just before it, shape (orders,) [price]; NaN before any quote.

    The quote strictly before the order's timestamp counts: its own update often bears the same one.
    """
    at = in_force(quotes, orders.time, inclusive=False)
    reach = _round(orders.side * (orders.price - quotes.mid[np.maximum(at, 0)]), tick / 2)
    return np.where(at >= 0, reach, np.nan)
