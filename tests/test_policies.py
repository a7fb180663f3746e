"""Policies of `agents` and their fits: known numbers, brute force, conventions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import agents
from mmenv import (
    ExponentialPenalty,
    ExponentialUtility,
    Market,
    QuadraticPenalty,
    RiskNeutral,
    closed_forms,
    evaluate_exactly,
    solve,
)
from mmenv.fitting import objectives_of
from mmenv.linear_skew import best_linear_skew, linear_skew_table
from mmenv.objectives import Objective
from tests.cases import random_market, random_objective, random_quotes

SMALL = Market(steps=30, max_inventory=4)
POLICIES: list[Any] = [
    agents.AvellanedaStoikov(),
    agents.GueantLehalleFernandezTapia(),
    agents.GueantLehalleFernandezTapia(0.2, finite_horizon=True),
    agents.ContinuousOptimal(ExponentialPenalty()),
    agents.Optimal(ExponentialPenalty()),
    agents.Symmetric(0.7),
    agents.FixedSpread(0.6, 0.8),
    agents.LinearSkew(0.7, 0.05),
]


def clipped_objective(market: Market, objective: Objective, policy: Any) -> float:
    return evaluate_exactly(market, objective, policy.tabulate(market).clip(market)).objective


def lines_objective(market: Market, objective: Objective, lines: np.ndarray) -> np.ndarray:
    """The objective of lines (half_spread, skew), clipped; shape (lines, 2) to (lines,)."""
    q = market.inventories
    bid = np.clip(lines[:, :1] + lines[:, 1:] * q, market.min_depth, market.max_depth)[:, None]
    ask = np.clip(lines[:, :1] - lines[:, 1:] * q, market.min_depth, market.max_depth)[:, None]
    shape = (market.steps, *bid.shape)
    return objectives_of(market, objective, np.broadcast_to(bid, shape), np.broadcast_to(ask, shape))


def brute_force_line(market: Market, objective: Objective, levels: int, skews: int) -> float:
    """The best line on a dense net, polished by Nelder & Mead: a search that shares nothing with the fit's."""
    low, high, limit = market.min_depth, market.max_depth, market.max_inventory
    width = high - low
    steep = np.geomspace(width / (200 * limit), 3 * width, skews)
    net = []
    for skew in np.concatenate([-steep[:: skews // 4], [0.0], steep]):
        reach = abs(skew) * limit
        half_spreads = np.concatenate([np.linspace(low, high, levels), np.linspace(low - reach, high + reach, levels)])
        net.append(np.stack(np.broadcast_arrays(half_spreads, skew), axis=1))
    points = np.concatenate(net)
    values = lines_objective(market, objective, points)
    best = float(values.max())
    for start in points[np.argsort(-values)[:3]]:
        corners = start + np.array([[0, 0], [width / 60, 0], [0, max(abs(start[1]) / 10, steep[0])]])
        found = minimize(
            lambda line: -lines_objective(market, objective, line[None])[0],
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-13, "initial_simplex": corners},
        )
        best = max(best, -float(found.fun))
    return best


# Known numbers


@pytest.mark.parametrize(
    ("law", "policy", "gap"),
    [
        ("linear", lambda m, o: agents.LinearSkew.fit(m, o), 0.059),
        ("poisson", lambda m, o: agents.LinearSkew.fit(m, o), 0.088),
        ("linear", lambda m, o: agents.GueantLehalleFernandezTapia(0.1, finite_horizon=True), 0.064),
        ("linear", lambda m, o: agents.GueantLehalleFernandezTapia(0.1), 0.158),
        ("linear", lambda m, o: agents.ContinuousOptimal(o), 0.012),
    ],
)
def test_gaps_in_the_default_market(law: str, policy: Callable[..., Any], gap: float) -> None:
    """Percent short of the optimum, to the digits known from independent work."""
    market, objective = Market(fill_law=law), ExponentialPenalty()
    optimum = solve(market, objective).optimum
    assert round(100 * (1 - clipped_objective(market, objective, policy(market, objective)) / optimum), 3) == gap


def test_optimal_reaches_the_optimum() -> None:
    for objective in (ExponentialPenalty(), ExponentialUtility(0.5)):
        reached = evaluate_exactly(SMALL, objective, agents.Optimal(objective)).objective
        assert reached == pytest.approx(solve(SMALL, objective).optimum, rel=1e-12)


# Conventions


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_tables_fit_the_market(policy: Any) -> None:
    table = policy.tabulate(SMALL)
    table.check(SMALL)
    assert np.isposinf(table.bid_depth[..., -1]).all()
    assert np.isposinf(table.ask_depth[..., 0]).all()


@pytest.mark.parametrize(
    "policy", [policy for policy in POLICIES if not isinstance(policy, agents.FixedSpread)], ids=repr
)
def test_tables_are_symmetric_and_sell_inventory_off(policy: Any) -> None:
    table = policy.tabulate(SMALL)
    np.testing.assert_allclose(table.bid_depth, table.ask_depth[..., ::-1], atol=1e-9)
    bid = table.bid_depth[..., :-1]
    assert (np.diff(bid, axis=-1) >= 0).all()
    assert isinstance(policy, agents.Symmetric) or (np.diff(bid[0]) > 0).any()


def test_linear_skew_is_a_line() -> None:
    table = agents.LinearSkew(0.5, 0.1).tabulate(SMALL)
    q = SMALL.inventories
    np.testing.assert_allclose(table.bid_depth[7, 0, :-1], 0.5 + 0.1 * q[:-1])
    np.testing.assert_allclose(table.ask_depth[7, 0, 1:], 0.5 - 0.1 * q[1:])


def test_formulas_are_not_clipped() -> None:
    market = Market(min_depth=0.6, max_depth=0.7)
    assert agents.AvellanedaStoikov(1.0).tabulate(market).bid_depth[0, 0, 0] < market.min_depth


def test_finite_horizon_is_the_continuous_optimum_for_cara() -> None:
    finite = agents.GueantLehalleFernandezTapia(0.3, finite_horizon=True).tabulate(SMALL)
    continuous = closed_forms.continuous_quotes(SMALL, ExponentialUtility(0.3))
    np.testing.assert_array_equal(finite.bid_depth, continuous.bid_depth)


@pytest.mark.parametrize(
    ("create", "field"),
    [
        (lambda bad: agents.AvellanedaStoikov(bad), "risk_aversion"),
        (lambda bad: agents.GueantLehalleFernandezTapia(bad), "risk_aversion"),
        (lambda bad: agents.Symmetric(bad), "half_spread"),
        (lambda bad: agents.FixedSpread(bad, 1.0), "bid_depth"),
        (lambda bad: agents.FixedSpread(1.0, bad), "ask_depth"),
        (lambda bad: agents.LinearSkew(1.0, bad), "skew"),
    ],
)
@pytest.mark.parametrize("bad", [math.nan, math.inf, "1", True])
def test_bad_fields_are_refused(create: Callable[[Any], Any], field: str, bad: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{field} must be a finite number"):
        create(bad)


# Many tables at once


def test_many_tables_at_once_are_each_evaluated_exactly() -> None:
    rng = np.random.default_rng(0)
    for _ in range(6):
        market = random_market(rng)
        objective = random_objective(rng, market)
        tables = [random_quotes(rng, market) for _ in range(5)]
        bid, ask = (np.stack([getattr(t, side) for t in tables], axis=1) for side in ("bid_depth", "ask_depth"))
        expected = [evaluate_exactly(market, objective, table).objective for table in tables]
        np.testing.assert_allclose(objectives_of(market, objective, bid, ask), expected, rtol=1e-12)


# Fits

ODD: dict[str, tuple[Market, Objective]] = {
    "many takers a step": (Market(steps=20, arrival_rate=2000.0, max_depth=8.0), ExponentialPenalty()),
    "steep penalty": (Market(steps=20, max_inventory=5), ExponentialPenalty(50.0, 0.3)),
    "one unit": (Market(steps=20, max_inventory=1), QuadraticPenalty(2.0)),
    "narrow box": (
        Market(steps=20, max_inventory=6, min_depth=0.1, max_depth=0.3, depth_decay=0.3),
        ExponentialPenalty(),
    ),
    "optimum is a loss": (Market(steps=20, max_inventory=3, min_depth=-2.0, max_depth=-0.5), ExponentialPenalty()),
    "strong risk aversion": (Market(steps=20, max_inventory=4, fill_law="poisson"), ExponentialUtility(3.0)),
    "no penalty": (Market(steps=20, max_inventory=3), RiskNeutral()),
    # Two cases found by random search, in which a climb stalls on a kink or on the lower of two peaks.
    "kink": (
        Market(
            volatility=2.07, steps=20, arrival_rate=17.5, depth_decay=5.14, max_inventory=1, min_depth=-3, max_depth=7
        ),
        ExponentialUtility(7.0),
    ),
    "two peaks": (
        Market(
            volatility=2.08, steps=60, arrival_rate=204.6, depth_decay=4.95, max_inventory=2, min_depth=0, max_depth=4
        ),
        QuadraticPenalty(36.3),
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_no_line_beats_the_fit(name: str, claim: Callable[..., None]) -> None:
    market, objective = ODD[name]
    fit = best_linear_skew(market, objective)
    reached = clipped_objective(market, objective, agents.LinearSkew.fit(market, objective))
    assert reached == pytest.approx(fit.objective, rel=1e-12)
    short = (brute_force_line(market, objective, 60, 60) - fit.objective) / abs(fit.objective)
    claim("best linear skew: short of brute force, relative", 33, short, 1e-6)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(40))
def test_no_line_beats_the_fit_in_random_markets(seed: int, claim: Callable[..., None]) -> None:
    rng = np.random.default_rng([7, seed])
    market = random_market(rng)
    objective = random_objective(rng, market)
    fit = best_linear_skew(market, objective)
    short = (brute_force_line(market, objective, 60, 60) - fit.objective) / (
        abs(fit.objective) + 1e-9 / market.depth_decay
    )
    claim("best linear skew: short of brute force, relative", 33, short, 1e-6)


def test_lines_of_regimes_are_as_good_in_any_unit_of_price() -> None:
    """Told in billionths or in thousands, the same market has the same best lines."""

    def gap(unit: float) -> float:
        market = Market(
            steps=20,
            max_inventory=6,
            volatility=2 * unit,
            depth_decay=1.5 / unit,
            min_depth=-2 * unit,
            max_depth=4 * unit,
            drift=(-20 * unit, 0.0, 20 * unit),
            transition_matrix=((0.6, 0.4, 0.0), (0.2, 0.6, 0.2), (0.0, 0.4, 0.6)),
        )
        objective = ExponentialPenalty(unit, 0.3)
        return 1 - best_linear_skew(market, objective).objective / solve(market, objective).optimum

    gaps = [gap(unit) for unit in (1.0, 1e-9, 1e3)]
    assert gaps == pytest.approx(3 * [gaps[0]], rel=1e-3)


def test_without_takers_every_line_is_worth_nothing() -> None:
    market = Market(steps=5, arrival_rate=0.0)
    assert best_linear_skew(market, ExponentialPenalty()).objective == 0
    assert linear_skew_table(market, 0.5, 0.1).bid_depth.shape == market.grid_shape


@pytest.mark.parametrize("objective", [ExponentialPenalty(1.0, 0.5), ExponentialUtility(0.5)], ids=repr)
@pytest.mark.parametrize(
    ("fit", "family", "net"),
    [
        (agents.Symmetric.fit, agents.Symmetric, np.linspace(-1, 3, 201)),
        (agents.AvellanedaStoikov.fit, agents.AvellanedaStoikov, np.geomspace(1e-4, 50, 120)),
        (agents.GueantLehalleFernandezTapia.fit, agents.GueantLehalleFernandezTapia, np.geomspace(1e-4, 50, 120)),
    ],
    ids=["symmetric", "AS", "GLFT"],
)
def test_no_number_beats_the_fitted_one(fit: Any, family: Any, net: np.ndarray, objective: Objective) -> None:
    best = clipped_objective(SMALL, objective, fit(SMALL, objective))
    assert best >= max(clipped_objective(SMALL, objective, family(float(number))) for number in net) - 1e-9


def test_fitted_glft_with_a_finite_horizon_beats_its_default() -> None:
    objective = ExponentialPenalty(1.0, 0.5)
    fitted = agents.GueantLehalleFernandezTapia.fit(SMALL, objective, finite_horizon=True)
    assert fitted.finite_horizon
    net = [agents.GueantLehalleFernandezTapia(g, finite_horizon=True) for g in np.geomspace(1e-3, 10, 40)]
    best = clipped_objective(SMALL, objective, fitted)
    assert best >= max(clipped_objective(SMALL, objective, policy) for policy in net) - 1e-9
