"""Every known format gives the same recording back; every broken file is refused in one clear sentence."""

import gzip
import io
import zipfile

import numpy as np
import pytest

pytest.importorskip("polars")

from mmenv.data import RecordingError, hftbacktest, read_quotes, read_trades, sources
from tests import recordings

TRADES, QUOTES = recordings.small()
TRADE_FILES = {
    "futures trades": recordings.binance_trades(TRADES),
    "futures trades, no header": recordings.binance_trades(TRADES, header=False),
    "spot trades in microseconds": recordings.binance_trades(TRADES, unit=1000, header=False, spot=True),
    "spot trades in milliseconds": recordings.binance_trades(TRADES, header=False, spot=True),
    "futures aggTrades": recordings.binance_agg(TRADES),
    "futures aggTrades, no header": recordings.binance_agg(TRADES, header=False),
    "spot aggTrades": recordings.binance_agg(TRADES, header=False, spot=True),
    "tardis": recordings.tardis_trades(TRADES),
    "hftbacktest": recordings.hftbacktest_events(TRADES, QUOTES),
}
QUOTE_FILES = {
    "bookTicker": recordings.binance_quotes(QUOTES),
    "bookTicker, no header": recordings.binance_quotes(QUOTES, header=False),
    "tardis": recordings.tardis_quotes(QUOTES),
    "hftbacktest": recordings.hftbacktest_events(TRADES, QUOTES),
}


def write(tmp_path, data: bytes, name: str = "file.csv"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def assert_same(found, expected, shift: int = 0) -> None:
    np.testing.assert_array_equal(found.time + shift, expected.time)
    for name in set(expected.__dataclass_fields__) - {"time"}:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)


@pytest.mark.parametrize("how", ["plain", "gzip", "zip"])
@pytest.mark.parametrize("name", TRADE_FILES)
def test_trades_come_back(tmp_path, name, how):
    data = TRADE_FILES[name] if name == "hftbacktest" else recordings.packed(TRADE_FILES[name], how)
    trades, report = read_trades(write(tmp_path, data))
    assert_same(trades, TRADES)
    assert (report.duplicates, report.unsorted, report.no_side) == (0, 0, 0)


@pytest.mark.parametrize("name", QUOTE_FILES)
def test_quotes_come_back(tmp_path, name):
    quotes, report = read_quotes(write(tmp_path, QUOTE_FILES[name]))
    assert_same(quotes, QUOTES)
    assert report.unusable == 0


def test_lobster_comes_back_with_the_aggressor_opposite_to_the_resting_order(tmp_path):
    messages, book = recordings.lobster(TRADES, QUOTES)
    path = write(tmp_path, messages, "message.csv")
    trades, _ = read_trades(path)
    quotes, _ = read_quotes(write(tmp_path, book, "book.csv"), messages=path)
    shift = recordings.START - 9 * 3600 * 10**9
    assert_same(trades, TRADES, shift)
    at = np.searchsorted(quotes.time + shift, QUOTES.time, side="right") - 1
    np.testing.assert_allclose(quotes.mid[at], QUOTES.mid)


def test_named_columns(tmp_path):
    lines = [
        f"{t / 1e9:.3f};{p};{'S' if s > 0 else 'B'}".replace(";", ",")
        for t, p, s in zip(TRADES.time, TRADES.price, TRADES.side, strict=True)
    ]
    path = write(tmp_path, recordings.rows("when,px,resting", lines))
    columns = {"time": "when", "price": "px", "side": "resting"}
    trades, _ = read_trades(path, columns, time_unit="s", side_is="maker")
    np.testing.assert_array_equal(trades.side, TRADES.side)
    np.testing.assert_allclose(trades.time, TRADES.time, atol=1000)  # a float counts seconds to 0.2 microseconds
    with pytest.raises(RecordingError, match="'nope' for side is not in the file"):
        read_trades(path, columns | {"side": "nope"})


def test_blocks_cut_lines_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 100)
    trades, _ = read_trades(write(tmp_path, gzip.compress(TRADE_FILES["futures trades"])))
    assert_same(trades, TRADES)


def test_lines_that_end_as_on_windows_and_a_byte_order_mark(tmp_path):
    data = b"\xef\xbb\xbf" + TRADE_FILES["futures trades"].replace(b"\n", b"\r\n")
    assert_same(read_trades(write(tmp_path, data))[0], TRADES)


def test_numbers_beyond_their_range_are_refused(tmp_path):
    moment = "1700000000650"
    for old, new in ((moment, "99999999999999999999"), (moment, "9223372036854775807"), ("7,", "1e9,")):
        with pytest.raises(RecordingError, match=r"line 8: (time|id) must be"):
            read_trades(write(tmp_path, changed(7, old, new)))


def test_cleaning_is_reported(tmp_path):
    lines = recordings.binance_trades(TRADES).decode().splitlines()
    messy = [*lines[:11], lines[10], lines[12], lines[11], *lines[13:]]
    trades, report = read_trades(write(tmp_path, recordings.rows(None, messy)))
    assert_same(trades, TRADES)
    assert (report.duplicates, report.unsorted) == (1, 1)
    late = recordings.tardis_trades(TRADES).decode().splitlines()
    late[5], late[6] = late[6], late[5]
    trades, report = read_trades(write(tmp_path, recordings.rows(None, late)))
    assert_same(trades, TRADES)
    assert report.unsorted == 1
    quotes = recordings.binance_quotes(QUOTES).decode().splitlines()
    quotes[3] = quotes[3].replace(",1.5,", ",0,")
    quotes[4] = "4,,,,,1700000000300,1700000000300"
    found, report = read_quotes(write(tmp_path, recordings.rows(None, quotes)))
    assert report.unusable == 2
    assert len(found) == len(QUOTES) - 2


def bomb() -> bytes:
    """A zip file of a few kilobytes whose one table has a hundred million bytes."""
    line = b"1,100.00,1.0,100.0,1700000000000,true\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("t.csv", "w") as member:
        for _ in range(100):
            member.write(line * (10**6 // len(line)))
    return file.getvalue()


GOOD = recordings.binance_trades(TRADES).decode().splitlines()


def changed(row: int, old: str, new: str) -> bytes:
    lines = list(GOOD)
    assert old in lines[row]
    lines[row] = lines[row].replace(old, new)
    return recordings.rows(None, lines)


BROKEN = {
    "empty": (b"", "is empty"),
    "other columns": (b"a,b,c\n1,2,3\n", "the columns must be those of Binance trades"),
    "text in a price": (changed(7, "100.50", "cheap"), "line 8: price must be a number, got 'cheap'"),
    "text in a time": (changed(7, "1700000000650", "noon"), "line 8: time must be a whole number, got 'noon'"),
    "negative price": (changed(7, "100.50", "-3.0"), "line 8: price must be a finite number > 0, got -3"),
    "infinite price": (changed(7, "100.50", "inf"), "line 8: price must be a finite number > 0, got inf"),
    "absurd price": (changed(7, "100.50", "1e300"), "price must be at most 1e.10 in every trade, got 1e.300"),
    "empty price": (changed(7, "100.50", ""), "line 8: price must not be empty"),
    "unknown side": (changed(7, "false", "perhaps"), "line 8: side must be one of .* got 'perhaps'"),
    "too few columns": (changed(7, ",false", ""), "line 8: a row of Binance trades .* must have 6 columns, got 5"),
    "too many columns": (
        changed(7, "false", "false,1"),
        "line 8: a row of Binance trades .* must have 6 columns, got 7",
    ),
    "time far back": (changed(7, "1700000000650", "1600000000650"), "time must not go backwards"),
    "time without unit": (recordings.rows(None, [line.replace("17000000", "17") for line in GOOD]), "time must count"),
    "only a header": (recordings.rows(None, GOOD[:1]), "holds a header and no rows"),
    "binary": (bytes(range(256)) * 10, "no text table"),
    "one endless line": (b"1," * 200_000, "no lines of reasonable length"),
    "cut off gzip": (gzip.compress("\n".join(GOOD).encode())[:-30], "is cut off"),
    "damaged gzip": (gzip.compress(b"x")[:12] + b"garbage", "damaged|cut off"),
    "damaged zip": (b"PK\x03\x04 and nothing more", "damaged"),
    "bomb": (bomb(), "grows more than 200 times"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_get_one_clear_sentence(tmp_path, name):
    data, message = BROKEN[name]
    with pytest.raises(RecordingError, match=message) as caught:
        read_trades(write(tmp_path, data))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_other_refusals(tmp_path):
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        read_trades(tmp_path / "nothing.csv")
    trades = write(tmp_path, TRADE_FILES["futures trades"])
    with pytest.raises(RecordingError, match="must hold quotes, got Binance trades"):
        read_quotes(trades)
    quotes = write(tmp_path, QUOTE_FILES["bookTicker"], "quotes.csv")
    with pytest.raises(RecordingError, match="must hold trades, got Binance bookTicker"):
        read_trades(quotes)
    book = write(tmp_path, recordings.lobster(TRADES, QUOTES)[1], "book.csv")
    with pytest.raises(RecordingError, match="LOBSTER orderbook, whose times are in its message file"):
        read_quotes(book)
    with pytest.raises(RecordingError, match="must have a row for each of the"):
        read_quotes(book, messages=write(tmp_path, recordings.lobster(TRADES, QUOTES)[0][:2000], "m.csv"))


def test_events_that_grow_absurdly_are_refused(tmp_path):
    file = io.BytesIO()
    np.savez_compressed(file, data=np.zeros(2**20, dtype=hftbacktest.EVENT))
    with pytest.raises(RecordingError, match="grows more than 200 times"):
        read_trades(write(tmp_path, file.getvalue(), "events.npz"))


def test_arrays_with_pickles_are_refused(tmp_path):
    file = io.BytesIO()
    np.savez(file, data=np.array([{"a": 1}], dtype=object))
    with pytest.raises(RecordingError, match="no readable npz file"):
        read_trades(write(tmp_path, file.getvalue(), "events.npz"))
    file = io.BytesIO()
    np.savez(file, data=np.zeros(3))
    with pytest.raises(RecordingError, match="must hold one array of events"):
        read_trades(write(tmp_path, file.getvalue(), "events.npz"))


def test_recordings_are_written_for_hftbacktest_and_read_back(tmp_path):
    trades, quotes = recordings.simulated(2, seed=31)
    hftbacktest.write_events(tmp_path / "events.npz", trades, quotes)
    assert_same(read_trades(tmp_path / "events.npz")[0], trades)
    found, _ = read_quotes(tmp_path / "events.npz")
    at = np.searchsorted(found.time, quotes.time, side="right") - 1  # quotes that do not change are not repeated
    np.testing.assert_allclose(found.bid[at], quotes.bid)
    np.testing.assert_allclose(found.ask[at], quotes.ask)


@pytest.mark.parametrize(("symbol", "trades", "quotes"), [("BTCUSDT", 21_313, 66_089), ("ETHUSDT", 14_076, 53_992)])
def test_real_files(symbol, trades, quotes):
    files = recordings.real_files(symbol)
    found, report = read_trades(files[0])
    assert len(found) == trades
    assert report.recognised == "Binance trades (ms)"
    found, report = read_quotes(files[1])
    assert len(found) == quotes
    assert report.unusable == 0
