"""Cleaning: what is mended and reported, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mmenv.data.recording import SECOND, Quotes, RecordingError, Trades

# Rows a little out of order are sorted: feeds of several connections do that. More than this is another fault.
MOST_BACKWARDS = 60 * SECOND
LARGEST_SHARE = 0.05
DEFAULT_GAP = 60.0


@dataclass
class Cleaning:
    """What was recognised, and what was done to it.

    Attributes:
        source: the file's name.
        recognised: the format, for people.
        rows: rows read.
        duplicates: rows dropped because their id came before.
        unsorted: rows that were earlier than the one before them; sorted in.
        unusable: quotes dropped because a side was empty, or bid >= ask.
        no_side: trades dropped because the venue does not say who was the aggressor.
        gaps: how long each silence is [s].
    """

    source: str
    recognised: str
    rows: int = 0
    duplicates: int = 0
    unsorted: int = 0
    unusable: int = 0
    no_side: int = 0
    gaps: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        done = {
            "duplicates dropped": self.duplicates,
            "rows out of order sorted": self.unsorted,
            "crossed or empty quotes dropped": self.unusable,
            "trades without a side dropped": self.no_side,
        }
        told = [f"{count:,} {what}" for what, count in done.items() if count]
        if self.gaps:
            word = "silence" if len(self.gaps) == 1 else "silences"
            told.append(f"{len(self.gaps):,} {word} left out, of {sum(self.gaps):,.0f} s together")
        mended = ", ".join(told) or "nothing to mend"
        return f"{self.source}: {self.recognised}, {self.rows:,} rows, {mended}"


def clean_trades(
    time: np.ndarray,
    price: np.ndarray,
    side: np.ndarray,
    size: np.ndarray,
    identity: np.ndarray | None,
    report: Cleaning,
) -> Trades:
    """Sort trades by time and drop repeated ones; arrays of shape (rows,).

    Args:
        time: [ns].
        price: [price].
        side: +1, -1, or 0 where unknown.
        size: [units].
        identity: the venue's numbers of the trades, or None.
        report: takes what was done.

    Raises:
        RecordingError: time goes back by more than a minute or in many rows, or no trade is left.
    """
    kept = np.ones(len(time), dtype=bool)
    if identity is not None and len(identity) and not (np.diff(identity) > 0).all():
        _, first = np.unique(identity, return_index=True)
        kept[:] = False
        kept[first] = True
        report.duplicates = int(len(time) - len(first))
    known = side != 0
    report.no_side = int(np.count_nonzero(kept & ~known))
    kept &= known
    order = _sorted(time, np.flatnonzero(kept) if not kept.all() else slice(None), report)
    if isinstance(order, slice):
        trades = Trades(time, price, side, size)
    else:
        trades = Trades(time[order], price[order], side[order], size[order])
    if not len(trades):
        raise RecordingError(f"{report.source} holds no trade with a known side")
    return trades


def clean_quotes(time: np.ndarray, bid: np.ndarray, ask: np.ndarray, report: Cleaning) -> Quotes:
    """Drop crossed and empty quotes, and sort the rest by time; arrays of shape (rows,).

    Raises:
        RecordingError: most quotes are crossed or empty, or time goes back by more than a minute or in many rows.
    """
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(bid) & np.isfinite(ask) & (bid > 0) & (ask > bid)
    report.unusable = int(len(time) - np.count_nonzero(usable))
    if report.unusable > len(time) / 2 or not len(time):
        raise RecordingError(
            f"{report.source}: most of the quotes must have 0 < bid < ask, got {report.unusable:,} of {len(time):,} "
            f"that have not"
        )
    order = _sorted(time, np.flatnonzero(usable) if report.unusable else slice(None), report)
    return Quotes(time[order], bid[order], ask[order])


def _sorted(time: np.ndarray, kept: np.ndarray | slice, report: Cleaning) -> np.ndarray | slice:
    """Indices of the kept rows in order of time; the slice itself where nothing is to be done."""
    steps = np.diff(time[kept])
    back = steps < 0
    report.unsorted = int(np.count_nonzero(back))
    if report.unsorted == 0:
        return kept
    farthest = -int(steps.min())
    if farthest > MOST_BACKWARDS or report.unsorted > max(1, LARGEST_SHARE * len(steps)):
        raise RecordingError(
            f"{report.source}: time must not go backwards by more than {MOST_BACKWARDS / SECOND:g} s or in more than "
            f"{LARGEST_SHARE:.0%} of the rows, got {report.unsorted:,} rows of {len(steps) + 1:,}, by up to "
            f"{farthest / SECOND:g} s"
        )
    index = np.arange(len(time))[kept]
    return index[np.argsort(time[index], kind="stable")]


def silences(time: np.ndarray, longest: float) -> np.ndarray:
    """Where nothing is heard for more than `longest` seconds: beginnings and ends, shape (silences, 2) [ns]."""
    at = np.flatnonzero(np.diff(time) > round(longest * SECOND))
    return np.stack([time[at], time[at + 1]], axis=1)
