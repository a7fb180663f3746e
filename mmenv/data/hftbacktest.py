"""Recordings in hftbacktest's npz format: one array of events, times in nanoseconds (hftbacktest.readthedocs.io)."""

from __future__ import annotations

import os
import zipfile
from heapq import heappop, heappush
from pathlib import Path

import numpy as np

from mmenv._archives import refusing
from mmenv.data.clean import Cleaning, clean_quotes, clean_trades
from mmenv.data.recording import Quotes, RecordingError, Trades
from mmenv.data.sources import LARGEST_RATIO

DEPTH, TRADE, CLEAR, SNAPSHOT, BEST = 1, 2, 3, 4, 5
BUY, SELL, LOCAL, EXCHANGE = 1 << 29, 1 << 28, 1 << 30, 1 << 31
KIND = 0xFF
EVENT = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)
NAME = "hftbacktest events"


def is_npz(path: Path) -> bool:
    """Whether a zip file holds NumPy arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def read_trades(path: Path) -> tuple[Trades, Cleaning]:
    """The trades of a file; buyer-initiated ones bear the buy flag.

    Raises:
        RecordingError: the file cannot be used.
    """
    events, report = _events(path)
    events = events[(events["ev"] & KIND) == TRADE]
    side = np.where(events["ev"] & BUY, 1, np.where(events["ev"] & SELL, -1, 0)).astype(np.int8)
    if len(events) and not (np.isfinite(events["px"]) & (events["px"] > 0)).all():
        raise RecordingError(f"{path}: px must be a finite number > 0 in every trade")
    return clean_trades(events["exch_ts"].copy(), events["px"].copy(), side, events["qty"].copy(), None, report), report


def read_quotes(path: Path) -> tuple[Quotes, Cleaning]:
    """The best quotes of a file, from its updates of the book.

    Raises:
        RecordingError: the file cannot be used, or holds no updates of the book.
    """
    events, report = _events(path)
    kind = events["ev"] & KIND
    events = events[(kind == DEPTH) | (kind == CLEAR) | (kind == SNAPSHOT) | (kind == BEST)]
    if not len(events):
        raise RecordingError(f"{path} holds no updates of the book: give a file of quotes too")
    bid, ask = _best(events)
    last = np.flatnonzero(np.r_[np.diff(events["exch_ts"]) != 0, True])
    started = last[np.isfinite(bid[last]) & np.isfinite(ask[last]) | (np.arange(len(last)) > len(last) // 2)]
    return clean_quotes(events["exch_ts"][started].copy(), bid[started], ask[started], report), report


def write_events(path: str | os.PathLike[str], trades: Trades, quotes: Quotes, size: float = 1.0) -> None:
    """Write a recording as hftbacktest events, for a backtest with queue positions.

    Best quotes become updates of a book of one level: what is beyond the best is not in our recordings. At one
    instant trades come before the quotes they cause.

    Args:
        path: the npz file.
        trades: the trades; an unknown size counts as `size`.
        quotes: the best quotes.
        size: at every best quote [units].
    """
    parts = [_rows(trades.time, trades.price, np.where(np.isnan(trades.size), size, trades.size), TRADE, trades.side)]
    for side, prices in ((1, quotes.bid), (-1, quotes.ask)):
        changed = np.flatnonzero(np.r_[True, np.diff(prices) != 0])
        time, price = quotes.time[changed], prices[changed]
        parts.append(_rows(time[1:], price[:-1], np.zeros(len(price) - 1), DEPTH, np.full(len(price) - 1, side)))
        parts.append(_rows(time, price, np.full(len(price), size), DEPTH, np.full(len(price), side)))
    events = np.concatenate(parts)
    with open(path, "wb") as file:
        np.savez_compressed(file, data=events[np.argsort(events["exch_ts"], kind="stable")])


def _rows(time: np.ndarray, price: np.ndarray, size: np.ndarray, kind: int, side: np.ndarray) -> np.ndarray:
    events = np.zeros(len(time), dtype=EVENT)
    events["ev"] = (EXCHANGE | LOCAL | kind) + np.where(side > 0, BUY, SELL)
    events["exch_ts"] = events["local_ts"] = time
    events["px"], events["qty"] = price, size
    return events


class _Side:
    """One side of a book, prices negated for bids so that the best is the lowest."""

    def __init__(self) -> None:
        self.sizes: dict[float, float] = {}
        self.heap: list[float] = []

    def set(self, price: float, size: float) -> None:
        if size > 0:
            if price not in self.sizes:
                heappush(self.heap, price)
            self.sizes[price] = size
        else:
            self.sizes.pop(price, None)

    def clear(self, until: float) -> None:
        """Forget the levels from the best to `until`; all of them where it is 0 or no number."""
        if not np.isfinite(until) or until == 0:
            self.sizes.clear()
        else:
            for price in [price for price in self.sizes if price <= until]:
                del self.sizes[price]

    def best(self) -> float:
        while self.heap and self.heap[0] not in self.sizes:
            heappop(self.heap)
        return self.heap[0] if self.heap else np.nan


def _best(events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best bid and ask after each event, shape (events,), NaN where a side is empty."""
    bids, asks = _Side(), _Side()
    out = np.full((2, len(events)), np.nan)
    rows = zip(events["ev"].tolist(), events["px"].tolist(), events["qty"].tolist(), strict=True)
    for i, (flags, price, size) in enumerate(rows):
        kind = flags & KIND
        for side, mine, sign in ((bids, flags & BUY, -1.0), (asks, flags & SELL, 1.0)):
            if kind == CLEAR and (mine or not flags & (BUY | SELL)):
                side.clear(sign * price)
            elif mine and kind == BEST:
                side.clear(sign * price)
                side.set(sign * price, size)
            elif mine and kind != CLEAR:
                side.set(sign * price, size)
        out[0, i], out[1, i] = -bids.best(), asks.best()
    return out[0], out[1]


def _events(path: Path) -> tuple[np.ndarray, Cleaning]:
    with refusing(path, RecordingError, "readable npz file of events"):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(info.file_size > LARGEST_RATIO * max(info.compress_size, 1) + 2**25 for info in members):
                raise RecordingError(f"{path} grows more than {LARGEST_RATIO} times when decompressed: it is refused")
        with np.load(path, allow_pickle=False) as arrays:
            events = arrays["data"] if "data" in arrays else arrays[arrays.files[0]]
    needed = ("ev", "exch_ts", "px", "qty")
    if events.ndim != 1 or events.dtype.names is None or not set(needed) <= set(events.dtype.names):
        raise RecordingError(
            f"{path} must hold one array of events with the fields {', '.join(needed)}, got {events.dtype}"
        )
    stamped = events["ev"] & EXCHANGE != 0
    return (events[stamped] if stamped.any() else events), Cleaning(path.name, NAME, rows=len(events))
