"""Regimes, sides, drift, informed takers, fees and ticks: the plain market is a special case, the rest is exact."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3

import mmenv
from mmenv import (
    ExponentialPenalty,
    ExponentialUtility,
    Market,
    Objective,
    Problem,
    QuadraticPenalty,
    Tape,
    closed_forms,
    evaluate_exactly,
    simulate,
    solve,
)
from mmenv.envs import MarketMakingEnv, MarketMakingVecEnv, MarketMakingVectorEnv
from mmenv.linear_skew import best_linear_skew, linear_skew_table
from mmenv.markout import markout
from mmenv.quotes import quote_table
from mmenv.regimes import rouwenhorst
from mmenv.solver import state_visits
from mmenv.spaces import REGIME_OBSERVATIONS
from tests import bruteforce_markets
from tests.general_markets import RICH, random_market
from tests.statistics import Z_BOUND, Sums

PLAIN = json.loads((Path(__file__).parent / "plain_market.json").read_text(encoding="utf-8"))


def z_of_mean(sample: np.ndarray, expected: float) -> float:
    sums = Sums(float(expected))
    sums.add(sample)
    return sums.z(float(expected))


def random_table(market: Market, seed: int) -> mmenv.QuoteTable:
    rng = np.random.default_rng(seed)
    depths = market.allowed(rng.uniform(market.min_depth, market.max_depth, (2, *market.grid_shape)))
    hedge = rng.integers(-2, 3, market.grid_shape) if market.hedges else None
    return quote_table(*depths, hedge)


def some(values: Any) -> list[float]:
    """Twelve finite numbers of an array, and the sum of them all."""
    flat = np.asarray(values, dtype=float).ravel()
    flat = flat[np.isfinite(flat)]
    return [*flat[np.linspace(0, len(flat) - 1, 12).astype(int)], flat.sum()]


def figures(market: Market, objective: Objective, quotes: mmenv.QuoteTable) -> list[float]:
    e = evaluate_exactly(market, objective, quotes)
    return [
        e.objective,
        e.profit_mean,
        e.profit_std,
        e.final_inventory_mean,
        e.final_inventory_std,
        e.mean_spread,
    ]


@pytest.mark.parametrize("case", PLAIN, ids=[str(i) for i in range(len(PLAIN))])
def test_the_plain_market_gives_what_it_gave_before_it_was_a_special_case(case: dict) -> None:
    market, objective = Market.from_dict(case["market"]), mmenv.objective_from_dict(case["objective"])
    solution = solve(market, objective)
    formula = closed_forms.avellaneda_stoikov(market, 0.1).clip(market)
    tape = Tape.draw(market, 70, seed=5, episode=2)
    found = {
        "value": some(solution.value),
        "bid": some(solution.quotes.bid_depth[..., :-1]),
        "ask": some(solution.quotes.ask_depth[..., 1:]),
        "evaluation": figures(market, objective, solution.quotes),
        "formula": figures(market, objective, formula),
        "continuous": some(closed_forms.continuous_value(market, objective)),
        "linear_skew": list(best_linear_skew(market, objective))[:3],
        "wealth": some(simulate(market, solution.quotes, tape).wealth),
        "observations": some(Problem(market, objective).codec.observations),
    }
    for name, values in found.items():
        np.testing.assert_allclose(values, case[name], rtol=1e-12, atol=1e-12, err_msg=name)
    for values, part in zip(case["tape"], (tape.mid_move, tape.bid_reach, tape.ask_reach), strict=True):
        np.testing.assert_allclose(some(part), values, rtol=1e-12, atol=1e-12)
    for form, expected in case["rewards"].items():
        env = MarketMakingVectorEnv(5, market=market, objective=objective, reward=form)
        seen, _ = env.reset(seed=3)
        total = np.zeros(5)
        for _ in range(market.steps):
            seen, reward, *_ = env.step(np.stack([-0.3 + 0.05 * seen[:, 0], -0.3 - 0.05 * seen[:, 0]], 1))
            total += reward
        np.testing.assert_allclose(total, expected, rtol=1e-12, atol=1e-12, err_msg=form)


@pytest.mark.parametrize("objective", [ExponentialPenalty(), ExponentialUtility(0.5)])
def test_regimes_that_are_alike_are_one_market(objective: Objective) -> None:
    plain = Market(steps=40, max_inventory=6)
    alike = Market(
        steps=40,
        max_inventory=6,
        volatility=[2.0, 2.0],
        bid_arrival_rate=140.0,
        ask_depth_decay=(1.5, 1.5),
        informed_share=(0.3, 0.7),  # of takers whose knowledge is worth nothing
        transition_rates=[[-5, 5], [9, -9]],
        initial_regime=1,
    )
    one, two = solve(plain, objective), solve(alike, objective)
    np.testing.assert_allclose(two.value, np.repeat(one.value, 2, axis=1), rtol=1e-12, atol=1e-12)
    table = random_table(plain, 1)
    doubled = mmenv.QuoteTable(*(np.repeat(side, 2, axis=1) for side in (table.bid_depth, table.ask_depth)))
    np.testing.assert_allclose(figures(alike, objective, doubled), figures(plain, objective, table), rtol=1e-12)


OBJECTIVES = [
    lambda price: ExponentialPenalty(weight=price, rate=0.5, terminal_weight=0.3 * price),
    lambda price: QuadraticPenalty(weight=0.5 * price),
    lambda price: ExponentialUtility(1.2 / price),
    lambda price: ExponentialUtility(0.1 / price),
]


@pytest.mark.parametrize("seed", range(16))
def test_optimum_and_evaluation_agree_with_brute_force(seed: int) -> None:
    market = random_market(np.random.default_rng(seed))
    price = 1 / float(np.max(market.by_regime("bid_depth_decay")))
    objective = OBJECTIVES[seed % 4](price)
    value = solve(market, objective).value
    expected = bruteforce_markets.maximise(market, objective)
    assert np.max(np.abs(value - expected)) <= 1e-6 * price
    # Depths found without a slope are off by 1e-8, which is of first order where the probability is capped.
    assert np.max(expected - value) <= 1e-8 * price, "the brute force found better quotes"
    table = random_table(market, seed)
    found = evaluate_exactly(market, objective, table).value
    depths = (np.where(np.isfinite(side), side, 0.0) for side in (table.bid_depth, table.ask_depth))
    expected = bruteforce_markets.value_of_quotes(market, objective, *depths)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11 * price)


CURVES = [
    {"name": "power", "scale": 0.8, "exponent": 2.5},
    {"name": "power", "scale": 0.3, "exponent": 0.8},
    {"name": "table", "depths": [-0.5, 0.0, 0.4, 0.7, 1.6], "factors": [1.4, 1.0, 0.9, 0.2, 0.05]},
    {"name": "table", "depths": [0.0, 0.5, 1.0, 1.3], "factors": [1.0, 1.0, 0.3, 0.3]},
]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("curve", CURVES, ids=["steep", "fat", "bumpy", "flat"])
def test_other_fill_curves_agree_with_brute_force(curve: dict, seed: int) -> None:
    rng = np.random.default_rng(seed)
    market = Market(
        steps=3,
        horizon=0.1,
        max_inventory=2,
        arrival_rate=float(rng.choice([12.0, 45.0])),
        fill_law=("linear", "poisson")[seed % 2],
        fill_curve=curve,
        min_depth=-0.7,
        max_depth=2.0,
        volatility=1.0,
        tick=0.15 if seed in (4, 5) else None,
        informed_share=0.5 if seed in (2, 3, 6) else 0.0,
        informed_jump=0.4,
    )
    objective = OBJECTIVES[seed % 4](0.7)
    value, expected = solve(market, objective).value, bruteforce_markets.maximise(market, objective)
    assert np.max(np.abs(value - expected)) <= 1e-6
    assert np.max(expected - value) <= 1e-8, "the brute force found better quotes"


@pytest.mark.parametrize("kind", ["linear", "poisson"])
@pytest.mark.parametrize("curve", CURVES, ids=["steep", "fat", "bumpy", "flat"])
def test_the_reach_of_other_curves_has_the_law_as_its_tail(curve: dict, kind: str) -> None:
    market = Market(steps=100, horizon=1.0, arrival_rate=140.0, fill_law=kind, fill_curve=curve)
    tape = Tape.draw(market, 2_000, seed=1)
    for depth in (-0.6, -0.2, 0.0, 0.2, 0.5, 0.69, 0.9, 1.4, 3.0):
        expected = float(bruteforce_markets.tail(market, "bid", 0, np.array(depth)))
        assert market.law.probability(depth) == pytest.approx(expected, rel=1e-12)
        assert z_of_mean(1.0 * (tape.bid_reach > depth).ravel(), expected) <= Z_BOUND


def test_a_table_of_the_exponential_is_the_exponential() -> None:
    """Log-linear interpolation of two points of exp(-k depth) is the curve itself, inside them."""
    plain = Market(steps=20, max_inventory=4)
    table = {"name": "table", "depths": [-3.0, 0.0, 5.0], "factors": np.exp([4.5, 0.0, -7.5]).tolist()}
    for law in ("linear", "poisson"):
        for objective in (ExponentialPenalty(), ExponentialUtility(0.3)):
            market = replace(plain, fill_law=law)
            one, two = solve(market, objective), solve(replace(market, fill_curve=table), objective)
            np.testing.assert_allclose(two.value, one.value, rtol=1e-12, atol=1e-10)
    tapes = [Tape.draw(market, 70, seed=1) for market in (plain, replace(plain, fill_curve=table))]
    inside = np.abs(tapes[0].bid_reach) < 2.9
    np.testing.assert_allclose(tapes[1].bid_reach[inside], tapes[0].bid_reach[inside], atol=1e-12)


def test_a_single_tick_leaves_nothing_to_choose() -> None:
    market = replace(RICH, tick=0.6, min_depth=0.5, max_depth=1.0)
    quotes = solve(market, ExponentialPenalty()).quotes
    assert (quotes.bid_depth[..., :-1] == 0.6).all()
    assert (quotes.ask_depth[..., 1:] == 0.6).all()


def test_a_finer_tick_is_never_worse_and_tends_to_none() -> None:
    market, objective = replace(RICH, min_depth=-0.8, max_depth=1.6), ExponentialPenalty()
    optima = [solve(replace(market, tick=tick), objective).optimum for tick in (0.8, 0.4, 0.2, 0.1, 0.05)]
    free = solve(market, objective).optimum
    gaps = free - np.array(optima)
    assert (gaps > 0).all()
    assert (np.diff(gaps) < 0).all()
    # The loss is of second order in the tick: it falls about fourfold as the tick halves.
    assert gaps[-1] < gaps[-2] / 2.5


@pytest.mark.parametrize("objective", [ExponentialPenalty(), ExponentialUtility(0.3)])
def test_a_fee_is_a_shift_of_the_depths(objective: Objective) -> None:
    """A fee f moves both quotes of the optimum by f in the fills' law: the value is that of A exp(-k f), no fee."""
    fee = 0.13
    market = Market(steps=30, max_inventory=5, min_depth=-5, max_depth=9, arrival_rate=90)
    without = replace(market, arrival_rate=90 * np.exp(-1.5 * fee), min_depth=-5 - fee, max_depth=9 - fee)
    paying, free = solve(replace(market, fee=fee), objective), solve(without, objective)
    np.testing.assert_allclose(paying.value, free.value, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(paying.quotes.bid_depth[..., :-1], free.quotes.bid_depth[..., :-1] + fee, atol=1e-8)
    notional = replace(market, fee_rate=fee / market.initial_mid)
    np.testing.assert_allclose(solve(notional, objective).value, paying.value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("objective", [QuadraticPenalty(1.0), ExponentialUtility(0.3)])
def test_drift_is_what_a_holder_earns(objective: Objective) -> None:
    """Without takers there is only the drift of what is held."""
    market = Market(
        steps=20,
        drift=(4.0, -8.0),
        volatility=(1.0, 2.0),
        arrival_rate=0,
        transition_matrix=[[0.9, 0.1], [0.3, 0.7]],
        max_inventory=2,
    )
    value = solve(market, objective).value[0]
    gamma, q, dt = objective.risk_aversion, 2.0, market.dt
    # Forwards: the vector of E[exp(-gamma Y); z] or of means, over the chain.
    chain, weight, mean = np.array(market.transition_matrix), np.array([1.0, 0.0]), 0.0
    for _ in range(20):
        drift, sigma = q * np.array([4.0, -8.0]) * dt, np.array([1.0, 2.0])
        if gamma:
            weight = weight * np.exp(-gamma * drift + (gamma * q * sigma) ** 2 * dt / 2)
        mean += weight @ drift - q**2 * 1.0 * dt * weight.sum()
        weight = weight @ chain
    expected = -np.log(weight.sum()) / gamma if gamma else mean
    assert value[0, 4] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_hedging_agrees_with_brute_force(seed: int) -> None:
    market = random_market(np.random.default_rng(100 + seed))
    price = 1 / float(np.max(market.by_regime("bid_depth_decay")))
    market = replace(market, hedge_cost=(0.1, 0.3)[seed % 2] * price, hedge_fixed_cost=(0.0, 0.2)[seed // 4] * price)
    objective = OBJECTIVES[seed % 4](price)
    solution = solve(market, objective)
    assert solution.quotes.hedge is not None
    assert solution.quotes.hedge.any(), "nothing is traded: the test would say nothing"
    expected = bruteforce_markets.maximise(market, objective)
    assert np.max(np.abs(solution.value - expected)) <= 1e-6 * price
    evaluated = evaluate_exactly(market, objective, solution.quotes).value
    np.testing.assert_allclose(evaluated, solution.value, rtol=1e-11, atol=1e-10 * price)
    table = random_table(market, seed)
    depths = [np.where(np.isfinite(side), side, 0.0) for side in (table.bid_depth, table.ask_depth)]
    expected = bruteforce_markets.value_of_quotes(market, objective, *depths, table.hedge)
    np.testing.assert_allclose(
        evaluate_exactly(market, objective, table).value, expected, rtol=1e-11, atol=1e-11 * price
    )


def test_trades_leave_a_band_of_inventories_alone() -> None:
    """Free trades hold the best inventory; the dearer they are, the wider the band left alone; some never pay."""
    market, objective = Market(steps=40, horizon=0.2, max_inventory=8), ExponentialPenalty(weight=4.0)
    widths = []
    for cost in (0.0, 0.05, 0.2, 50.0):
        hedge = solve(replace(market, hedge_cost=cost), objective).quotes.hedge[20, 0]  # type: ignore[index]
        still = np.flatnonzero(hedge == 0)
        assert (np.diff(still) == 1).all()
        assert (hedge[: still[0]] > 0).all()
        assert (hedge[still[-1] + 1 :] < 0).all()
        widths.append(len(still))
    assert widths[0] == 1
    assert widths[1] < widths[2]
    assert widths[3] == 17
    without = solve(market, objective)
    np.testing.assert_allclose(
        solve(replace(market, hedge_cost=50.0), objective).value, without.value, rtol=1e-12, atol=1e-12
    )
    # A fixed cost makes trades rarer and larger: from the edge of the band they lead inside it, not to its edge.
    lumpy = solve(replace(market, hedge_cost=0.05, hedge_fixed_cost=0.3), objective).quotes.hedge[20, 0]  # type: ignore[index]
    assert np.count_nonzero(lumpy == 0) > widths[1]
    assert np.min(np.abs(lumpy[lumpy != 0])) > 1


HEDGED = replace(RICH, hedge_cost=0.15, hedge_fixed_cost=0.05)


@pytest.mark.parametrize("market", [RICH, HEDGED], ids=["quotes", "hedges"])
@pytest.mark.parametrize("table", ["optimal", "random"])
def test_simulation_agrees_with_exact_evaluation(table: str, market: Market) -> None:
    objective = ExponentialPenalty()
    quotes = solve(market, objective).quotes if table == "optimal" else random_table(market, 3)
    found = evaluate_exactly(market, objective, quotes)
    tape = Tape.draw(market, 100_000, seed=11)
    paths = simulate(market, quotes, tape)
    final = paths.inventory[-1].astype(float)
    charged = objective.running_penalty(paths.inventory[1:]).sum(axis=0) * market.dt
    utility = np.exp(-0.2 * paths.profit)
    certain = evaluate_exactly(market, ExponentialUtility(0.2), quotes).objective
    samples = {
        "objective": (paths.profit - charged, found.objective),
        "utility": (utility, np.exp(-0.2 * certain)),
        "profit mean": (paths.profit, found.profit_mean),
        "profit variance": ((paths.profit - found.profit_mean) ** 2, found.profit_std**2),
        "final inventory mean": (final, found.final_inventory_mean),
        "final inventory variance": ((final - found.final_inventory_mean) ** 2, found.final_inventory_std**2),
    }
    for name, (sample, expected) in samples.items():
        assert z_of_mean(sample, expected) <= Z_BOUND, name


def test_the_tape_has_the_laws_of_the_market() -> None:
    market, count = RICH, 200_000
    tape = Tape.draw(replace(market, steps=6, horizon=0.03), count, seed=2)
    assert tape.regime is not None
    assert (tape.regime[0] == market.initial_regime).all()
    before, after = tape.regime[:-1], tape.regime[1:]
    tests: list[float] = []
    for z in range(3):
        here = before == z
        for other in range(3):
            tests.append(z_of_mean(1.0 * (after[here] == other), market.transition[z, other]))
        moves, bid, ask = tape.mid_move[here], tape.bid_reach[here], tape.ask_reach[here]
        # A martingale but for the drift, whatever the takers do to it.
        tests.append(z_of_mean(moves, market.by_regime("drift")[z, 0] * market.dt))
        share, jump, sigma = (
            market.by_regime(name)[z, 0] for name in ("informed_share", "informed_jump", "volatility")
        )
        beyond = [float(np.mean(law.probability(0.0)[z, 0])) for law in (market.bid_law, market.ask_law)]
        variance = sigma**2 * market.dt + jump**2 * sum(share * p * (1 - share * p) for p in beyond)
        tests.append(z_of_mean((moves - market.by_regime("drift")[z, 0] * market.dt) ** 2, variance))
        # What a taker tells: the mid moves his way if he came beyond the mid, however far, and not otherwise.
        for reach, sign, p in ((bid, -1, beyond[0]), (ask, 1, beyond[1])):
            drift = market.by_regime("drift")[z, 0] * market.dt
            for told in (reach > 0.4, (reach > 0) & (reach < 0.4)):
                tests.append(z_of_mean(moves[told], drift + sign * share * jump * (1 - p)))
            tests.append(z_of_mean(moves[reach <= 0], drift - sign * share * jump * p))
        for law, reach in ((market.bid_law, bid), (market.ask_law, ask)):
            tests.append(z_of_mean(1.0 * (reach > 0.3), float(law.probability(0.3)[z, 0])))
    assert len(tests) == 39
    assert max(tests) <= Z_BOUND


def test_regimes_and_informed_takers_leave_the_other_streams_alone() -> None:
    plain = Tape.draw(Market(steps=40, volatility=1.0), 70, seed=4)
    two = Market(steps=40, volatility=(1.0, 3.0), transition_matrix=[[0.8, 0.2], [0.5, 0.5]])
    told = replace(two, informed_share=0.5, informed_jump=0.7)
    regimes, jumps = Tape.draw(two, 70, seed=4), Tape.draw(told, 70, seed=4)
    assert regimes.regime is not None
    scale = np.where(regimes.regime[:-1] == 1, 3.0, 1.0)
    np.testing.assert_allclose(regimes.mid_move, plain.mid_move * scale, rtol=1e-14)
    np.testing.assert_array_equal(regimes.bid_reach, plain.bid_reach)
    np.testing.assert_array_equal(jumps.regime, regimes.regime)
    np.testing.assert_array_equal(jumps.ask_reach, plain.ask_reach)
    steps = (jumps.mid_move - regimes.mid_move) / 0.7
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert set(np.round(steps).ravel()) == {-1.0, 0.0, 1.0}


def test_an_environment_sees_the_same_whatever_the_number_of_paths() -> None:
    wide = Tape.draw(RICH, 200, seed=9, episode=3)
    for paths in (1, 64, 65):
        narrow = Tape.draw(RICH, paths, seed=9, episode=3)
        for part in ("mid_move", "bid_reach", "ask_reach", "regime"):
            np.testing.assert_array_equal(getattr(narrow, part), getattr(wide, part)[:, :paths])


@pytest.mark.parametrize("market", [RICH, replace(RICH, tick=0.07), HEDGED], ids=["plain", "tick", "hedge"])
def test_one_tape_through_every_shell(market: Market) -> None:
    rng, count, seed = np.random.default_rng(0), 70, 7
    codec = Problem(market).codec
    actions = rng.uniform(-1.2, 1.2, (*market.grid_shape, codec.components)).astype(np.float32)
    table = codec.table(actions)
    table.check(market)
    tape = Tape.draw(market, count, seed)
    paths = simulate(market, table, tape)
    vector = MarketMakingVectorEnv(count, market=market)
    vec_env = MarketMakingVecEnv(count, market=market, seed=seed, step_info=True)
    singles = {index: MarketMakingEnv(market=market, index=index) for index in (0, 63, 64, 69)}
    vector.reset(seed=seed)
    vec_env.reset()
    for env in singles.values():
        env.reset(seed=seed)
    assert tape.regime is not None
    for n in range(market.steps):
        act = actions[n, tape.regime[n], paths.inventory[n] + market.max_inventory]
        observation, *_, info = vector.step(act)
        infos = vec_env.step(act)[3]
        for name in ("inventory", "cash", "mid", "wealth"):
            expected = getattr(paths, name)[n + 1]
            np.testing.assert_array_equal(info[name], expected, err_msg=name)
            np.testing.assert_array_equal([one[name] for one in infos], expected, err_msg=name)
        if market.hedges:
            np.testing.assert_array_equal(info["hedge"], paths.hedge[n])
        np.testing.assert_array_equal(info["regime"], tape.regime[n + 1])
        np.testing.assert_array_equal(observation[:, 3:].argmax(axis=1), tape.regime[n + 1])
        np.testing.assert_array_equal(observation[:, 3:].sum(axis=1), 1)
        for index, env in singles.items():
            seen, *_, told = env.step(act[index])
            np.testing.assert_array_equal(seen, observation[index])
            for name in told:
                assert told[name] == info[name][index], name


@pytest.mark.parametrize("start", [RICH, HEDGED], ids=["quotes", "hedges"])
@pytest.mark.parametrize("regime", [0, 1, 2])
def test_expected_reward_is_the_mean_of_the_realised_one(regime: int, start: Market) -> None:
    """Mean over 200,000 tapes of the realised reward of a step, within its standard error of the expected one."""
    market = replace(start, steps=1, horizon=0.01, initial_regime=regime)
    objective, count = ExponentialPenalty(terminal_weight=0.2), 200_000
    rewards, codec = {}, Problem(market).codec
    # One quote before the mid, one beyond; and a trade of two units.
    actions = np.tile(np.array([-0.9, 0.1, 0.5][: codec.components], dtype=np.float32), (count, 1))
    for form in ("realised", "expected"):
        env = MarketMakingVectorEnv(count, market=market, objective=objective, reward=form)
        env.reset(seed=1)
        rewards[form] = env.step(actions)[1]
    assert np.ptp(rewards["expected"]) < 1e-12
    assert z_of_mean(rewards["realised"], rewards["expected"][0]) <= Z_BOUND
    table = codec.table(np.broadcast_to(actions[0], (*market.grid_shape, codec.components)))
    assert evaluate_exactly(market, objective, table).objective == pytest.approx(rewards["expected"][0], abs=1e-12)


def test_markouts_agree_with_simulation_and_with_what_informed_takers_cost() -> None:
    quotes, horizons = random_table(RICH, 5), [1, 3, 10]
    exact = markout(RICH, quotes, horizons)
    paths = simulate(RICH, quotes, Tape.draw(RICH, 100_000, seed=3))
    for fills, expected, sign in ((paths.bid_fill, exact.bid, -1), (paths.ask_fill, exact.ask, 1)):
        for h, value in zip(horizons, expected, strict=True):
            known = fills[: RICH.steps - h + 1]
            against = sign * (paths.mid[h:] - paths.mid[:-h]) - value
            assert z_of_mean((against * known).sum(axis=0), 0.0) <= Z_BOUND
    still = Market(steps=20, arrival_rate=60.0, informed_share=0.5, informed_jump=0.4)
    beyond = 60 / 20 * np.exp(0)  # P(reach > 0) is capped at one: a fill tells nothing
    assert beyond > 1
    assert markout(still, quote_table(*np.full((2, *still.grid_shape), 0.9)), [1, 5]).bid == pytest.approx(0, abs=1e-12)
    still = replace(still, steps=200)
    found = markout(still, quote_table(*np.full((2, *still.grid_shape), 0.9)), [1, 5])
    np.testing.assert_allclose(found.bid, 0.5 * 0.4 * (1 - 60 / 200), rtol=1e-12)


def test_toxic_flow_makes_the_maker_wider_and_poorer() -> None:
    market = Market(steps=100, horizon=0.5, arrival_rate=60.0)
    quotes, optima = [], []
    for share in (0.0, 0.3, 0.6, 0.9):
        solution = solve(replace(market, informed_share=share, informed_jump=0.8), ExponentialPenalty())
        quotes.append(solution.quotes.bid_depth[0, 0, 20])
        optima.append(solution.optimum)
    assert (np.diff(quotes) > 0.05).all()
    assert (np.diff(optima) < 0).all()


TELLING = replace(
    RICH,
    steps=100,
    horizon=0.5,
    max_inventory=5,
    volatility=(4.0, 6.0, 5.0),
    drift=(10.0, 30.0, -25.0),
    informed_share=(0.0, 0.6, 0.5),
    informed_jump=(0.0, 1.2, 0.9),
    fee=0.25,
    fee_rate=0.0025,
    max_depth=4.0,
)
POWER = [
    "volatility", "drift", "bid_arrival_rate", "ask_arrival_rate", "bid_depth_decay", "ask_depth_decay",
    "informed_share", "informed_jump", "transition_rates", "fee", "fee_rate", "horizon",
]  # fmt: skip


@pytest.mark.parametrize("name", POWER)
def test_an_error_of_five_percent_in_any_parameter_shows(name: str) -> None:
    """In the mean or the deviation of profit over two million episodes, by more than the bound of our tests.

    The standard error of a deviation is its size over sqrt(2 n) for a Gaussian profit; fat tails get twice that.
    """
    objective = ExponentialPenalty()
    quotes, value = solve(TELLING, objective).quotes, getattr(TELLING, name)
    if name == "transition_rates":
        changed = [[1.05 * rate for rate in row] for row in value]
    else:
        changed = [1.05 * part for part in value] if isinstance(value, tuple) else 1.05 * value
    right, wrong = (
        np.array(figures(market, objective, quotes)[1:3]) for market in (TELLING, replace(TELLING, **{name: changed}))
    )
    errors = right[1] / np.sqrt(2e6) * np.array([1.0, np.sqrt(2)])
    assert np.max(np.abs(right - wrong) / errors) > Z_BOUND


def test_rouwenhorst_keeps_the_moments_of_the_autoregression() -> None:
    for size in (2, 3, 5, 9):
        values, chain = rouwenhorst(size, 0.9, 2.5)
        np.testing.assert_allclose(chain.sum(axis=1), 1, rtol=1e-13)
        np.testing.assert_allclose(chain @ values, 0.9 * values, atol=1e-12)
        weights = np.linalg.matrix_power(chain, 2000)[0]
        assert weights @ values == pytest.approx(0, abs=1e-10)
        assert weights @ values**2 == pytest.approx(2.5**2, rel=1e-10)
        variance = chain @ values**2 - (chain @ values) ** 2
        assert weights @ variance == pytest.approx(2.5**2 * (1 - 0.81), rel=1e-10)


def test_formulas_use_the_parameters_of_the_regime() -> None:
    chain = {"transition_rates": [[-3, 3], [5, -5]]}
    both = Market(steps=20, volatility=(1.0, 3.0), arrival_rate=(80.0, 140.0), depth_decay=(1.5, 2.0), **chain)
    alone = [
        Market(steps=20, volatility=1.0, arrival_rate=80.0, depth_decay=1.5),
        Market(steps=20, volatility=3.0, arrival_rate=140.0, depth_decay=2.0),
    ]
    objective = ExponentialUtility(0.2)
    for table in (
        lambda market: closed_forms.avellaneda_stoikov(market, 0.1),
        lambda market: closed_forms.asymptotic_glft(market, 0.1),
        lambda market: closed_forms.continuous_quotes(market, objective),
    ):
        for z in range(2):
            np.testing.assert_array_equal(table(both).bid_depth[:, z], table(alone[z]).bid_depth[:, 0])
            np.testing.assert_array_equal(table(both).ask_depth[:, z], table(alone[z]).ask_depth[:, 0])


def test_unlike_sides_have_their_limit_in_continuous_time() -> None:
    """The exact optimum tends to the continuous one at first order in dt when only the rates of the sides differ."""
    gaps = []
    for steps in (400, 800):
        market = Market(
            steps=steps, bid_arrival_rate=30.0, ask_arrival_rate=50.0, max_inventory=4, min_depth=-5, max_depth=9
        )
        objective = QuadraticPenalty(1.0)
        gaps.append(solve(market, objective).optimum - closed_forms.continuous_value(market, objective)[0, 0, 4])
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)
    assert abs(gaps[1]) < 0.05


def test_the_best_line_of_each_regime_beats_the_best_common_line() -> None:
    market = Market(
        steps=40, horizon=0.2, max_inventory=5, volatility=(1.0, 3.0), arrival_rate=(60.0, 140.0),
        depth_decay=(3.0, 1.0), transition_rates=[[-8, 8], [8, -8]],
    )  # fmt: skip
    objective = ExponentialPenalty(weight=2.0)
    fit = best_linear_skew(market, objective)
    table = linear_skew_table(market, fit.half_spread, fit.skew, fit.lean).clip(market)
    assert evaluate_exactly(market, objective, table).objective == pytest.approx(fit.objective, rel=1e-12)
    assert fit.lean == (0.0, 0.0)
    half_spread, skew = np.array(fit.half_spread), np.array(fit.skew)
    assert half_spread[1] > 1.5 * half_spread[0]
    rng = np.random.default_rng(0)
    for size in (0.3, 0.03, 0.003):
        for _ in range(30):
            shift = size * rng.normal(size=(2, 2)) * [[0.5], [0.05]]
            other = linear_skew_table(market, half_spread + shift[0], skew + shift[1]).clip(market)
            assert evaluate_exactly(market, objective, other).objective <= fit.objective + 1e-9


def test_visits_follow_the_chain() -> None:
    visits = state_visits(RICH, random_table(RICH, 8))
    np.testing.assert_allclose(visits.sum(axis=(1, 2)), 1, rtol=1e-12)
    now = np.array([0.0, 1.0, 0.0])
    for n in range(RICH.steps + 1):
        np.testing.assert_allclose(visits[n].sum(axis=1), now, rtol=1e-10, atol=1e-14)
        now = now @ RICH.transition


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"volatility": [1.0, 2.0]},
            ["volatility must be one number", "transition_matrix", "got 2 numbers"],
        ),
        ({"volatility": [1, 2], "transition_matrix": [[1, 0], [0, 1], [0, 0]]}, ["transition_matrix", "square"]),
        ({"volatility": [1, 2, 3], "transition_matrix": [[1, 0], [0, 1]]}, ["volatility has 3", "matrix has 2"]),
        ({"transition_matrix": [[0.5, 0.4], [0, 1]]}, ["transition_matrix", "sum to 1"]),
        ({"transition_rates": [[-1, 1], [0, 1]]}, ["transition_rates", "sum to 0"]),
        ({"transition_matrix": [[1.5, -0.5], [0, 1]]}, ["transition_matrix", "negative", "-0.5"]),
        ({"transition_rates": [[0, 0], [0, 0]], "transition_matrix": [[1, 0], [0, 1]]}, ["only one of"]),
        ({"initial_regime": 1}, ["initial_regime", "1"]),
        ({"informed_share": 1.5}, ["informed_share", "at most 1", "1.5"]),
        ({"informed_jump": -1.0}, ["informed_jump", "-1.0", ">= 0"]),
        ({"tick": 0}, ["tick", "0", "> 0"]),
        ({"tick": 5.0, "min_depth": 1.0}, ["tick", "multiple", "5.0"]),
        ({"bid_arrival_rate": "many"}, ["bid_arrival_rate", "many"]),
        ({"drift": [1.0]}, ["drift", "two or more", "[1.0]"]),
        ({"hedge_cost": -0.1}, ["hedge_cost", "-0.1", ">= 0"]),
        ({"hedge_fixed_cost": 0.1}, ["hedge_fixed_cost", "hedge_cost is None", "0.1"]),
        ({"steps": 10**9}, ["steps", "[1, 2439024]", "41 states a step", "1000000000"]),
        ({"max_inventory": 10**7}, ["max_inventory", "[1, 10000]", "10000000"]),
        ({"max_inventory": 2000, "hedge_cost": 0.1}, ["max_inventory", "[1, 1000]", "hedge_cost", "2000"]),
        ({"steps": 10**6, "max_inventory": 500}, ["steps", "[1, 99900]", "1001 states a step", "1000000"]),
        ({"fill_curve": "power"}, ["fill_curve", "mapping", "'power'"]),
        ({"fill_curve": {"name": "powr"}}, ["fill_curve name", "did you mean 'power'"]),
        ({"fill_curve": {"name": "power", "scale": 1}}, ["fill_curve 'power'", "scale, exponent"]),
        ({"fill_curve": {"name": "power", "scale": -1, "exponent": 2}}, ["fill_curve scale", "-1", "> 0"]),
        ({"fill_curve": {"name": "table", "depths": [0, 1], "factors": [1, 2]}}, ["factors must not rise"]),
        ({"fill_curve": {"name": "table", "depths": [1, 0], "factors": [1, 1]}}, ["depths must rise"]),
        ({"fill_curve": {"name": "table", "depths": [1, 2], "factors": [0.5, 0.1]}}, ["1 at depth 0", "0.5"]),
    ],
)
def test_bad_input_gets_one_clear_sentence(arguments: dict, words: list[str]) -> None:
    with pytest.raises((TypeError, ValueError)) as refusal:
        Market(**arguments)
    message = str(refusal.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_tables_off_the_ticks_are_refused_and_rounded_to_the_wider() -> None:
    market = Market(steps=3, max_inventory=1, tick=0.25, min_depth=-0.6, max_depth=1.1)
    table = quote_table(*np.full((2, *market.grid_shape), 0.3))
    with pytest.raises(ValueError, match=r"bid_depth must be a multiple of the tick 0.25"):
        evaluate_exactly(market, ExponentialPenalty(), table)
    assert (table.clip(market).bid_depth[..., :-1] == 0.25).all()
    np.testing.assert_array_equal(
        market.allowed(np.array([-9, -0.4, -0.125, 0.124, 0.125, 0.375, 1.09, 9])),
        [-0.5, -0.5, 0.0, 0.0, 0.25, 0.5, 1.0, 1.0],
    )


def test_a_tape_without_regimes_is_refused_where_there_are_some() -> None:
    with pytest.raises(ValueError, match="regimes"):
        simulate(RICH, random_table(RICH, 0), Tape(*np.zeros((3, RICH.steps, 2))))


@pytest.mark.parametrize("seen", REGIME_OBSERVATIONS)
def test_conventions_hold_however_the_regime_is_told(seen: str) -> None:
    entries = {"one_hot": 3, "values": 7, "hidden": 0}[seen]
    env = gymnasium.make("mmenv/AvellanedaStoikov-v0", market=RICH.to_dict(), regime_observation=seen)
    spec = json.loads(env.spec.to_json())
    assert spec["kwargs"]["regime_observation"] == seen
    assert env.observation_space.shape == (3 + entries,)
    check_env(env.unwrapped, skip_render_check=True)
    check_sb3(env.unwrapped)
    copy = pickle.loads(pickle.dumps(env.unwrapped))
    problem = Problem.from_dict(json.loads(json.dumps(env.unwrapped.problem.to_dict())))
    assert copy.problem == problem == env.unwrapped.problem
    vector = MarketMakingVectorEnv(5, market=RICH, regime_observation=seen)
    vec_env = MarketMakingVecEnv(5, market=RICH, regime_observation=seen, seed=3)
    np.testing.assert_array_equal(vector.reset(seed=3)[0], vec_env.reset())
    middle = mmenv.grade(env, lambda observations: np.zeros((len(observations), 2)))
    assert middle.objective < middle.optimum


def test_the_regime_is_told_by_its_values() -> None:
    codec = Problem(RICH, regime_observation="values").codec
    shown = codec.observations[3, :, RICH.max_inventory]
    volatility, drift = (np.array(getattr(RICH, name)) for name in ("volatility", "drift"))
    np.testing.assert_allclose(shown[:, 3], (volatility - 1.0) / 1.5, rtol=1e-6)
    np.testing.assert_allclose(shown[:, 4], (drift + 9.0) / 15.0, rtol=1e-6)
    np.testing.assert_array_equal(codec.regime(codec.observations[:, 2]), 2)
    hidden = Problem(RICH, regime_observation="hidden").codec
    assert (np.ptp(hidden.observations, axis=1) == 0).all()
    with pytest.raises(ValueError, match="do not tell the regime"):
        hidden.regime(hidden.observations)
    with pytest.raises(
        ValueError, match="regime_observation must be one of 'one_hot', 'values', 'hidden', got 'drift'"
    ):
        Problem(RICH, regime_observation="drift")


def test_values_that_a_float32_cannot_tell_apart_do_not_tell_the_regime() -> None:
    chain = ((0.5, 0.25, 0.25),) * 3
    apart, alike = (Market(volatility=(1.0, 2.0, 2.0 - by), transition_matrix=chain) for by in (1e-3, 1e-9))
    assert Problem(apart, regime_observation="values").codec.tells_regime
    assert not Problem(alike, regime_observation="values").codec.tells_regime


def test_a_market_survives_json() -> None:
    for curve in CURVES:
        market = replace(RICH, fill_curve=curve)
        assert Market.from_dict(json.loads(json.dumps(market.to_dict()))) == market
    assert Market.from_dict(json.loads(json.dumps(RICH.to_dict()))) == RICH
    assert hash(Market.from_dict(RICH.to_dict())) == hash(RICH)
    assert Problem.from_dict(json.loads(json.dumps(Problem(RICH).to_dict()))) == Problem(RICH)
