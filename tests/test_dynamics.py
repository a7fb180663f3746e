"""The step: one function for Python numbers, NumPy and torch, to the last bit; its accounting and its limits."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from mmenv import Market, Quotes, State, Tape, initial_state, simulate, step
from mmenv.tape import Flow
from tests.cases import LAWS, random_quotes

MARKET = Market(steps=150, horizon=0.75, max_inventory=3, min_depth=-0.5, max_depth=1.0)
TAPE = Tape.draw(MARKET, 40, seed=0)
DEPTHS = np.random.default_rng(8).uniform(-0.6, 1.1, size=(2, MARKET.steps, TAPE.paths))


def play(convert: Any, columns: Any) -> list[State]:
    """The states along the tape, with every array turned by `convert`."""
    paths = None if isinstance(columns, int) else TAPE.paths
    state = initial_state(MARKET, paths)
    state = State(state.step, state.regime, *(convert(value) for value in state[2:]))
    states = [state]
    for n in range(MARKET.steps):
        quotes = Quotes(*(convert(side[n, columns]) for side in DEPTHS))
        flow = TAPE.flow(n)
        flow = Flow(*(convert(part[columns]) for part in flow[:3]))
        state, _ = step(MARKET, state, quotes, flow)
        states.append(state)
    return states


def test_python_numpy_and_torch_give_the_same_bits() -> None:
    torch = pytest.importorskip("torch")
    arrays = play(np.asarray, slice(None))
    tensors = play(torch.as_tensor, slice(None))
    for state, other in zip(arrays, tensors, strict=True):
        assert other.cash.dtype == torch.float64
        for name in ("inventory", "cash", "mid", "wealth"):
            np.testing.assert_array_equal(getattr(state, name), getattr(other, name).numpy())
    for column in range(0, TAPE.paths, 7):
        for state, single in zip(
            arrays, play(lambda value: value if isinstance(value, int) else float(value), column), strict=True
        ):
            assert type(single.inventory) is int
            assert type(single.cash) is float
            assert single.inventory == state.inventory[column]
            assert single.cash == state.cash[column]
            assert single.mid == state.mid[column]
            assert single.wealth == state.wealth[column]


def test_simulate_plays_the_same_step() -> None:
    quotes = random_quotes(np.random.default_rng(1), MARKET)
    paths = simulate(MARKET, quotes, TAPE)
    state = initial_state(MARKET, TAPE.paths)
    for n in range(MARKET.steps):
        at = state.inventory + MARKET.max_inventory
        depths = [np.where(np.isfinite(d), d, 0) for d in (quotes.bid_depth[n, 0, at], quotes.ask_depth[n, 0, at])]
        state, fills = step(MARKET, state, Quotes(*depths), TAPE.flow(n))
        np.testing.assert_array_equal(paths.inventory[n + 1], state.inventory)
        np.testing.assert_array_equal(paths.cash[n + 1], state.cash)
        np.testing.assert_array_equal(paths.mid[n + 1], state.mid)
        np.testing.assert_array_equal(paths.bid_fill[n], fills.bid)
        np.testing.assert_array_equal(paths.ask_fill[n], fills.ask)
    np.testing.assert_array_equal(paths.profit, state.wealth)


@pytest.mark.parametrize("law", LAWS)
def test_accounting(law: str) -> None:
    # 10^6 steps. Wealth is tallied from its sources: depths earned, and inventory carried through the moves.
    market = Market(max_inventory=5, fill_law=law)
    paths = simulate(market, random_quotes(np.random.default_rng(2), market), Tape.draw(market, 5_000, seed=4))
    bought, sold = paths.bid_fill.astype(int), paths.ask_fill.astype(int)
    np.testing.assert_array_equal(np.diff(paths.inventory, axis=0), bought - sold)
    np.testing.assert_allclose(paths.wealth, paths.cash + paths.inventory * paths.mid, rtol=0, atol=1e-9)
    earned = np.where(paths.bid_fill, paths.bid_depth, 0) + np.where(paths.ask_fill, paths.ask_depth, 0)
    carried = paths.inventory[1:] * np.diff(paths.mid, axis=0)
    tallied = np.cumsum(earned + carried, axis=0)
    np.testing.assert_allclose(paths.wealth[1:], tallied, rtol=0, atol=1e-9)
    assert np.abs(paths.inventory).max() == 5, "the limit is reached"
    assert not paths.bid_fill[paths.inventory[:-1] == 5].any()
    assert not paths.ask_fill[paths.inventory[:-1] == -5].any()
    assert (paths.bid_depth[paths.inventory[:-1] == 5] == np.inf).all()
    assert (bought & sold).any(), "both sides fill within one step"


@pytest.mark.parametrize("inventory", [-2, -1, 0, 1, 2])
def test_every_outcome_of_one_step(inventory: int) -> None:
    market = Market(max_inventory=2, steps=3)
    before = State(step=1, regime=0, inventory=inventory, cash=50.0, mid=100.0)
    for buys, sells in itertools.product((False, True), repeat=2):
        flow = Flow(mid_move=-1.5, bid_reach=0.5 if buys else 0.25, ask_reach=1.0 if sells else 0.75)
        after, fills = step(market, before, Quotes(0.25, 0.75), flow)
        bought, sold = buys and inventory < 2, sells and inventory > -2
        assert (fills.bid, fills.ask) == (bought, sold), "a reach that only equals the depth does not fill"
        assert after.step == 2
        assert after.inventory == inventory + bought - sold
        assert after.cash == 50.0 - 99.75 * bought + 100.75 * sold
        assert after.mid == 98.5
        assert fills.earned == 0.25 * bought + 0.75 * sold
        assert after.wealth == after.cash + after.inventory * 98.5


def test_the_start_is_flat_and_without_cash() -> None:
    market = Market(initial_mid=37.5)
    assert initial_state(market) == State(0, 0, 0, 0.0, 37.5)
    state = initial_state(market, 3)
    assert (state.inventory == 0).all()
    assert (state.cash == 0).all()
    assert (state.mid == 37.5).all()
    assert (state.wealth == 0).all()


def test_infinite_reach_always_fills_and_never_fills() -> None:
    after, fills = step(MARKET, initial_state(MARKET), Quotes(0.1, 1e300), Flow(0.0, np.inf, -np.inf))
    assert (fills.bid, fills.ask) == (True, False)
    assert after.cash == -(100.0 - 0.1)
