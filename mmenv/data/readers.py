"""Readers of recorded markets: any known file in, clean arrays out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmenv._extras import needs
from mmenv.data import formats, hftbacktest
from mmenv.data.clean import Cleaning, clean_quotes, clean_trades
from mmenv.data.formats import Format
from mmenv.data.recording import Quotes, RecordingError, Trades
from mmenv.data.sources import ZIP, Block, blocks, head, lines_of, magic

with needs("data"):
    import polars as pl

MOST_ROWS = 200_000_000
LARGEST_NANOSECONDS = 9.2e18
NUMBERS = ("price", "size", "bid", "ask", "bid_size", "ask_size")
Columns = dict[str, np.ndarray]


def read_trades(
    path: str | os.PathLike[str],
    columns: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    side_is: str = "taker",
    bar: bool = False,
) -> tuple[Trades, Cleaning]:
    """Read trades: Binance trades or aggTrades, Tardis trades, LOBSTER messages, hftbacktest npz, or a named mapping.

    Text may be plain, gzip or zip. Memory: about 33 bytes a trade, and one block of text.

    Args:
        path: the file.
        columns: from time, price, side (size, id) to the names of columns, for a table of another kind.
        time_unit: "s", "ms", "us" or "ns"; None tells by the size of the times.
        side_is: with `columns`: whether the side names the "taker" or the "maker".
        bar: whether to draw a progress bar to stderr.

    Returns:
        The trades, and what was recognised and cleaned.

    Raises:
        RecordingError: the file cannot be read or used; the message is one sentence.
    """
    path = Path(path)
    if _is_npz(path):
        return hftbacktest.read_trades(path)
    form = _recognise(path, columns, time_unit, side_is)
    if form.kind != "trades":
        raise RecordingError(f"{path} must hold trades, got {form.name}")
    report = Cleaning(path.name, form.name)
    table = _table(path, form, bar, report)
    identity = table.get("id")
    size = table.get("size", np.full(len(table["time"]), np.nan))
    return clean_trades(table["time"], table["price"], table["side"], size, identity, report), report


def read_quotes(
    path: str | os.PathLike[str],
    columns: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    messages: str | os.PathLike[str] | None = None,
    bar: bool = False,
) -> tuple[Quotes, Cleaning]:
    """Read best quotes: Binance bookTicker, Tardis quotes, a LOBSTER orderbook, hftbacktest npz, or a named mapping.

    Args:
        path: the file.
        columns: from time, bid, ask (bid_size, ask_size) to the names of columns, for a table of another kind.
        time_unit: as in `read_trades`.
        messages: the message file that goes with a LOBSTER orderbook and has its times.
        bar: whether to draw a progress bar to stderr.

    Returns:
        The quotes, and what was recognised and cleaned.

    Raises:
        RecordingError: the file cannot be read or used; the message is one sentence.
    """
    path = Path(path)
    if _is_npz(path):
        return hftbacktest.read_quotes(path)
    lines = head(path)
    if columns is None and formats.is_lobster_orderbook(lines):
        return _lobster_quotes(path, lines, messages, bar)
    form = _recognise(path, columns, time_unit)
    if form.kind != "quotes":
        raise RecordingError(f"{path} must hold quotes, got {form.name}")
    report = Cleaning(path.name, form.name)
    table = _table(path, form, bar, report)
    for side in ("bid", "ask"):
        if f"{side}_size" in table:
            table[side][~(table[f"{side}_size"] > 0)] = np.nan
    return clean_quotes(table["time"], table["bid"], table["ask"], report), report


def _lobster_quotes(
    path: Path, lines: list[str], messages: str | os.PathLike[str] | None, bar: bool
) -> tuple[Quotes, Cleaning]:
    if messages is None:
        raise RecordingError(
            f"{path} looks like a LOBSTER orderbook, whose times are in its message file: give that too"
        )
    form = formats.lobster_orderbook(len(lines[0].split(",")))
    report = Cleaning(path.name, form.name)
    table = _table(path, form, bar, report)
    timed = replace(formats.LOBSTER_MESSAGES, fields={"time": "time"}, name="LOBSTER messages")
    time = _table(Path(messages), timed, False, Cleaning("", ""))["time"]
    if len(time) != len(table["bid"]):
        raise RecordingError(
            f"{path} must have a row for each of the {len(time):,} messages, got {len(table['bid']):,}"
        )
    return clean_quotes(time, table["bid"], table["ask"], report), report


def _is_npz(path: Path) -> bool:
    return magic(path) == ZIP and hftbacktest.is_npz(path)


def _recognise(path: Path, columns: Mapping[str, str] | None, time_unit: str | None, side_is: str = "taker") -> Format:
    """The format of a text file, its time unit settled."""
    lines = head(path)
    form = formats.sniff(lines) if columns is None else formats.mapped(columns, lines, time_unit, side_is)
    unit = time_unit or form.time_unit or _unit_of(path, form, lines)
    return replace(form, time_unit=unit, name=f"{form.name} ({unit})")


def _unit_of(path: Path, form: Format, lines: list[str]) -> str:
    data = lines[1:] if form.header else lines
    if not data:
        raise RecordingError(f"{path} holds a header and no rows")
    cells = data[0].split(",")
    column = form.columns.index(form.fields["time"])
    try:
        return formats.time_unit(float(cells[column]))
    except (IndexError, ValueError) as error:
        if isinstance(error, RecordingError):
            raise RecordingError(f"{path}: {error}") from error
        raise RecordingError(f"{path}, line {1 + form.header}: time must be a number, got {data[0][:80]!r}") from error


def _table(path: Path, form: Format, bar: bool, report: Cleaning) -> Columns:
    """All rows of a text file as arrays by our names."""
    parts: list[Columns] = []
    rows = 0
    for block in blocks(path, bar):
        part = _parse(path, form, block)
        rows += len(next(iter(part.values())))
        if rows > MOST_ROWS:
            raise RecordingError(f"{path} must hold at most {MOST_ROWS:,} rows: cut it into pieces")
        parts.append(part)
    if not rows:
        raise RecordingError(f"{path} holds no rows of {form.name}")
    report.rows = rows
    table: Columns = {}
    for name in list(parts[0]):  # one column after the other, to free the parts as we go
        table[name] = np.concatenate([part.pop(name) for part in parts])
    return table


def _parse(path: Path, form: Format, block: Block) -> Columns:
    skip = 1 if form.header and block.line == 1 else 0
    used = {column: name for name, column in form.fields.items()}
    position = {f"column_{form.columns.index(column) + 1}": name for column, name in used.items()}
    schema = {f"column_{i}": _dtype(used.get(column), form) for i, column in enumerate(form.columns, start=1)}
    try:
        frame = pl.read_csv(
            block.data,
            has_header=False,
            skip_rows=skip,
            schema=schema,
            columns=list(position),
            quote_char=None,
            truncate_ragged_lines=False,
        )
    except pl.exceptions.NoDataError:
        frame = pl.DataFrame(schema={column: schema[column] for column in position})
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}, {_first_fault(form, block, skip)}") from error
    frame = frame.rename(position)
    if block.data.count(b",") != (len(frame) + skip) * (len(form.columns) - 1):
        raise RecordingError(f"{path}, {_first_fault(form, block, skip)}")
    _refuse_empty(path, form, block, skip, frame)
    return _columns(path, form, block, skip, frame)


def _dtype(name: str | None, form: Format) -> pl.DataType | type[pl.DataType]:
    if name == "time":
        return pl.Float64 if form.time_unit == "s" else pl.Int64
    if name == "id":
        return pl.Int64
    return pl.Float64 if name in NUMBERS else pl.String


def _refuse_empty(path: Path, form: Format, block: Block, skip: int, frame: pl.DataFrame) -> None:
    """Empty cells are refused in trades and times; in quotes they are an empty side of the book."""
    for name in frame.columns:
        if frame[name].null_count() and (form.kind == "trades" or name == "time"):
            row = int(frame[name].is_null().arg_max() or 0)
            raise RecordingError(f"{path}, line {block.line + skip + row}: {name} must not be empty")


def _columns(path: Path, form: Format, block: Block, skip: int, frame: pl.DataFrame) -> Columns:
    def refuse(name: str, wrong: np.ndarray, wanted: str) -> None:
        row = int(np.argmax(wrong))
        raise RecordingError(f"{path}, line {block.line + skip + row}: {name} must be {wanted}, got {frame[name][row]}")

    table: Columns = {}
    for name in frame.columns:
        if name in NUMBERS:
            table[name] = frame[name].fill_null(np.nan).to_numpy().astype(float)
            if form.scale != 1.0 and name in ("price", "bid", "ask"):
                table[name] *= form.scale
        elif name == "id":
            table[name] = frame[name].to_numpy()
    if form.kind == "trades" and "price" in table:
        wrong = ~(np.isfinite(table["price"]) & (table["price"] > 0))
        if wrong.any() and "type" not in frame.columns:
            refuse("price", wrong, "a finite number > 0")
    if "time" in frame.columns:
        scale = formats.NANOSECONDS[form.time_unit or "ns"]
        time = frame["time"].to_numpy()
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(time * float(scale)) < LARGEST_NANOSECONDS)
        if wrong.any():
            refuse("time", wrong, f"a time in {form.time_unit}")
        table["time"] = np.round(time * scale).astype(np.int64) if time.dtype.kind == "f" else time * scale
    if "side" in frame.columns:
        table["side"] = _sides(path, form, block, skip, frame)
    if "type" in frame.columns:
        kept = frame["type"].is_in(formats.LOBSTER_EXECUTIONS).to_numpy()
        table = {name: values[kept] for name, values in table.items()}
    return table


def _sides(path: Path, form: Format, block: Block, skip: int, frame: pl.DataFrame) -> np.ndarray:
    words = frame["side"].str.strip_chars().str.to_lowercase()
    assert form.sides is not None
    sides = words.replace_strict({**form.sides, "unknown": 0}, default=None, return_dtype=pl.Int8)
    if sides.null_count():
        row = int(sides.is_null().arg_max() or 0)
        known = ", ".join(sorted(form.sides))
        raise RecordingError(
            f"{path}, line {block.line + skip + row}: side must be one of {known}, got {frame['side'][row][:40]!r}"
        )
    return sides.to_numpy()


def _first_fault(form: Format, block: Block, skip: int) -> str:
    """The first line of a block that does not parse, in words."""
    used = {column: name for name, column in form.fields.items()}
    for offset, line in enumerate(lines_of(block.data)[skip:]):
        cells = line.rstrip("\r").split(",")
        if not line.strip():
            continue
        where = f"line {block.line + skip + offset}"
        if len(cells) != len(form.columns):
            return f"{where}: a row of {form.name} must have {len(form.columns)} columns, got {len(cells)}"
        for column, cell in zip(form.columns, cells, strict=True):
            name = used.get(column)
            dtype = _dtype(name, form)
            if name is None or dtype == pl.String or not cell.strip():
                continue
            if pl.Series([cell.strip()]).cast(dtype, strict=False).null_count():
                kind = "a whole number" if dtype == pl.Int64 else "a number"
                return f"{where}: {name} must be {kind}, got {cell[:40]!r}"
    return f"line {block.line}: the lines from here on cannot be read as {form.name}"
