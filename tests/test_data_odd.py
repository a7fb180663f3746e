"""Recordings of odd but legal shapes: each calibrates, or is refused in one clear sentence."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

pytest.importorskip("polars")

from mmenv import Market, Problem, Tape
from mmenv.__main__ import main
from mmenv.data import Quotes, Trades, record
from tests import recordings

TRUE_RATE = 140.0


@dataclass(frozen=True)
class Odd:
    """A recording as bytes, and words to calibrate it with."""

    trades: bytes
    quotes: bytes | None
    words: list[str] = field(default_factory=list)


def simulated(scale: float = 1.0, mid: float = 1000.0, tick: float = 0.01) -> tuple[Trades, Quotes]:
    """Twenty sessions of the default market, all prices `scale` times as large."""
    market = Market(
        fill_law="poisson",
        initial_mid=mid,
        volatility=2.0 * scale,
        depth_decay=1.5 / scale,
        min_depth=-scale,
        max_depth=3 * scale,
    )
    return record(market, Tape.draw(market, 20, 3), tick, 0.0, recordings.START)


def files(trades: Trades, quotes: Quotes | None, digits: int = 2, *words: str) -> Odd:
    rows = [
        f"{i},{price:.{digits}f},1,{price:.{digits}f},{time // 10**6},{'true' if side < 0 else 'false'}"
        for i, (time, price, side) in enumerate(zip(trades.time, trades.price, trades.side, strict=True))
    ]
    book = None
    if quotes is not None:
        book = recordings.rows(
            None,
            [
                f"{i},{bid:.{digits}f},1.5,{ask:.{digits}f},2.5,{time // 10**6},{time // 10**6}"
                for i, (time, bid, ask) in enumerate(zip(quotes.time, quotes.bid, quotes.ask, strict=True))
            ],
        )
    return Odd(recordings.rows(None, rows), book, list(words))


def some(trades: Trades, which: np.ndarray | list[int]) -> Trades:
    return Trades(trades.time[which], trades.price[which], trades.side[which], trades.size[which])


def moved(quotes: Quotes, seconds: float) -> Quotes:
    return Quotes(quotes.time + round(seconds * 1e9), quotes.bid, quotes.ask)


def burst(trades: Trades, count: int) -> Trades:
    """One timestamp gets so many trades more, buyers and sellers in turn."""
    at = np.r_[np.arange(500), np.full(count, 500), np.arange(500, len(trades))]
    side = trades.side[at]
    side[500 : 500 + count] = np.resize([1, -1], count)
    return Trades(trades.time[at], trades.price[at], side, trades.size[at])


TRADES, QUOTES = simulated()
STILL = Quotes(QUOTES.time, np.full(len(QUOTES), 999.99), np.full(len(QUOTES), 1000.01))
FINE = files(TRADES, QUOTES)
WORK = {
    "spot, microseconds, no header": Odd(
        recordings.binance_trades(TRADES, 1000, header=False, spot=True), recordings.binance_quotes(QUOTES)
    ),
    "prices in billions": files(*simulated(1e6, 1e9, 1e4), 0),
    "tiny prices, a tick of 1e-8": files(*simulated(1e-6, 1e-3, 1e-8), 8),
    "a tick of 1e-8 far below the prices": files(*simulated(tick=1e-8), 8),
    "a hundred thousand trades in one timestamp": files(burst(TRADES, 100_000), QUOTES),
    "carriage returns, a mark of byte order, blank lines at the end": Odd(
        b"\xef\xbb\xbf" + FINE.trades.replace(b"\n", b"\r\n") + b"\r\n\r\n", (FINE.quotes or b"") + b"\n"
    ),
}
REFUSED = {
    "takers on one side": (files(some(TRADES, TRADES.side > 0), QUOTES), "bid side: a fill curve needs at least 10"),
    "the same without quotes": (
        files(some(TRADES, TRADES.side > 0), None),
        "cannot be guessed from trades",
    ),
    "a single trade": (files(some(TRADES, [5]), QUOTES), "at least 20 market orders beyond the floor 0.01"),
    "a single trade, no quotes": (files(some(TRADES, [5]), None), "give it with --tick"),
    "one instant": (files(some(TRADES, np.zeros(99, dtype=int)), QUOTES), "at least 20 market orders beyond the floor"),
    "a mid that stands still": (files(TRADES, STILL), "a mid that moves, got one that never does"),
    "a single quote": (files(TRADES, Quotes(STILL.time[:1], STILL.bid[:1], STILL.ask[:1])), "must overlap in time"),
    "quotes only after the trades": (files(TRADES, moved(QUOTES, 30.0)), "must overlap in time, got trades from"),
    "quotes only before the trades": (
        files(TRADES, moved(QUOTES, -3e5)),
        "must overlap in time, got trades from",
    ),
}


def calibrate(odd: Odd, tmp_path) -> int:
    (tmp_path / "trades.csv").write_bytes(odd.trades)
    paths = [str(tmp_path / "trades.csv")]
    if odd.quotes is not None:
        (tmp_path / "quotes.csv").write_bytes(odd.quotes)
        paths.append(str(tmp_path / "quotes.csv"))
    return main(["calibrate", *paths, *odd.words, "--no-figures", "-o", str(tmp_path / "out")])


@pytest.mark.parametrize("name", WORK)
def test_these_work(name, tmp_path, capsys):
    assert calibrate(WORK[name], tmp_path) == 0
    assert capsys.readouterr().err == ""
    market = Problem.from_arguments(**json.loads((tmp_path / "out" / "market.json").read_text())).market
    # 2000 steps and both sides: ln A is known to 0.05.
    assert abs(np.log(market.arrival_rate / TRUE_RATE)) < 4 * 0.05


@pytest.mark.parametrize("name", REFUSED)
def test_these_are_refused(name, tmp_path, capsys):
    odd, message = REFUSED[name]
    assert calibrate(odd, tmp_path) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_silences_are_told(tmp_path, capsys):
    """The second half comes a minute and a half later; no step spans the time between."""
    half = len(QUOTES) // 2
    moment = QUOTES.time[half]
    later = Quotes(QUOTES.time + np.where(np.arange(len(QUOTES)) >= half, 90, 0) * 10**9, QUOTES.bid, QUOTES.ask)
    trades = Trades(TRADES.time + (TRADES.time >= moment) * 90 * 10**9, TRADES.price, TRADES.side, TRADES.size)
    assert calibrate(files(trades, later), tmp_path) == 0
    printed = capsys.readouterr().out
    assert "1 silence left out, of 90 s together" in printed
    seconds = json.loads((tmp_path / "out" / "calibration.json").read_text())["seconds"]
    assert 19.9 < seconds <= 20.0
