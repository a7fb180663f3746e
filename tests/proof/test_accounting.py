"""Wealth, cash and inventory over ten million steps."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from mmenv import Market, Quotes, Tape, initial_state, simulate, step
from mmenv.tape import Flow
from tests.cases import LAWS, random_quotes

pytestmark = pytest.mark.proof

TOLERANCE = 1e-9


@pytest.mark.parametrize("law", LAWS)
def test_ten_million_steps_add_up(law: str, claim: Callable[..., None]) -> None:
    market = Market(max_inventory=6, fill_law=law)
    quotes = random_quotes(np.random.default_rng(0), market)
    worst, steps, largest, forbidden = 0.0, 0, 0, 0
    for episode in range(25):
        paths = simulate(market, quotes, Tape.draw(market, 2000, seed=41, episode=episode))
        # Two independent ledgers: cash from the prices paid, wealth from what was earned and carried.
        bid_price, ask_price = paths.mid[:-1] - paths.bid_depth, paths.mid[:-1] + paths.ask_depth
        paid = np.where(paths.ask_fill, ask_price, 0.0) - np.where(paths.bid_fill, bid_price, 0.0)
        earned = np.where(paths.bid_fill, paths.bid_depth, 0.0) + np.where(paths.ask_fill, paths.ask_depth, 0.0)
        wealth = np.cumsum(earned + paths.inventory[1:] * np.diff(paths.mid, axis=0), axis=0)
        bought = paths.bid_fill.astype(int) - paths.ask_fill
        assert (np.diff(paths.inventory, axis=0) == bought).all()
        for ledger, kept in (
            (np.cumsum(paid, axis=0), paths.cash[1:]),
            (wealth, paths.wealth[1:]),
            (paths.cash + paths.inventory * paths.mid, paths.wealth),
        ):
            worst = max(worst, float(np.abs(ledger - kept).max()))
        largest = max(largest, int(np.abs(paths.inventory).max()))
        forbidden += int(
            paths.bid_fill[paths.inventory[:-1] == 6].sum() + paths.ask_fill[paths.inventory[:-1] == -6].sum()
        )
        steps += paths.bid_fill.size
    assert steps == 10_000_000
    claim("ledgers of wealth and cash, 10^7 steps, largest difference", "1-4", worst, TOLERANCE)
    claim("largest |inventory| where the limit is 6", 1, largest, 6)
    claim("fills of sides that are not quoted", 1, forbidden, 0)


def test_one_session_of_a_million_steps_adds_up(claim: Callable[..., None]) -> None:
    # In Python numbers, against sums that are rounded once.
    market = Market(steps=1_000_000, horizon=5000.0, max_inventory=4, volatility=0.05)
    tape = Tape.draw(market, 1, seed=42)
    rows = zip(*(part[:, 0].tolist() for part in (tape.mid_move, tape.bid_reach, tape.ask_reach)), strict=True)
    state, sources = initial_state(market), []
    for move, bid_reach, ask_reach in rows:
        quotes = Quotes(0.3 + 0.1 * state.inventory, 0.3 - 0.1 * state.inventory)
        state, fills = step(market, state, quotes, Flow(move, bid_reach, ask_reach))
        sources += (fills.bid * quotes.bid_depth, fills.ask * quotes.ask_depth, state.inventory * move)
    assert state.step == market.steps
    difference = abs(state.wealth - math.fsum(sources))
    claim("wealth after one session of 10^6 steps, relative difference", 4, difference / abs(state.wealth), TOLERANCE)
