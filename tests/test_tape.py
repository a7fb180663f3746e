"""The tape: its streams, its distributions (fast versions of the proofs), and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mmenv import Market, Tape
from mmenv.tape import BLOCK, draw_chunks
from tests.bruteforce import fill_and_miss
from tests.cases import LAWS
from tests.statistics import Z_BOUND, ks_bound, ks_distance, z_of_correlation, z_of_frequency

PARTS = ("mid_move", "bid_reach", "ask_reach")
SHORT = Market(steps=70, horizon=0.35)  # more than one chunk, and not a whole number of them


def assert_same(first: Tape, second: Tape) -> None:
    for part in PARTS:
        np.testing.assert_array_equal(getattr(first, part), getattr(second, part))


@pytest.mark.parametrize("seed", [0, 1, 2**40, 2**127 + 5])
def test_an_environment_sees_the_same_whatever_the_number_of_paths(seed: int) -> None:
    widest = Tape.draw(SHORT, 1024, seed)
    for paths in (1, 8, 64, 65, 1000):
        assert_same(Tape.draw(SHORT, paths, seed), widest.select(slice(0, paths)))
    assert_same(Tape.draw(SHORT, 1024, seed), widest)


def test_any_block_can_be_drawn_alone() -> None:
    tape = Tape.draw(SHORT, 3 * BLOCK, seed=3, episode=2)
    chunks = [[part.copy() for part in chunk] for chunk in draw_chunks(SHORT, range(1, 2), 3, 2)]
    for at, part in enumerate(PARTS):
        alone = np.concatenate([chunk[at] for chunk in chunks])
        np.testing.assert_array_equal(alone, getattr(tape, part)[:, BLOCK : 2 * BLOCK])


def test_no_two_streams_share_anything() -> None:
    # Seeds s and s+1, environments, episodes, sides and steps: no draw occurs twice.
    tapes = [Tape.draw(SHORT, 2 * BLOCK, seed, episode) for seed in (0, 1, 2, 64, 2**32) for episode in (0, 1, 2)]
    moves = np.concatenate([tape.mid_move.ravel() for tape in tapes])
    reaches = np.concatenate([side.ravel() for tape in tapes for side in (tape.bid_reach, tape.ask_reach)])
    # Doubles: among 134,400 moves or 268,800 reaches a coincidence has a chance of about one in 10^5.
    assert len(np.unique(moves)) == len(moves)
    assert len(np.unique(reaches)) == len(reaches)
    columns = np.concatenate([tape.mid_move for tape in tapes], axis=1)
    correlations = np.corrcoef(columns.T)[np.triu_indices(columns.shape[1], 1)]
    assert np.abs(correlations).max() < 0.9


def test_the_market_only_scales_the_draws() -> None:
    plain = Tape.draw(SHORT, 5, seed=1)
    wild = Tape.draw(replace(SHORT, volatility=6.0, arrival_rate=280.0, depth_decay=3.0), 5, seed=1)
    np.testing.assert_allclose(wild.mid_move, 3 * plain.mid_move, rtol=1e-15)
    np.testing.assert_allclose(wild.bid_reach, (1.5 * plain.bid_reach + math.log(2)) / 3, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("law", LAWS)
def test_distributions(law: str) -> None:
    market = Market(fill_law=law, steps=400)
    tape = Tape.draw(market, 500, seed=0)
    size = tape.mid_move.size
    move = market.volatility * math.sqrt(market.dt)
    assert ks_distance(tape.mid_move, lambda x: stats.norm.cdf(x / move)) <= ks_bound(size)
    for reach in (tape.bid_reach, tape.ask_reach):
        # Where fills are not certain the reach has the law as its tail.
        assert ks_distance(reach, lambda x: fill_and_miss(market, x)[1]) <= ks_bound(size)
        for depth in (-1.0, -0.3, 0.0, 0.5, 1.0, 2.0):
            p = float(fill_and_miss(market, np.array(depth))[0])
            assert z_of_frequency(int((reach > depth).sum()), size, p) <= Z_BOUND


def test_sides_steps_and_paths_are_independent() -> None:
    tape = Tape.draw(Market(steps=400), 500, seed=0)
    pairs = {
        "sides": (tape.bid_reach, tape.ask_reach),
        "bid and move": (tape.bid_reach, tape.mid_move),
        "ask and move": (tape.ask_reach, tape.mid_move),
        "size of move and reach": (abs(tape.mid_move), tape.bid_reach),
        "time": (tape.mid_move[:-1], tape.mid_move[1:]),
        "size in time": (abs(tape.mid_move[:-1]), abs(tape.mid_move[1:])),
        "bid in time": (tape.bid_reach[:-1], tape.bid_reach[1:]),
        "bid, then ask": (tape.bid_reach[:-1], tape.ask_reach[1:]),
        "paths": (tape.mid_move[:, :-1], tape.mid_move[:, 1:]),
        "bid of paths": (tape.bid_reach[:, :-1], tape.bid_reach[:, 1:]),
    }
    for name, (first, second) in pairs.items():
        assert z_of_correlation(first, second) <= Z_BOUND, name


def test_flow_and_select() -> None:
    tape = Tape.draw(SHORT, 6, seed=1)
    flow = tape.flow(3)
    np.testing.assert_array_equal(flow.mid_move, tape.mid_move[3])
    np.testing.assert_array_equal(flow.bid_reach, tape.bid_reach[3])
    np.testing.assert_array_equal(flow.ask_reach, tape.ask_reach[3])
    assert flow.regime == 0
    some = tape.select(np.array([4, 0]))
    assert (some.steps, some.paths) == (70, 2)
    np.testing.assert_array_equal(some.ask_reach[:, 1], tape.ask_reach[:, 0])


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("paths", 0, ValueError),
        ("paths", 2.0, TypeError),
        ("paths", True, TypeError),
        ("seed", -1, ValueError),
        ("seed", 1.5, TypeError),
        ("seed", None, TypeError),
        ("episode", -1, ValueError),
        ("episode", "1", TypeError),
    ],
)
def test_draw_refuses(argument: str, value: Any, error: type[Exception]) -> None:
    arguments = {"paths": 2, "seed": 1, "episode": 0, argument: value}
    with pytest.raises(error, match=rf"{argument} must be an integer >= \d, got {value!r}"):
        Tape.draw(SHORT, **arguments)


def test_tapes_of_wrong_shape_or_content_are_refused() -> None:
    good = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"bid_reach must have shape .*\(3, 2\), got \(2, 3\)"):
        Tape(good, good.T, good)
    with pytest.raises(ValueError, match=r"mid_move must have shape \(steps, paths\)"):
        Tape(np.zeros(3), np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match=r"regime must have shape \(steps \+ 1, paths\) = \(4, 2\), got \(3, 2\)"):
        Tape(good, good, good, regime=good)
    for bad in (np.zeros((4, 2)), np.full((4, 2), -1)):
        with pytest.raises(ValueError, match=r"regime must hold integers >= 0, got (float|int)\d\d from"):
            Tape(good, good, good, regime=bad)
    assert Tape(good, good, good, regime=np.ones((4, 2), dtype=int).tolist()).flow(0).regime.tolist() == [1, 1]  # type: ignore[arg-type]
    for name in PARTS:
        bad = good.copy()
        bad[1, 1] = np.nan
        with pytest.raises(ValueError, match=f"{name} must hold no NaN, got 1"):
            Tape(**{part: good for part in PARTS} | {name: bad})
    bad = np.full((3, 2), np.inf)
    with pytest.raises(ValueError, match="mid_move must be finite"):
        Tape(bad, good, good)
    assert Tape(good, bad, -bad).paths == 2, "reaches may be infinite"
