"""Recordings as tapes: made from trades and quotes, saved, loaded, resampled and written out again.

What a replay leaves out: our own orders move nothing and stand in no queue. A quote fills if and only if a trade
went through its price (`rule="through"`), which asks more than a maker at the front of the queue would need and,
since our size adds nothing to the book, less than a large maker would.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmenv import _validate
from mmenv._archives import refusing
from mmenv._files import write_atomically
from mmenv.data.clean import DEFAULT_GAP
from mmenv.data.recording import SECOND, Quotes, RecordingError, Trades, check_tick, infer_tick, quotes_from_trades
from mmenv.data.steps import Steps, cut
from mmenv.market import Market
from mmenv.tape import BLOCK, Tape

RULES = ("through", "touch", "tick")
# Where a trade at our very price is to fill us, the reach is moved by this part of a tick.
NUDGE = 1e-6
FORMAT = 1
LARGEST_FILE = 2**31
ARRAYS = ("mid_move", "bid_reach", "ask_reach", "start")


@dataclass(frozen=True)
class RecordedTape:
    """A tape made from a recording, and what is needed to use it.

    Attributes:
        tape: the sessions, arrays of shape (steps, episodes).
        start: when each session begins [ns], shape (episodes,), rising.
        dt: length of a step [s].
        tick: of the venue's prices [price].
        rule: the fill rule.
        source: where it comes from, for people.
    """

    tape: Tape
    start: np.ndarray
    dt: float
    tick: float
    rule: str
    source: str = ""

    @property
    def span(self) -> tuple[int, int]:
        """When the first session begins and the last one ends [ns]."""
        return int(self.start[0]), int(self.start[-1]) + self.tape.steps * round(self.dt * SECOND)

    def split(self, share: float) -> tuple[RecordedTape, RecordedTape]:
        """The sessions before and after a moment in time, the first part holding about `share` of them.

        Raises:
            RecordingError: a part would be empty.
        """
        share = _validate.real("share", share, above=0)
        at = round(share * self.tape.paths)
        if not 0 < at < self.tape.paths:
            raise RecordingError(f"share must leave sessions on both sides of {self.tape.paths}, got {share!r}")
        return self._select(slice(0, at)), self._select(slice(at, None))

    def check(self, market: Market) -> None:
        """Refuse a market whose sessions are not this tape's.

        Raises:
            ValueError: steps or their length differ, or the market has several regimes, which no recording tells.
        """
        if self.tape.steps != market.steps or not math.isclose(self.dt, market.dt, rel_tol=1e-6):
            raise ValueError(
                f"the tape must have the market's {market.steps} steps of {market.dt:g}, "
                f"got {self.tape.steps} steps of {self.dt:g}"
            )
        if market.regimes > 1:
            raise ValueError(
                f"a recorded tape tells no regimes, so the market must have one, got {market.regimes} "
                f"(calibrate --regimes 1 makes one)"
            )

    def draw_chunks(
        self, market: Market, blocks: range, seed: int, episode: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Sessions for whole blocks of environments, as `mmenv.tape.draw_chunks` draws them from a market.

        Each session begins at a random step of the recording and goes on from there, from its end to its beginning
        where need be, so that clustering and adverse selection stay as they were recorded.

        Yields:
            (mid_move, bid_reach, ask_reach), each of shape (steps, 64 * len(blocks)), once.
        """
        seed = _validate.integer("seed", seed, at_least=0)
        episode = _validate.integer("episode", episode, at_least=0)
        parts = [
            resample(self.tape, BLOCK, self.tape.steps, np.random.SeedSequence(seed, spawn_key=(block, episode)))
            for block in blocks
        ]
        yield tuple(  # type: ignore[misc]
            np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ARRAYS[:3]
        )

    def _select(self, sessions: slice) -> RecordedTape:
        return RecordedTape(
            self.tape.select(sessions), self.start[sessions], self.dt, self.tick, self.rule, self.source
        )


def tape_from_trades(
    trades: Trades | str | os.PathLike[str],
    quotes: Quotes | str | os.PathLike[str] | None = None,
    *,
    dt: float,
    steps: int,
    tick: float | None = None,
    rule: str = "through",
    gap: float = DEFAULT_GAP,
) -> RecordedTape:
    """Turn a recording into a tape: sessions of `steps` steps of `dt`, one after the other.

    Args:
        trades: the trades, or a file of them.
        quotes: the best quotes over the same time, or a file of them; None guesses them from the trades.
        dt: length of a step [s], > 0.
        steps: steps in a session, >= 1; what does not fill a session is dropped.
        tick: of the prices; None reads it from them.
        rule: "through": a quote fills iff a trade went beyond its price. "touch": a trade at the price fills too (the
            front of every queue). "tick": quotes are rounded outward to the tick and a trade must go beyond (the back).
        gap: silences longer than this are left out [s].

    Raises:
        TypeError, ValueError: an argument is out of its range.
        RecordingError: the recording holds no whole session.
    """
    steps = _validate.integer("steps", steps, at_least=1)
    trades, quotes = _read(trades, quotes)
    if tick is None:
        tick = infer_tick(trades.price, *(() if quotes is None else (quotes.bid, quotes.ask)))
    check_tick(tick, trades.price, *(() if quotes is None else (quotes.bid, quotes.ask)))
    if quotes is None:
        quotes = quotes_from_trades(trades, tick)
    return tape_of(cut(trades, quotes, dt, tick, gap), steps, rule)


def _read(
    trades: Trades | str | os.PathLike[str], quotes: Quotes | str | os.PathLike[str] | None
) -> tuple[Trades, Quotes | None]:
    if not (isinstance(trades, Trades) and (quotes is None or isinstance(quotes, Quotes))):
        from mmenv.data.readers import read_quotes, read_trades

        if quotes is not None and not isinstance(quotes, Quotes):
            messages = None if isinstance(trades, Trades) else trades
            quotes = read_quotes(quotes, messages=messages)[0]
        if not isinstance(trades, Trades):
            trades = read_trades(trades)[0]
    return trades, quotes


def tape_of(table: Steps, steps: int, rule: str = "through") -> RecordedTape:
    """Steps in whole sessions that no silence interrupts; see `tape_from_trades`.

    Raises:
        ValueError: an unknown rule.
        RecordingError: there is no whole session.
    """
    rule = _validate.choice("rule", rule, RULES)
    begin = [first + steps * i for first, last in _segments(table.segment) for i in range((last - first) // steps)]
    if not begin:
        raise RecordingError(
            f"the recording holds no whole session of {steps} steps of {table.dt:g} s, got {len(table)} steps"
        )
    index = np.asarray(begin)[None, :] + np.arange(steps)[:, None]
    shift = table.tick * {"through": 0.0, "touch": NUDGE, "tick": NUDGE - 1}[rule]
    tape = Tape(table.mid_move[index], table.bid_reach[index] + shift, table.ask_reach[index] + shift)
    return RecordedTape(tape, table.start[index[0]], table.dt, table.tick, rule)


def _segments(segment: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.r_[True, np.diff(segment) != 0, True])
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def resample(tape: Tape, paths: int, block: int, seed: int | np.random.SeedSequence) -> Tape:
    """Sessions put together from blocks of consecutive steps of recorded ones (circular block bootstrap).

    Within a block everything stays as it was recorded, clustering and adverse selection included.

    Args:
        tape: recorded sessions, taken as one long recording.
        paths: number of sessions wanted, >= 1.
        block: steps in a block, >= 1; the last block of a session is cut to fit.
        seed: any integer >= 0, or a SeedSequence.
    """
    paths = _validate.integer("paths", paths, at_least=1)
    block = min(_validate.integer("block", block, at_least=1), tape.steps)
    if not isinstance(seed, np.random.SeedSequence):
        seed = np.random.SeedSequence(_validate.integer("seed", seed, at_least=0))
    total = tape.steps * tape.paths
    starts = np.random.default_rng(seed).integers(total, size=(-(-tape.steps // block), paths))
    index = (starts[:, None, :] + np.arange(block)[:, None]).reshape(-1, paths)[: tape.steps] % total
    return Tape(*(part.T.ravel()[index] for part in (tape.mid_move, tape.bid_reach, tape.ask_reach)))


def save_tape(path: str | os.PathLike[str], recorded: RecordedTape) -> None:
    """Write a recorded tape as plain arrays (npz); `load_tape` reads it back.

    Raises:
        OSError: the disk is full or the folder cannot be written; what was there is untouched.
    """
    archive = io.BytesIO()
    np.savez(
        archive,
        format=np.int64(FORMAT),
        mid_move=recorded.tape.mid_move,
        bid_reach=recorded.tape.bid_reach,
        ask_reach=recorded.tape.ask_reach,
        start=recorded.start,
        dt=np.float64(recorded.dt),
        tick=np.float64(recorded.tick),
        rule=np.str_(recorded.rule),
        source=np.str_(recorded.source),
    )
    write_atomically(Path(path), archive.getvalue())


def as_recorded(tape: RecordedTape | str | os.PathLike[str], market: Market, reward: str) -> RecordedTape:
    """A recorded tape, or the file of one, checked against the market whose environments are to play it.

    Raises:
        ValueError: steps or their length are not the market's, the market has regimes, or the reward is computed
            from the market's probabilities, which are not the recording's.
        RecordingError: the file is no tape.
    """
    recorded = tape if isinstance(tape, RecordedTape) else load_tape(tape)
    recorded.check(market)
    if reward != "realised":
        raise ValueError(f"on a recorded tape the reward must be 'realised', got {reward!r}")
    return recorded


def load_tape(path: str | os.PathLike[str]) -> RecordedTape:
    """Read a recorded tape. Nothing in the file is executed.

    Raises:
        RecordingError: the file is missing, too large, damaged, or no tape.
    """
    with refusing(path, RecordingError, "recorded tape"):
        if Path(path).exists() and not Path(path).is_file():
            raise RecordingError(f"{path} is no file")  # a device or a pipe may have no end
        with zipfile.ZipFile(Path(path)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST_FILE:
            raise RecordingError(f"{path} must hold at most {LARGEST_FILE} bytes, got {size}")
        with np.load(path, allow_pickle=False) as arrays:
            values: dict[str, Any] = {name: arrays[name] for name in arrays.files}
        if int(values.pop("format")) != FORMAT:
            raise RecordingError(f"{path} must be a tape of format {FORMAT}")
        tape = Tape(values["mid_move"], values["bid_reach"], values["ask_reach"])
        start = np.asarray(values["start"], dtype=np.int64)
        if start.shape != (tape.paths,):
            raise ValueError(f"start must have shape {(tape.paths,)}, got {start.shape}")
        dt, tick = (
            _validate.real("dt", float(values["dt"]), above=0),
            _validate.real("tick", float(values["tick"]), above=0),
        )
        rule = _validate.choice("rule", str(values["rule"]), RULES)
        return RecordedTape(tape, start, dt, tick, rule, str(values["source"]))


def record(
    market: Market, tape: Tape, tick: float, floor: float = -np.inf, start: int = 10**18
) -> tuple[Trades, Quotes]:
    """Write a tape out as trades and quotes, sessions one after the other: the inverse of `tape_from_trades`.

    The mid is rounded to half a tick and each trade's price to the tick, so a reach changes by at most half a tick.
    A step's trades happen in the middle of the step; quotes are one tick wide where the mid lies between two
    ticks and two ticks wide where it lies on one.

    Args:
        market: gives the length of a step and the first mid.
        tape: the sessions.
        tick: of the prices written [price], > 0.
        floor: reaches up to here leave no trade [price].
        start: when the recording begins [ns].

    Raises:
        RecordingError: a price would not be positive.
    """
    step = round(market.dt * SECOND)
    moves, bid, ask = (part.T.ravel() for part in (tape.mid_move, tape.bid_reach, tape.ask_reach))
    half = np.round(np.concatenate([[0.0], np.cumsum(moves)]) / (tick / 2) + round(market.initial_mid / (tick / 2)))
    half = half.astype(np.int64)
    times = start + step * np.arange(len(half), dtype=np.int64)
    low, high = (half - 1) // 2, half // 2 + 1
    if low.min() <= 0:
        raise RecordingError("the mid must stay above a tick to be written out: raise initial_mid")
    columns = []
    for side, reach in ((-1, bid), (1, ask)):
        at = np.flatnonzero(np.isfinite(reach) & (reach > floor))
        ticks = np.round(half[at] / 2 + side * reach[at] / tick)
        columns.append((times[at] + step // 2, ticks * tick, np.full(len(at), side, dtype=np.int8)))
    time, price, sides = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    order = np.argsort(time, kind="stable")
    return Trades(time[order], price[order], sides[order], np.ones(len(time))), Quotes(times, low * tick, high * tick)
