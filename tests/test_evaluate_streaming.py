"""The streamed simulation: the same as playing whole paths, and in agreement with exact evaluation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluate.metrics import estimate
from evaluate.streaming import (
    AT,
    EVALUATION_STREAMS,
    PIECE,
    Lineup,
    Sample,
    Scale,
    merge_all,
    profit_risk_aversion,
    simulate,
    simulated_figures,
)
from mmenv import (
    ExponentialPenalty,
    ExponentialUtility,
    Market,
    Objective,
    QuadraticPenalty,
    QuoteTable,
    Tape,
    evaluate_exactly,
    solve,
)
from mmenv import simulate as play_whole
from tests.cases import random_quotes

MARKET = Market(steps=25, max_inventory=2, arrival_rate=30)
OBJECTIVES = [
    ExponentialPenalty(weight=2.0, rate=0.5, terminal_weight=0.3),
    QuadraticPenalty(weight=0.5),
    ExponentialUtility(0.2),
]


def policies(objective: Objective) -> list[QuoteTable]:
    """The optimum and two policies that differ in every state."""
    rng = np.random.default_rng(3)
    return [solve(MARKET, objective).quotes, random_quotes(rng, MARKET), random_quotes(rng, MARKET).clip(MARKET)]


def lineup_of(objective: Objective, reference: int = 0) -> tuple[Lineup, list[Scale]]:
    scales = []
    for table in policies(objective):
        utility = ExponentialUtility(profit_risk_aversion(objective))
        equivalent = evaluate_exactly(MARKET, utility, table).objective
        exact = evaluate_exactly(MARKET, objective, table)
        scales.append(Scale(exact.objective, equivalent, exact.profit_mean, exact.profit_std))
    return Lineup(MARKET, objective, policies(objective), scales, reference), scales


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_streaming_is_playing_whole_paths(objective: Objective) -> None:
    lineup, scales = lineup_of(objective)
    tape = Tape.draw(MARKET, 300, seed=5)
    columns = lineup.play(tape)
    for i, table in enumerate(policies(objective)):
        paths = play_whole(MARKET, table, tape)
        profit = paths.wealth[-1] - paths.wealth[0]
        np.testing.assert_array_equal(columns["profit"][i], profit)
        np.testing.assert_array_equal(columns["final_inventory"][i], paths.inventory[-1])
        np.testing.assert_array_equal(columns["fills"][i], paths.bid_fill.sum(axis=0) + paths.ask_fill.sum(axis=0))
        both = np.isfinite(paths.bid_depth) & np.isfinite(paths.ask_depth)
        assert both.any()
        assert not both.all()
        np.testing.assert_array_equal(columns["both_quoted"][i], both.sum(axis=0))
        spread = np.where(both, paths.bid_depth + paths.ask_depth, 0.0).sum(axis=0)
        np.testing.assert_allclose(columns["spread"][i], spread, atol=1e-12)
        earned = np.where(paths.bid_fill, paths.bid_depth, 0).sum(axis=0)
        earned += np.where(paths.ask_fill, paths.ask_depth, 0).sum(axis=0)
        np.testing.assert_allclose(columns["spread_earned"][i], earned, atol=1e-12)
        moved = (paths.inventory[1:] * np.diff(paths.mid, axis=0)).sum(axis=0)
        np.testing.assert_allclose(columns["inventory_profit"][i], moved, atol=1e-10)
        penalty = objective.running_penalty(paths.inventory[1:]).sum(axis=0) * MARKET.dt
        penalty = penalty + objective.terminal_penalty(paths.inventory[-1])
        np.testing.assert_allclose(columns["penalty"][i], penalty, atol=1e-12)
        fall = (np.maximum.accumulate(paths.wealth, axis=0) - paths.wealth).max(axis=0)
        np.testing.assert_allclose(columns["drawdown"][i], fall, atol=1e-12)
        if objective.risk_aversion:
            utility = np.exp(-objective.risk_aversion * (profit - scales[i].outcome))
            np.testing.assert_allclose(columns["outcome_utility"][i], utility, rtol=1e-12)


def test_streaming_hedges_too() -> None:
    rng = np.random.default_rng(0)
    market = Market(steps=60, horizon=0.3, max_inventory=4, arrival_rate=60, hedge_cost=0.05, hedge_fixed_cost=0.1)
    objective = ExponentialPenalty(weight=6.0, rate=0.5)
    tables = [QuoteTable(*rng.uniform(0, 1, (2, *market.grid_shape)), rng.integers(-2, 3, market.grid_shape))]
    tables.append(solve(market, objective).quotes)
    tape = Tape.draw(market, 200, seed=3)
    columns = Lineup(market, objective, tables, [Scale(0, 0, 0, 1)] * 2, reference=1).play(tape)
    for i, table in enumerate(tables):
        paths = play_whole(market, table, tape)
        assert paths.hedge.any()
        np.testing.assert_allclose(columns["profit"][i], paths.wealth[-1] - paths.wealth[0], atol=1e-10)
        np.testing.assert_array_equal(columns["final_inventory"][i], paths.inventory[-1])
        both = np.isfinite(paths.bid_depth) & np.isfinite(paths.ask_depth)
        assert i == 1 or not both.all(), "the first policy must feel the limit"
        np.testing.assert_array_equal(columns["both_quoted"][i], both.sum(axis=0))
        spread = np.where(both, paths.bid_depth + paths.ask_depth, 0.0).sum(axis=0)
        np.testing.assert_allclose(columns["spread"][i], spread, atol=1e-12)
        moved = (paths.inventory[1:] * np.diff(paths.mid, axis=0)).sum(axis=0)
        np.testing.assert_allclose(columns["inventory_profit"][i], moved, atol=1e-10)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_simulated_figures_agree_with_exact_ones(objective: Objective) -> None:
    """Every figure that is known exactly lies within 4.5 standard errors: false alarms in 1 of 5,000 such tests."""
    lineup, scales = lineup_of(objective)
    sample = merge_all(simulate(lineup, 40_000, seed=1))
    for i, table in enumerate(policies(objective)):
        exact = evaluate_exactly(MARKET, objective, table)
        utility = ExponentialUtility(profit_risk_aversion(objective))
        known = {
            "value": exact.objective,
            "profit_mean": exact.profit_mean,
            "profit_std": exact.profit_std,
            "certainty_equivalent": evaluate_exactly(MARKET, utility, table).objective,
            "final_inventory_mean": exact.final_inventory_mean,
            "final_inventory_std": exact.final_inventory_std,
            "mean_spread": exact.mean_spread,
        }
        for name, truth in known.items():
            figure = estimate(sample.moments.select(i), simulated_figures(objective, scales[i])[name])
            assert abs(figure.value - truth) <= 4.5 / 1.96 * figure.half_width, (name, figure, truth)
            assert figure.half_width > 0


def test_intervals_of_real_sessions_cover_the_exact_values() -> None:
    objective, repeats = OBJECTIVES[0], 250
    lineup, scales = lineup_of(objective)
    exact = evaluate_exactly(MARKET, objective, policies(objective)[1])
    truth = {"value": exact.objective, "profit_std": exact.profit_std, "mean_spread": exact.mean_spread}
    covered = dict.fromkeys(truth, 0)
    for seed in range(repeats):
        moments = merge_all(simulate(lineup, 400, seed)).moments.select(1)
        for name, value in truth.items():
            figure = estimate(moments, simulated_figures(objective, scales[1])[name])
            covered[name] += figure.low <= value <= figure.high
    slack = 3.9 * math.sqrt(0.95 * 0.05 / repeats)
    assert all(abs(count / repeats - 0.95) <= slack for count in covered.values()), covered


def test_a_piece_of_the_tape_at_a_time() -> None:
    lineup, _ = lineup_of(OBJECTIVES[0])
    pieces = list(simulate(lineup, 2 * PIECE + 1, seed=0))
    assert [piece.moments.count for piece in pieces] == [PIECE, PIECE, 1]
    whole = merge_all(iter(pieces))
    assert (whole.profit.counts.sum(axis=-1) + whole.profit.outside == 2 * PIECE + 1).all()
    assert (whole.drawdown.counts.sum(axis=-1) + whole.drawdown.outside == 2 * PIECE + 1).all()
    # A session's numbers do not depend on how many others are played.
    np.testing.assert_array_equal(pieces[0].moments.mean, next(simulate(lineup, PIECE, seed=0)).moments.mean)


def test_the_reference_stands_beside_every_policy() -> None:
    lineup, _ = lineup_of(OBJECTIVES[0], reference=-1)
    mean = merge_all(simulate(lineup, 100, seed=0)).moments.mean
    columns = mean.shape[1] // 2
    np.testing.assert_allclose(mean[:, columns:], np.broadcast_to(mean[-1, :columns], (3, columns)))
    assert mean[0, AT["profit"]] != mean[1, AT["profit"]]


def test_evaluation_shares_no_session_with_training() -> None:
    """Whatever the seed of a training, below 2^64: the evaluation's tape of the same number is another."""
    lineup, _ = lineup_of(OBJECTIVES[0])
    for seed in (0, 1, 2**64 - 1):
        trained = lineup.count(lineup.play(Tape.draw(MARKET, 64, seed)), np.linspace(0, 1, 3))
        graded: Sample = next(simulate(lineup, 64, seed))
        assert (trained.moments.mean != graded.moments.mean)[:, AT["profit"]].all()
    same = Tape.draw(MARKET, 64, EVALUATION_STREAMS + 7)
    counted = lineup.count(lineup.play(same), np.linspace(0, 1, 3))
    np.testing.assert_array_equal(counted.moments.mean, next(simulate(lineup, 64, 7)).moments.mean)


@pytest.mark.parametrize(
    ("episodes", "seed", "message"),
    [(1, 0, "episodes must be an integer >= 2, got 1"), (10, -1, "seed must be an integer >= 0, got -1")],
)
def test_bad_numbers_are_refused(episodes: int, seed: int, message: str) -> None:
    lineup, _ = lineup_of(OBJECTIVES[0])
    with pytest.raises(ValueError, match=message):
        next(simulate(lineup, episodes, seed))
