"""Rewards add up to the objective, exactly: expected rewards over the exact visits, realised ones along a tape."""

from __future__ import annotations

import numpy as np
import pytest

from mmenv import ExponentialPenalty, ExponentialUtility, Market, Objective, QuadraticPenalty, Quotes, evaluate_exactly
from mmenv.rewards import Rewards
from tests.bruteforce import fill_and_miss
from tests.cases import LAWS, random_quotes

ADDITIVE = [ExponentialPenalty(weight=2, rate=0.6, terminal_weight=0.3), QuadraticPenalty(1.5, terminal_weight=0.8)]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("objective", ADDITIVE)
def test_expected_rewards_of_all_states_add_up_to_the_exact_objective(objective: Objective, law: str) -> None:
    market = Market(steps=25, horizon=0.2, max_inventory=3, fill_law=law)
    quotes = random_quotes(np.random.default_rng(0), market)
    found = evaluate_exactly(market, objective, quotes)
    rewards, total = Rewards(market, objective, "expected"), 0.0
    for n in range(market.steps):
        depths = [np.where(np.isfinite(side), side, 0.0) for side in (quotes.bid_depth[n, 0], quotes.ask_depth[n, 0])]
        total += found.visits[n, 0] @ rewards.expected(n, market.inventories, Quotes(*depths))
    assert total == pytest.approx(found.objective, rel=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_surrogate_reward_is_its_formula(law: str) -> None:
    market, gamma = Market(steps=10, max_inventory=2, fill_law=law), 0.7
    rewards = Rewards(market, ExponentialUtility(gamma), "surrogate")
    rng = np.random.default_rng(1)
    for q in (-2, -1, 0, 1, 2):
        bid, ask = rng.uniform(-0.5, 2, 2)
        buys = fill_and_miss(market, bid) if q < 2 else (0.0, 1.0)
        sells = fill_and_miss(market, ask) if q > -2 else (0.0, 1.0)
        chances = {q: buys[0] * sells[0] + buys[1] * sells[1], q + 1: buys[0] * sells[1], q - 1: buys[1] * sells[0]}
        square = sum(chance * held**2 for held, chance in chances.items())
        utility = buys[0] * (1 - np.exp(-gamma * bid)) / gamma + sells[0] * (1 - np.exp(-gamma * ask)) / gamma
        formula = utility - gamma * market.volatility**2 / 2 * square * market.dt
        assert rewards.expected(3, q, Quotes(bid, ask)) == pytest.approx(formula, rel=1e-12)
