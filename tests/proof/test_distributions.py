"""The distributions of the tape, and that these tests would notice a market that is 2 % off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

from mmenv import Market, Tape
from tests.bruteforce import fill_and_miss
from tests.cases import LAWS
from tests.statistics import Z_BOUND, ks_bound, ks_distance, z_of_correlation, z_of_frequency

pytestmark = pytest.mark.proof

MARKETS = {
    "paper": Market(steps=2000, horizon=10.0),
    "certain fills": Market(steps=2000, horizon=50.0, volatility=0.7, depth_decay=0.9),
    "sparse": Market(steps=2000, horizon=1.0, arrival_rate=300, depth_decay=4.0),
}
CASES = [(name, law) for name in MARKETS for law in LAWS]


@cache
def drawn(name: str, law: str) -> tuple[Market, Tape]:
    """Four million moves, and as many reaches on each side."""
    market = replace(MARKETS[name], fill_law=law)
    return market, Tape.draw(market, 2000, seed=31)


def move_distance(tape: Tape, market: Market) -> float:
    size = market.volatility * np.sqrt(market.dt)
    return ks_distance(tape.mid_move, lambda x: stats.norm.cdf(x / size))


def reach_distance(reach: np.ndarray, market: Market) -> float:
    """Distance to the law as a distribution: P(reach <= x) = P(no fill at x)."""
    return ks_distance(reach, lambda x: fill_and_miss(market, x)[1])


def depths(market: Market) -> np.ndarray:
    """Six depths at which quotes fill often and seldom, from certain or nearly so to about 1 in 30."""
    return (np.log(market.arrival_rate * market.dt) + np.array([-0.05, 0.1, 0.5, 1.0, 2.0, 3.5])) / market.depth_decay


def frequency_z(reach: np.ndarray, market: Market, at: np.ndarray) -> list[float]:
    fills = (int((reach > depth).sum()) for depth in at)
    chances = (float(fill_and_miss(market, depth)[0]) for depth in at)
    return [z_of_frequency(hits, reach.size, p) for hits, p in zip(fills, chances, strict=True)]


@pytest.mark.parametrize(("name", "law"), CASES)
def test_moves_and_reaches_have_their_laws(name: str, law: str, claim: Callable[..., None]) -> None:
    market, tape = drawn(name, law)
    bound = ks_bound(tape.mid_move.size)
    claim("moves of the mid: Kolmogorov-Smirnov distance", 3, move_distance(tape, market), bound)
    for reach in (tape.bid_reach, tape.ask_reach):
        claim("reach: Kolmogorov-Smirnov distance", 8, reach_distance(reach, market), bound)
        for z in frequency_z(reach, market, depths(market)):
            claim("fill frequency at 6 depths, in standard errors", "6, 9", z, Z_BOUND)


@pytest.mark.parametrize("factor", [0.98, 1.02])
@pytest.mark.parametrize(("name", "law"), CASES)
def test_two_percent_off_is_seen(name: str, law: str, factor: float, claim: Callable[..., None]) -> None:
    market, tape = drawn(name, law)
    bound = ks_bound(tape.mid_move.size)
    wild = replace(market, volatility=factor * market.volatility)
    claim("power: moves fail with volatility 2 % off", 3, move_distance(tape, wild), bound, at_least=True)
    for wrong in ("arrival_rate", "depth_decay"):
        off = replace(market, **{wrong: factor * getattr(market, wrong)})
        distance = min(reach_distance(reach, off) for reach in (tape.bid_reach, tape.ask_reach))
        claim(f"power: reach fails with {wrong} 2 % off", 8, distance, bound, at_least=True)
        largest = min(max(frequency_z(reach, off, depths(market))) for reach in (tape.bid_reach, tape.ask_reach))
        claim(f"power: fill frequencies fail with {wrong} 2 % off", "6, 9", largest, Z_BOUND, at_least=True)


def pairs(tape: Tape) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What must be independent: within a step, from step to step, and from path to path, near and far."""
    move, bid, ask = tape.mid_move, tape.bid_reach, tape.ask_reach
    found = {"bid and ask": (bid, ask), "move and bid": (move, bid), "move and ask": (move, ask)}
    found |= {"size of move and bid": (abs(move), bid), "size of move and ask": (abs(move), ask)}
    for lag in (1, 2, 32, 64):
        found[f"move, {lag} steps on"] = move[:-lag], move[lag:]
        found[f"size of move, {lag} steps on"] = abs(move[:-lag]), abs(move[lag:])
        found[f"bid, {lag} steps on"] = bid[:-lag], bid[lag:]
        found[f"bid, ask {lag} steps on"] = bid[:-lag], ask[lag:]
        found[f"bid, move {lag} steps on"] = bid[:-lag], move[lag:]
    for apart in (1, 2, 64, 640):
        found[f"move, {apart} paths on"] = move[:, :-apart], move[:, apart:]
        found[f"size of move, {apart} paths on"] = abs(move[:, :-apart]), abs(move[:, apart:])
        found[f"bid, {apart} paths on"] = bid[:, :-apart], bid[:, apart:]
        found[f"bid, ask {apart} paths on"] = bid[:, :-apart], ask[:, apart:]
    return found


@pytest.mark.parametrize("law", LAWS)
def test_nothing_depends_on_anything(law: str, claim: Callable[..., None]) -> None:
    _, tape = drawn("paper", law)
    for first, second in pairs(tape).values():
        claim(
            "independence of time, sides, paths: |correlation|, in standard errors",
            9,
            z_of_correlation(first, second),
            Z_BOUND,
        )
    mixed = tape.ask_reach + 0.005 * tape.bid_reach
    seen = z_of_correlation(tape.bid_reach, mixed)
    claim("power: a dependence of half a percent is seen", 9, seen, Z_BOUND, at_least=True)


def test_episodes_and_seeds_do_not_depend_on_each_other(claim: Callable[..., None]) -> None:
    market = Market(steps=500)
    base = Tape.draw(market, 2048, seed=7, episode=1)
    for seed, episode in ((7, 2), (8, 1), (8, 0), (7 + 64, 1), (7 * 2**32, 1)):
        other = Tape.draw(market, 2048, seed=seed, episode=episode)
        for part in ("mid_move", "bid_reach", "ask_reach"):
            z = z_of_correlation(getattr(base, part), getattr(other, part))
            claim("independence of seeds and episodes: |correlation|, in standard errors", 9, z, Z_BOUND)
