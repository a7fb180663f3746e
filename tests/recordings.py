"""Recordings for tests: simulated ones with known truth, files in every known format, and the real ones if present."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mmenv import Market, Tape
from mmenv.data import Quotes, Trades, record

SHARED = Path(__file__).parents[2] / "shared" / "data"
MARKET = Market(fill_law="poisson", volatility=2.0, arrival_rate=140.0, depth_decay=1.5, initial_mid=1000.0)
START = 1_700_000_000 * 10**9


def real_files(symbol: str) -> tuple[Path, Path]:
    files = tuple(SHARED / f"{symbol}-{kind}-2024-08-08.csv.gz" for kind in ("trades", "bookTicker"))
    if not all(file.exists() for file in files):
        pytest.skip(f"the recording of {symbol} is not here: {SHARED.name} is no folder beside the repository")
    return files


def simulated(sessions: int, seed: int, tick: float = 0.01, market: Market = MARKET, floor: float = 0.0):
    return record(market, Tape.draw(market, sessions, seed), tick, floor, START)


def small() -> tuple[Trades, Quotes]:
    """Forty steps' worth of recording, every time a whole number of milliseconds."""
    time = START + 10**6 * np.arange(0, 4000, 100)
    bid = 100 + 0.5 * (np.arange(40) % 3)
    side = np.where(np.arange(40) % 2 == 0, 1, -1).astype(np.int8)
    price = np.where(side > 0, bid + 0.5, bid)
    quotes = Quotes(np.concatenate([time, time[-1:] + 10**8]), np.append(bid, 100.0), np.append(bid, 100.0) + 0.5)
    return Trades(time + 5 * 10**7, price, side, np.full(40, 2.0)), quotes


def rows(header: str | None, lines: list[str]) -> bytes:
    return ("\n".join(([header] if header else []) + lines) + "\n").encode()


def binance_trades(trades: Trades, unit: int = 10**6, header: bool = True, spot: bool = False) -> bytes:
    lines = [
        f"{i + 1},{p:.2f},{s},{p * s:.4f},{t // unit},{'true' if side < 0 else 'false'}" + (",true" if spot else "")
        for i, (t, p, side, s) in enumerate(zip(trades.time, trades.price, trades.side, trades.size, strict=True))
    ]
    names = "id,price,qty,quote_qty,time,is_buyer_maker" + (",is_best_match" if spot else "")
    return rows(names if header else None, lines)


def binance_agg(trades: Trades, header: bool = True, spot: bool = False) -> bytes:
    lines = [
        f"{i + 1},{p:.2f},{s},{i},{i},{t // 10**6},{'True' if side < 0 else 'False'}" + (",True" if spot else "")
        for i, (t, p, side, s) in enumerate(zip(trades.time, trades.price, trades.side, trades.size, strict=True))
    ]
    names = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
    return rows(names if header else None, lines)


def binance_quotes(quotes: Quotes, header: bool = True) -> bytes:
    lines = [
        f"{i},{b:.2f},1.5,{a:.2f},2.5,{t // 10**6},{t // 10**6}"
        for i, (t, b, a) in enumerate(zip(quotes.time, quotes.bid, quotes.ask, strict=True))
    ]
    names = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time"
    return rows(names if header else None, lines)


def tardis_trades(trades: Trades) -> bytes:
    lines = [
        f"deribit,BTC-PERPETUAL,{t // 1000},{t // 1000 + 7},{i},{'buy' if side > 0 else 'sell'},{p},{s}"
        for i, (t, p, side, s) in enumerate(zip(trades.time, trades.price, trades.side, trades.size, strict=True))
    ]
    return rows("exchange,symbol,timestamp,local_timestamp,id,side,price,amount", lines)


def tardis_quotes(quotes: Quotes) -> bytes:
    lines = [
        f"deribit,BTC-PERPETUAL,{t // 1000},{t // 1000 + 7},3.0,{a},{b},4.0"
        for t, b, a in zip(quotes.time, quotes.bid, quotes.ask, strict=True)
    ]
    return rows("exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount", lines)


def lobster(trades: Trades, quotes: Quotes) -> tuple[bytes, bytes]:
    """A message and an orderbook file of one day: quotes as new orders (type 1), trades as executions (type 4)."""
    midnight = START - 9 * 3600 * 10**9
    book = [(t, 1, 7, 1, b, 1, a, b) for t, b, a in zip(quotes.time, quotes.bid, quotes.ask, strict=True)]
    at = np.searchsorted(quotes.time, trades.time, side="right") - 1
    book += [
        (t, 4, 8, s, p, -side, quotes.ask[i], quotes.bid[i])  # the direction is the resting order's
        for t, p, side, s, i in zip(trades.time, trades.price, trades.side, trades.size, at, strict=True)
    ]
    book.sort(key=lambda row: row[0])
    messages = [f"{(t - midnight) / 1e9:.9f},{k},{i},{int(s)},{round(p * 1e4)},{d}" for t, k, i, s, p, d, _, _ in book]
    levels = [f"{round(a * 1e4)},100,{round(b * 1e4)},100,9999999999,0,-9999999999,0" for *_, a, b in book]
    return rows(None, messages), rows(None, levels)


def hftbacktest_events(trades: Trades, quotes: Quotes) -> bytes:
    """Built row by row from hftbacktest's documented flags, apart from the code that is tested."""
    flags = {"depth": 1, "trade": 2, "sell": 1 << 28, "buy": 1 << 29, "local": 1 << 30, "exchange": 1 << 31}
    dtype = [("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"), ("qty", "f8")]
    dtype += [("order_id", "u8"), ("ival", "i8"), ("fval", "f8")]
    both, events, seen = flags["local"] | flags["exchange"], [], {}
    for t, b, a in zip(quotes.time, quotes.bid, quotes.ask, strict=True):
        for side, price in (("buy", b), ("sell", a)):
            if side in seen and seen[side] != price:
                events.append((both | flags["depth"] | flags[side], t, t, seen[side], 0.0, 0, 0, 0.0))
            events.append((both | flags["depth"] | flags[side], t, t, price, 5.0, 0, 0, 0.0))
            seen[side] = price
    for t, p, side, s in zip(trades.time, trades.price, trades.side, trades.size, strict=True):
        events.append((both | flags["trade"] | flags["buy" if side > 0 else "sell"], t, t, p, s, 0, 0, 0.0))
    events.sort(key=lambda event: event[1])
    file = io.BytesIO()
    np.savez_compressed(file, data=np.array(events, dtype=dtype))
    return file.getvalue()


def packed(data: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(data)
    if how == "zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("table.csv", data)
        return file.getvalue()
    return data
