"""A tape written out as trades and quotes and read back gives the same fills; sessions, silences, rules and files."""

import io
import zipfile

import numpy as np
import pytest

from mmenv import Market, Tape, simulate
from mmenv.data import Quotes, RecordingError, Trades, load_tape, record, replay, resample, save_tape, tape_from_trades
from mmenv.data.recording import infer_tick, quotes_from_trades
from mmenv.data.steps import cut
from mmenv.linear_skew import linear_skew_table
from tests import recordings

TICK = 0.01


def round_trip(market: Market, tape: Tape, rule: str = "through", tick: float = TICK):
    trades, quotes = record(market, tape, tick)
    return tape_from_trades(trades, quotes, dt=market.dt, steps=market.steps, tick=tick, rule=rule)


def test_a_tape_comes_back_up_to_half_a_tick():
    tape = Tape.draw(recordings.MARKET, 20, seed=1)
    found = round_trip(recordings.MARKET, tape).tape
    assert (found.steps, found.paths) == (tape.steps, tape.paths)
    for name in ("bid_reach", "ask_reach"):
        assert np.max(np.abs(getattr(found, name) - getattr(tape, name))) <= TICK / 2 * (1 + 1e-9)
    # The mid is rounded to half a tick, not its moves: the errors do not add up.
    assert np.max(np.abs(np.cumsum(found.mid_move - tape.mid_move, axis=0))) <= TICK / 2 * (1 + 1e-9)


def test_the_same_fills_for_any_quotes():
    """Fills may differ only where the reach is within half a tick of the quote."""
    market = recordings.MARKET
    tape = Tape.draw(market, 50, seed=2)
    found = round_trip(market, tape).tape
    depth = np.random.default_rng(3).uniform(-1, 3, (2, *tape.mid_move.shape))
    pairs = ((tape.bid_reach, found.bid_reach), (tape.ask_reach, found.ask_reach))
    for (reach, again), at in zip(pairs, depth, strict=True):
        differ = (reach > at) != (again > at)
        assert np.all(np.abs(reach - at)[differ] <= TICK / 2 * (1 + 1e-9))
        assert 0 < differ.sum() < 50 * 200 * 3 * TICK  # they do differ, about as often as a reach is that near


def test_quotes_on_the_grid_of_an_unrounded_tape_fill_identically():
    """Where the tape is on the tick itself, nothing is rounded and every path is the same."""
    market = Market(fill_law="poisson", initial_mid=1000.0)
    drawn = Tape.draw(market, 10, seed=4)
    on_grid = Tape(*(np.round(part / TICK) * TICK for part in (drawn.mid_move, drawn.bid_reach, drawn.ask_reach)))
    found = round_trip(market, on_grid).tape
    table = linear_skew_table(market, 0.6625, 0.0413)
    ours, theirs = (simulate(market, table, tape) for tape in (on_grid, found))
    np.testing.assert_array_equal(ours.inventory, theirs.inventory)
    np.testing.assert_allclose(ours.wealth, theirs.wealth, atol=1e-8)


def tiny(prices, sides, at, spans=(0, 1, 2)):
    """Trades at times `at` [s] around quotes 99.5 / 100.5 that last whole seconds."""
    time = np.array([round(t * 10**9) for t in at])
    quotes = Quotes(np.array(spans) * 10**9, np.full(len(spans), 99.5), np.full(len(spans), 100.5))
    sides = np.array(sides, dtype=np.int8)
    return Trades(time, np.array(prices, dtype=float), sides, np.ones(len(time))), quotes


def test_a_reach_is_the_deepest_trade_of_the_step_and_no_trade_is_no_reach():
    trades, quotes = tiny([100.5, 102.0, 101.0, 99.5], [1, 1, 1, -1], [0.2, 0.4, 0.6, 0.7])
    found = tape_from_trades(trades, quotes, dt=1.0, steps=2, tick=0.5).tape
    np.testing.assert_array_equal(found.ask_reach[:, 0], [2.0, -np.inf])
    np.testing.assert_array_equal(found.bid_reach[:, 0], [0.5, -np.inf])


def test_a_trade_at_the_end_of_a_step_belongs_to_it_and_a_quote_there_to_the_next():
    """The maker quotes at t_n on what it sees up to t_n; trades stamped t_n are older than its quotes."""
    time = np.array([0, 10**9, 2 * 10**9])
    quotes = Quotes(time, np.array([99.5, 100.5, 100.5]), np.array([100.5, 101.5, 101.5]))
    trades = Trades(time[:2], np.array([100.5, 101.5]), np.array([1, 1], dtype=np.int8), np.ones(2))
    steps = cut(trades, quotes, 1.0, 0.5)
    np.testing.assert_array_equal(steps.ask_reach, [1.5, -np.inf])
    np.testing.assert_array_equal(steps.mid_move, [1.0, 0.0])
    np.testing.assert_array_equal(steps.mid, [100.0, 101.0])


def test_fill_rules_at_the_touch():
    """A buyer paid 100.5. Through: our ask at 100.5 is not filled; touch: it is; tick: 100.0 still is, 100.1 not."""
    trades, quotes = tiny([100.5], [1], [0.5])
    reach = {
        rule: tape_from_trades(trades, quotes, dt=1.0, steps=2, tick=0.5, rule=rule).tape.ask_reach[0, 0]
        for rule in ("through", "touch", "tick")
    }
    assert not reach["through"] > 0.5
    assert reach["through"] > 0.499
    assert reach["touch"] > 0.5
    assert reach["tick"] > 0.0
    assert not reach["tick"] > 0.1
    with pytest.raises(ValueError, match="rule must be one of"):
        tape_from_trades(trades, quotes, dt=1.0, steps=2, tick=0.5, rule="thru")


def test_silences_are_left_out_and_no_session_spans_them():
    spans = [0, 1, 2, 3, 4, 5, 500, 501, 502, 503]
    trades, quotes = tiny([100.5, 101.5], [1, 1], [0.5, 502.5], spans)
    steps = cut(trades, quotes, 1.0, 0.5, gap=60.0)
    np.testing.assert_array_equal(steps.segment, [0, 0, 0, 0, 0, 1, 1, 1])
    found = tape_from_trades(trades, quotes, dt=1.0, steps=2, tick=0.5)
    np.testing.assert_array_equal(found.start // 10**9, [0, 2, 500])
    with pytest.raises(RecordingError, match="no whole session of 6 steps"):
        tape_from_trades(trades, quotes, dt=1.0, steps=6, tick=0.5)


def test_trades_and_quotes_of_different_days_are_refused():
    trades, quotes = tiny([100.5, 100.5], [1, 1], [0.5, 1.5])
    late = Trades(trades.time + 86400 * 10**9, trades.price, trades.side, trades.size)
    with pytest.raises(RecordingError, match="must overlap in time"):
        tape_from_trades(late, quotes, dt=1.0, steps=1, tick=0.5)


def test_quotes_guessed_from_trades():
    trades, _ = tiny([101.0, 99.0, 98.0, 99.5], [1, -1, -1, 1], [0.1, 0.2, 0.3, 0.4])
    quotes = quotes_from_trades(trades, 0.5)
    np.testing.assert_array_equal(quotes.bid, [99.0, 98.0, 98.0])
    np.testing.assert_array_equal(quotes.ask, [101.0, 101.0, 99.5])
    crossed, _ = tiny([101.0, 102.0], [1, -1], [0.1, 0.2])
    assert quotes_from_trades(crossed, 0.5).ask[-1] == 102.5
    with pytest.raises(RecordingError, match="one side only"):
        quotes_from_trades(Trades(trades.time[:1], trades.price[:1], trades.side[:1], trades.size[:1]), 0.5)


def test_the_tick_is_read_from_prices():
    assert infer_tick(np.array([0.3, 0.7, 1.1])) == pytest.approx(0.4)
    assert infer_tick(np.array([61800.2, 61800.3])) == pytest.approx(0.1)
    trades, quotes = tiny([100.5, 100.5], [1, 1], [0.5, 1.5])
    with pytest.raises(RecordingError, match=r"must be multiples of the tick 0\.3"):
        tape_from_trades(trades, quotes, dt=1.0, steps=1, tick=0.3)


def test_resampled_sessions_are_made_of_recorded_blocks():
    steps, paths = 12, 3
    place = np.arange(steps * paths, dtype=float).reshape(paths, steps).T  # each step knows its place in time
    tape = Tape(place, place + 0.25, place + 0.5)
    found = resample(tape, paths=500, block=4, seed=5)
    moves = np.diff(found.mid_move, axis=0) % (steps * paths)
    assert np.all(moves[[0, 1, 2, 4, 5, 6, 8, 9, 10]] == 1)
    np.testing.assert_array_equal(found.bid_reach, found.mid_move + 0.25)
    np.testing.assert_array_equal(found.ask_reach, found.mid_move + 0.5)
    assert len(np.unique(found.mid_move)) == steps * paths  # every recorded step can be drawn
    np.testing.assert_array_equal(found.mid_move, resample(tape, 500, 4, 5).mid_move)
    assert not np.array_equal(found.mid_move, resample(tape, 500, 4, 6).mid_move)


def test_a_split_in_time_keeps_what_was_later_apart():
    found = round_trip(recordings.MARKET, Tape.draw(recordings.MARKET, 10, seed=6))
    early, late = found.split(0.7)
    assert (early.tape.paths, late.tape.paths) == (7, 3)
    assert early.start.max() < late.start.min()
    np.testing.assert_array_equal(late.tape.mid_move, found.tape.mid_move[:, 7:])
    with pytest.raises(RecordingError, match="share must leave sessions on both sides"):
        found.split(0.01)


def test_a_full_disk_leaves_the_tape_that_was_there(tmp_path, monkeypatch):
    path, tapes = tmp_path / "tape.npz", [Tape.draw(recordings.MARKET, 3, seed=seed) for seed in (5, 6)]
    first, second = (round_trip(recordings.MARKET, tape) for tape in tapes)
    save_tape(path, first)
    kept = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_tape(path, second)
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]


def test_tapes_are_saved_and_loaded(tmp_path):
    found = round_trip(recordings.MARKET, Tape.draw(recordings.MARKET, 3, seed=7), rule="touch")
    save_tape(tmp_path / "tape.npz", found)
    again = load_tape(tmp_path / "tape.npz")
    for name in ("mid_move", "bid_reach", "ask_reach"):
        np.testing.assert_array_equal(getattr(again.tape, name), getattr(found.tape, name))
    np.testing.assert_array_equal(again.start, found.start)
    assert (again.dt, again.tick, again.rule) == (found.dt, found.tick, "touch")


def archive(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no tape",
        archive(format=np.int64(1)),
        archive(format=np.int64(9), mid_move=np.zeros((2, 2))),
        archive(format=np.array({"a": 1}, dtype=object)),
        archive(
            format=np.int64(1),
            mid_move=np.full((2, 1), np.nan),
            bid_reach=np.zeros((2, 1)),
            ask_reach=np.zeros((2, 1)),
            start=np.zeros(1),
            dt=1.0,
            tick=1.0,
            rule="through",
            source="",
        ),
    ],
)
def test_broken_tapes_are_refused(tmp_path, data):
    (tmp_path / "tape.npz").write_bytes(data)
    with pytest.raises(RecordingError, match="tape"):
        load_tape(tmp_path / "tape.npz")


def test_tapes_that_grow_absurdly_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(replay, "LARGEST_FILE", 10**6)
    with zipfile.ZipFile(tmp_path / "tape.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mid_move.npy", bytes(10**6 + 1))
    assert (tmp_path / "tape.npz").stat().st_size < 2000
    with pytest.raises(RecordingError, match="must hold at most 1000000 bytes"):
        load_tape(tmp_path / "tape.npz")


def test_the_class_method_reads_files(tmp_path):
    pytest.importorskip("polars")
    trades, quotes = recordings.simulated(2, seed=8)
    paths = [tmp_path / "trades.csv", tmp_path / "quotes.csv"]
    paths[0].write_bytes(recordings.binance_trades(trades, unit=1))
    paths[1].write_bytes(recordings.binance_quotes(quotes))
    dt, steps = recordings.MARKET.dt, recordings.MARKET.steps
    from_files = Tape.from_trades(*paths, dt=dt, steps=steps, tick=TICK)
    from_arrays = Tape.from_trades(trades, quotes, dt=dt, steps=steps, tick=TICK)
    np.testing.assert_array_equal(from_files.ask_reach, from_arrays.ask_reach)
    np.testing.assert_array_equal(from_files.mid_move, from_arrays.mid_move)
