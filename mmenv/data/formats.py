"""The files people have: their columns, their units, and how to tell them apart by a first look."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmenv.data.recording import RecordingError

# The unit of a time is told by its size: 2001 to 2286 in each of these.
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
TAKER_SIDE = {"buy": 1, "sell": -1, "b": 1, "s": -1, "bid": 1, "ask": -1, "1": 1, "-1": -1, "1.0": 1, "-1.0": -1}
BUYER_IS_MAKER = {"true": -1, "false": 1, "1": -1, "0": 1}
RESTING_SIDE = {"1": -1, "-1": 1}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Format:
    """How to read one kind of file.

    Attributes:
        name: what it is, for people.
        kind: "trades" or "quotes".
        columns: names of all columns in the order of the file.
        fields: from our names (time, price, size, side, id; time, bid, ask) to the file's.
        header: whether the first line names the columns.
        time_unit: of the file's times, or None to tell by their size.
        sides: from the file's words for a side, in lower case, to +1 (buyer was the aggressor) or -1.
        scale: price of one unit of the file's prices.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    fields: Mapping[str, str]
    header: bool = False
    time_unit: str | None = None
    sides: Mapping[str, int] | None = None
    scale: float = 1.0


def _trades(time: str, price: str, size: str, side: str, **more: str) -> dict[str, str]:
    return {"time": time, "price": price, "size": size, "side": side, **more}


BINANCE_TRADES = ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker")
BINANCE_AGG = (
    "agg_trade_id",
    "price",
    "quantity",
    "first_trade_id",
    "last_trade_id",
    "transact_time",
    "is_buyer_maker",
)
BINANCE_BOOK = (
    "update_id",
    "best_bid_price",
    "best_bid_qty",
    "best_ask_price",
    "best_ask_qty",
    "transaction_time",
    "event_time",
)

# Known headers, by columns that only they have together.
HEADED = (
    Format(
        "Binance trades",
        "trades",
        BINANCE_TRADES,
        _trades("time", "price", "qty", "is_buyer_maker", id="id"),
        sides=BUYER_IS_MAKER,
    ),
    Format(
        "Binance aggTrades",
        "trades",
        BINANCE_AGG,
        _trades("transact_time", "price", "quantity", "is_buyer_maker", id="agg_trade_id"),
        sides=BUYER_IS_MAKER,
    ),
    Format(
        "Binance bookTicker",
        "quotes",
        BINANCE_BOOK,
        {
            "time": "transaction_time",
            "bid": "best_bid_price",
            "ask": "best_ask_price",
            "bid_size": "best_bid_qty",
            "ask_size": "best_ask_qty",
        },
    ),
    Format(
        "Tardis trades",
        "trades",
        ("exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount"),
        _trades("timestamp", "price", "amount", "side"),
        time_unit="us",
        sides={"buy": 1, "sell": -1},
    ),
    Format(
        "Tardis quotes",
        "quotes",
        (
            "exchange",
            "symbol",
            "timestamp",
            "local_timestamp",
            "ask_amount",
            "ask_price",
            "bid_price",
            "bid_amount",
        ),
        {
            "time": "timestamp",
            "bid": "bid_price",
            "ask": "ask_price",
            "bid_size": "bid_amount",
            "ask_size": "ask_amount",
        },
        time_unit="us",
    ),
)

# Known files without a header, by the shape of their cells: i integer, n number, b true or false, d direction.
BARE = (
    ("innnib", HEADED[0].columns, HEADED[0]),
    ("innnibb", (*HEADED[0].columns, "is_best_match"), HEADED[0]),
    ("inniiib", HEADED[1].columns, HEADED[1]),
    ("inniiibb", (*HEADED[1].columns, "is_best_match"), HEADED[1]),
    ("innnnii", HEADED[2].columns, HEADED[2]),
)
LOBSTER_MESSAGES = Format(
    "LOBSTER messages",
    "trades",
    ("time", "type", "order_id", "size", "price", "direction"),
    {**_trades("time", "price", "size", "direction"), "type": "type"},
    time_unit="s",
    sides=RESTING_SIDE,
    scale=1e-4,
)
# Executions of visible and of hidden orders; crosses and auctions (6) are no market orders.
LOBSTER_EXECUTIONS = ("4", "5")


def sniff(lines: Sequence[str]) -> Format:
    """Recognise a text table from its first lines.

    Raises:
        RecordingError: it is none of the known kinds; the message says what was found.
    """
    cells = [cell.strip() for cell in lines[0].split(",")]
    lowered = tuple(cell.lower() for cell in cells)
    for known in HEADED:
        if set(known.fields.values()) <= set(lowered):
            return _with_columns(known, lowered, header=True)
    kinds = [[_kind(cell.strip()) for cell in line.split(",")] for line in lines[:50]]
    for pattern, columns, known in BARE:
        if all(_fits(row, pattern) for row in kinds):
            return _with_columns(known, columns, header=False)
    if all(_fits(row, "niiiid") for row in kinds):
        return LOBSTER_MESSAGES
    shown = ", ".join(cells[:8])
    raise RecordingError(
        f"the columns must be those of Binance trades, aggTrades or bookTicker, Tardis trades or quotes, LOBSTER "
        f"messages, or be named with --columns time=...,price=...,side=..., got {shown[:200]!r}"
    )


def lobster_orderbook(columns: int) -> Format:
    """The format of a LOBSTER orderbook, whose times are those of its message file."""
    names = tuple(
        f"{side}_{what}_{i}"
        for i in range(1, columns // 4 + 1)
        for side in ("ask", "bid")
        for what in ("price", "size")
    )
    fields = {"bid": "bid_price_1", "ask": "ask_price_1"}
    return Format("LOBSTER orderbook", "quotes", names, fields, scale=1e-4)


def is_lobster_orderbook(lines: Sequence[str]) -> bool:
    """Whether lines look like a LOBSTER orderbook: nothing but integers, four columns a level."""
    rows = [[_kind(cell.strip()) for cell in line.split(",")] for line in lines[:50]]
    return all(len(row) % 4 == 0 and len(row) == len(rows[0]) and set(row) <= set("ibd") for row in rows)


def mapped(columns: Mapping[str, str], lines: Sequence[str], time_unit: str | None, side_is: str = "taker") -> Format:
    """A format from a mapping of our names to a file's column names.

    Args:
        columns: time, price, side (and size, id) for trades; time, bid, ask for quotes.
        lines: the first lines of the file; the first must name the columns.
        time_unit: "s", "ms", "us", "ns", or None to tell by the size of the times.
        side_is: whether the side column names the "taker" or the "maker".

    Raises:
        RecordingError: a name is missing or not in the file.
    """
    header = tuple(cell.strip() for cell in lines[0].split(","))
    kind = "quotes" if {"bid", "ask"} <= set(columns) else "trades"
    wanted = ("time", "bid", "ask") if kind == "quotes" else ("time", "price", "side")
    for name in wanted:
        if name not in columns:
            raise RecordingError(f"--columns must name {', '.join(wanted)}, got {', '.join(columns)}")
    for name, column in columns.items():
        if name not in ("time", "price", "side", "size", "id", "bid", "ask", "bid_size", "ask_size"):
            raise RecordingError(
                f"--columns knows time, price, side, size, id, bid, ask, bid_size, ask_size, got {name!r}"
            )
        if column not in header:
            raise RecordingError(
                f"the column {column!r} for {name} is not in the file, whose columns are {', '.join(header)[:200]}"
            )
    sign = 1 if side_is == "taker" else -1
    sides = {word: sign * side for word, side in TAKER_SIDE.items()}
    sides |= {"true": -sign, "false": sign} if side_is == "taker" else {"true": -1, "false": 1}
    return Format("table with named columns", kind, header, dict(columns), True, time_unit, sides)


def time_unit(first: float) -> str:
    """The unit of a time since 1970, told by its size.

    Raises:
        RecordingError: it lies in no unit between the years 2001 and 2286.
    """
    for unit, scale in NANOSECONDS.items():
        if 10**18 <= first * scale < 10**19:
            return unit
    raise RecordingError(
        f"time must count s, ms, us or ns since 1970, got {first:g}; where it counts from elsewhere give --time-unit"
    )


def _with_columns(known: Format, columns: tuple[str, ...], header: bool) -> Format:
    return Format(known.name, known.kind, columns, known.fields, header, known.time_unit, known.sides, known.scale)


def _kind(cell: str) -> str:
    lowered = cell.lower()
    if lowered in ("true", "false"):
        return "b"
    if cell in ("1", "-1"):
        return "d"
    if cell.lstrip("-").isdigit():
        return "i"
    return "n" if NUMBER.fullmatch(cell) else "t"


def _fits(row: Sequence[str], pattern: str) -> bool:
    """Whether kinds of cells fit a pattern: an integer is a number too, and 1 is an integer."""
    allowed = {"i": "id", "n": "nid", "b": "b", "d": "d"}
    return len(row) == len(pattern) and all(cell in allowed[want] for cell, want in zip(row, pattern, strict=True))
