"""The advantage map: its costs add up to the gap, state by state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluate.advantage import advantage_map, mean_depth_error
from mmenv import (
    ExponentialPenalty,
    ExponentialUtility,
    Market,
    Objective,
    QuadraticPenalty,
    QuoteTable,
    Tape,
    evaluate_exactly,
    simulate,
    solve,
)
from mmenv.solver import action_values
from tests import general_markets
from tests.cases import random_market, random_objective, random_quotes

HEDGED = Market(steps=12, max_inventory=3, arrival_rate=60, hedge_cost=0.05, hedge_fixed_cost=0.1)
OBJECTIVES = [ExponentialPenalty(terminal_weight=0.1), ExponentialUtility(0.3)]


@pytest.mark.parametrize("seed", range(40))
def test_costs_add_up_to_the_gap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng)
    objective = random_objective(rng, market)
    solution = solve(market, objective)
    for quotes in (random_quotes(rng, market).clip(market), noisy(rng, market, solution.quotes, 0.05)):
        value = evaluate_exactly(market, objective, quotes).objective
        losses = advantage_map(solution, quotes)
        assert losses.gap == pytest.approx(solution.optimum - value, rel=1e-9, abs=1e-10 * abs(solution.optimum))
        assert losses.cost.min() >= -1e-12 * max(1.0, abs(solution.optimum))


@pytest.mark.parametrize("gamma", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(12))
def test_costs_add_up_to_the_gap_in_rich_markets(seed: int, gamma: float) -> None:
    """Regimes, drift, informed takers, unlike sides, fees and ticks."""
    rng = np.random.default_rng(seed)
    market = general_markets.random_market(rng, steps=6)
    objective = ExponentialUtility(gamma) if gamma else ExponentialPenalty(weight=0.5, rate=0.8)
    solution = solve(market, objective)
    quotes = noisy(rng, market, solution.quotes, 0.3)
    gap = solution.optimum - evaluate_exactly(market, objective, quotes).objective
    assert gap > 1e-6
    losses = advantage_map(solution, quotes)
    assert losses.gap == pytest.approx(gap, rel=1e-9, abs=1e-12)
    if not gamma:
        exact = evaluate_exactly(market, objective, quotes).visits[:-1]
        np.testing.assert_allclose(losses.visits / losses.visits[0].sum(), exact, atol=1e-12)


@pytest.mark.parametrize("objective", [QuadraticPenalty(2.0), ExponentialUtility(0.4)], ids=lambda o: o.name)
@pytest.mark.parametrize("market", [HEDGED, replace(general_markets.RICH, steps=8, hedge_cost=0.05)])
def test_costs_add_up_to_the_gap_where_inventory_can_be_traded_away(market: Market, objective: Objective) -> None:
    rng = np.random.default_rng(4)
    solution = solve(market, objective)
    assert solution.quotes.hedge is not None
    assert solution.quotes.hedge.any()
    quotes = noisy(rng, market, solution.quotes, 0.3)
    quotes = replace(quotes, hedge=rng.integers(-2, 3, market.grid_shape))
    quotes = QuoteTable(
        *(np.nan_to_num(side, posinf=0.5) for side in (quotes.bid_depth, quotes.ask_depth)), quotes.hedge
    )
    gap = solution.optimum - evaluate_exactly(market, objective, quotes).objective
    assert gap > 0.1
    assert advantage_map(solution, quotes).gap == pytest.approx(gap, rel=1e-9)


def noisy(rng: np.random.Generator, market: Market, quotes: QuoteTable, size: float) -> QuoteTable:
    """Quotes with noise, within the box."""
    bid, ask = (side + rng.normal(0, size, market.grid_shape) for side in (quotes.bid_depth, quotes.ask_depth))
    return QuoteTable(bid, ask).clip(market)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_the_gap_of_the_default_market_to_ten_digits_of_the_optimum(objective: Objective) -> None:
    market = Market()
    solution = solve(market, objective)
    quotes = noisy(np.random.default_rng(0), market, solution.quotes, 0.02)
    gap = solution.optimum - evaluate_exactly(market, objective, quotes).objective
    assert abs(advantage_map(solution, quotes).gap - gap) <= 1e-10 * solution.optimum


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_a_flaw_in_one_state_costs_in_that_state(objective: Objective) -> None:
    market = Market(steps=30, max_inventory=4, fill_law="poisson")
    solution = solve(market, objective)
    bid = solution.quotes.bid_depth.copy()
    bid[17, 0, 5] += 0.4
    flawed = QuoteTable(bid, solution.quotes.ask_depth)
    losses = advantage_map(solution, flawed)
    gap = solution.optimum - evaluate_exactly(market, objective, flawed).objective
    assert gap > 1e-5
    assert losses.cost[17, 0, 5] == pytest.approx(gap, rel=1e-9)
    assert losses.costliest(1) == [(17, 0, 5)]
    assert np.delete(losses.cost.ravel(), np.ravel_multi_index((17, 0, 5), losses.cost.shape)).sum() < 1e-12


def test_the_optimum_costs_nothing() -> None:
    solution = solve(Market(), ExponentialPenalty())
    losses = advantage_map(solution, solution.quotes)
    assert np.abs(losses.cost).max() <= 1e-14
    np.testing.assert_allclose(losses.visits.sum(axis=(1, 2)), 1.0, rtol=1e-12)


def test_weighted_visits_of_the_optimum_add_up_to_one() -> None:
    solution = solve(Market(steps=50), ExponentialUtility(0.5))
    visits = advantage_map(solution, solution.quotes).visits
    np.testing.assert_allclose(visits.sum(axis=(1, 2)), 1.0, rtol=1e-10)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_action_values_are_those_of_quoting_once_and_then_optimally(objective: Objective) -> None:
    market = Market(steps=12, max_inventory=3, fill_law="poisson")
    solution = solve(market, objective)
    quotes = random_quotes(np.random.default_rng(1), market).clip(market)
    values = action_values(solution, quotes)
    for n in (0, 5, 11):
        bid, ask = solution.quotes.bid_depth.copy(), solution.quotes.ask_depth.copy()
        bid[n], ask[n] = quotes.bid_depth[n], quotes.ask_depth[n]
        once = evaluate_exactly(market, objective, QuoteTable(bid, ask)).value[n]
        np.testing.assert_allclose(values[n], once, rtol=1e-12, atol=1e-12)


def test_losses_beyond_any_float_still_add_up() -> None:
    """At gamma = 2 a reckless policy is 10^400 times worse in utility; its gap is still a number."""
    market, objective = Market(), ExponentialUtility(2.0)
    solution = solve(market, objective)
    quotes = random_quotes(np.random.default_rng(2), market).clip(market)
    gap = solution.optimum - evaluate_exactly(market, objective, quotes).objective
    assert gap * objective.risk_aversion > 710
    assert advantage_map(solution, quotes).gap == pytest.approx(gap, rel=1e-10)


def test_depth_error_of_a_known_error() -> None:
    """The bid 0.02 off in the first half of the session, the ask 0.1 off in the second: means by hand."""
    market = Market(steps=10, max_inventory=4)
    best = solve(market, ExponentialPenalty()).quotes
    early = np.arange(10)[:, None, None] < 5
    ours = QuoteTable(best.bid_depth + 0.02 * early, best.ask_depth - 0.1 * ~early)
    visits = evaluate_exactly(market, ExponentialPenalty(), ours).visits[:-1]
    bids, asks = 10 - visits[..., -1].sum(), 10 - visits[..., 0].sum()  # quotes posted: none at the limits
    wide, narrow = 5 - visits[:5, ..., -1].sum(), 5 - visits[5:, ..., 0].sum()
    expected = (0.02 * wide + 0.1 * narrow) / (bids + asks)
    assert mean_depth_error(ours, best, visits) == pytest.approx(expected, rel=1e-12)
    assert mean_depth_error(best, best, visits) == 0


def test_depth_error_agrees_with_simulated_sessions() -> None:
    """The same mean over the quotes of 20,000 sessions in which both sides are quoted throughout."""
    market = Market(steps=20, max_inventory=12, arrival_rate=30)
    best = solve(market, ExponentialPenalty()).quotes
    rng = np.random.default_rng(3)
    ours = noisy(rng, market, best, 0.2)
    visits = evaluate_exactly(market, ExponentialPenalty(), ours).visits[:-1]
    paths = simulate(market, ours, Tape.draw(market, 20_000, seed=4))
    n, at = np.arange(20)[:, None], paths.inventory[:-1] + market.max_inventory
    assert abs(at - market.max_inventory).max() < market.max_inventory
    sides = ((paths.bid_depth, best.bid_depth), (paths.ask_depth, best.ask_depth))
    by_session = np.mean([np.abs(depth - table[n, 0, at]).mean(axis=0) for depth, table in sides], axis=0)
    error = by_session.std() / np.sqrt(20_000)
    assert abs(mean_depth_error(ours, best, visits) - by_session.mean()) < 5 * error


def test_depth_error_leaves_out_other_hedges() -> None:
    """Long by one, the policy hedges to another inventory than the best: what it quotes there does not count."""
    market = Market(steps=12, max_inventory=3, arrival_rate=6, hedge_cost=0.05, hedge_fixed_cost=0.1)
    best = solve(market, OBJECTIVES[0]).quotes
    assert best.hedge is not None
    visits = evaluate_exactly(market, OBJECTIVES[0], best).visits[:-1]
    moved = np.arange(7) == np.full(market.grid_shape, 4)
    assert 0 < visits[moved].sum() < visits.sum()
    hedge = np.where(moved, best.hedge + np.where(best.held > 3, -1, 1), best.hedge)
    away = QuoteTable(*(np.where(moved, 9.0, depth + 0.25) for depth in (best.bid_depth, best.ask_depth)), hedge)
    assert mean_depth_error(away, best, visits) == pytest.approx(0.25)
    assert np.isnan(mean_depth_error(away, best, visits * moved))
