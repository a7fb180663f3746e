"""The closed forms of continuous time against independent sources (docs/model.md, section 6).

Four of them: the HJB equation integrated as it stands, matrix exponentials in high precision, the backward
induction of the discrete market as dt -> 0, and the asymptotics of the literature.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar

from mmenv import ExponentialPenalty, ExponentialUtility, Market, QuadraticPenalty, RiskNeutral, closed_forms, solve
from mmenv.objectives import Objective


@dataclass(frozen=True)
class Shaped(Objective):
    """An objective of any shape, for these tests."""

    running: Callable[[np.ndarray], np.ndarray]
    terminal: Callable[[np.ndarray], np.ndarray] = np.zeros_like
    risk_aversion: float = 0.0
    name = "shaped"

    def running_penalty(self, inventory):
        return np.asarray(self.running(np.asarray(inventory, dtype=float)))

    def terminal_penalty(self, inventory):
        return np.asarray(self.terminal(np.asarray(inventory, dtype=float)))


SHAPES: dict[str, Objective] = {
    "no penalty": RiskNeutral(),
    "exponential": ExponentialPenalty(1.0, 0.3),
    "steep exponential": ExponentialPenalty(0.5, 1.0),
    "exponential and terminal": ExponentialPenalty(1.0, 0.3, 0.2),
    "quadratic": QuadraticPenalty(0.5),
    "linear": Shaped(np.abs),
    "quartic": Shaped(lambda q: 0.1 * q**4),
    "cliff": Shaped(lambda q: 5.0 * (np.abs(q) > 1)),
    "asymmetric": Shaped(lambda q: np.where(q > 0, 2 * q, q**2), lambda q: 0.1 * np.abs(q - 1)),
    "CARA 0.1": ExponentialUtility(0.1),
    "CARA 1": ExponentialUtility(1.0),
    "CARA and quadratic": Shaped(lambda q: 0.3 * q**2, lambda q: 0.1 * q**2, risk_aversion=0.5),
}


# The HJB equation itself


def hjb_value(market: Market, objective: Objective) -> np.ndarray:
    """h(0, q) by integrating equation 24 with the best depth found numerically: no transform, no algebra."""
    q = market.inventories.astype(float)
    gamma = objective.risk_aversion
    cost = objective.running_penalty(q) + gamma * (market.volatility * q) ** 2 / 2

    def worth(change: float) -> float:
        def loss(depth: float) -> float:
            utility = depth + change if gamma == 0 else -math.expm1(-gamma * (depth + change)) / gamma
            return -market.arrival_rate * math.exp(-market.depth_decay * depth) * utility

        # The best margin, depth + change, lies in (0, 1/k].
        bounds = (-change, 1 / market.depth_decay - change)
        return -float(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9}).fun)

    def slope(_: float, h: np.ndarray) -> np.ndarray:
        rises = np.array([worth(change) for change in np.diff(h)])
        falls = np.array([worth(-change) for change in np.diff(h)])
        return -cost + np.append(rises, 0.0) + np.insert(falls, 0, 0.0)

    h = -np.asarray(objective.terminal_penalty(q))
    return solve_ivp(slope, (0, market.horizon), h, method="RK45", rtol=1e-9, atol=1e-10).y[:, -1]


@pytest.mark.parametrize("shape", ["steep exponential", "asymmetric", "CARA and quadratic"])
def test_value_solves_the_hjb_equation(shape: str, claim: Callable[..., None]) -> None:
    market = Market(max_inventory=2, horizon=0.2, steps=4, arrival_rate=30.0)
    value = closed_forms.continuous_value(market, SHAPES[shape])[0, 0]
    error = np.max(np.abs(value - hjb_value(market, SHAPES[shape])))
    claim("continuous value = HJB equation integrated", "24 to 27", error, 1e-7)


# Matrix exponentials in high precision


def precise_value(market: Market, objective: Objective, steps_left: int) -> np.ndarray:
    """h(t, q) for q = 0 .. Q by Taylor series, scaling and squaring in high precision; symmetric objectives only.

    For a symmetric objective omega(q) = omega(-q), so that |q| alone makes a linear equation of its own.
    """
    k, gamma = market.depth_decay, objective.risk_aversion
    size = market.max_inventory + 1
    time_left = market.horizon / market.steps * steps_left
    largest = k * float(objective.running_penalty(size - 1)) + k * gamma * (market.volatility * size) ** 2 / 2
    squarings = math.ceil(math.log2(max(1.0, (largest + market.arrival_rate) * time_left))) + 20
    with mpmath.workdps(60 + squarings // 3):  # the first step is 2^-squarings, and must not be rounded off
        k, gamma, time_left = mpmath.mpf(k), mpmath.mpf(gamma), mpmath.mpf(time_left)
        hopping = mpmath.mpf(market.arrival_rate) * time_left
        hopping *= mpmath.exp(-1) if gamma == 0 else (1 + gamma / k) ** (-(1 + k / gamma))
        generator = mpmath.zeros(size)
        for q in range(size):
            penalty = mpmath.mpf(float(objective.running_penalty(q)))
            generator[q, q] = -k * (penalty + gamma * mpmath.mpf(market.volatility) ** 2 * q**2 / 2) * time_left
            if q > 0:
                generator[q, q - 1] = hopping
                generator[q - 1, q] = hopping * (2 if q == 1 else 1)
        step = generator / mpmath.mpf(2) ** squarings
        term = total = mpmath.eye(size)
        for order in range(1, 11):  # the next term is below 2^-200 of the first
            term = term * step / order
            total = total + term
        for _ in range(squarings):
            total = total * total
        omega = total * mpmath.matrix([mpmath.exp(-k * float(objective.terminal_penalty(q))) for q in range(size)])
        return np.array([float(mpmath.log(entry) / k) for entry in omega])


PRECISE = {
    "default, Q = 5": (Market(max_inventory=5), ExponentialPenalty()),
    "steep, with a terminal penalty": (Market(max_inventory=5), ExponentialPenalty(1.0, 2.0, 30.0)),
    "long horizon": (Market(max_inventory=4, horizon=300.0), ExponentialPenalty()),
    "long horizon, CARA": (Market(max_inventory=4, horizon=30.0), ExponentialUtility(2.0)),
    "large gamma": (Market(max_inventory=4), ExponentialUtility(1e3)),
    "tiny gamma": (Market(max_inventory=4), ExponentialUtility(1e-9)),
    "hardly a trade": (Market(max_inventory=4, arrival_rate=1e-6), QuadraticPenalty(5.0)),
    "many trades a step": (Market(max_inventory=4, arrival_rate=1e6), QuadraticPenalty(5.0)),
    "Q = 1": (Market(max_inventory=1), RiskNeutral()),
}
HARD = {
    "default": (Market(), ExponentialPenalty()),
    "kappa = 1, Q = 50": (Market(max_inventory=50, steps=2), ExponentialPenalty(1.0, 1.0)),
    "kappa = 1, Q = 30, end, terminal": (Market(max_inventory=30, horizon=0.005, steps=1), ExponentialPenalty(1, 1, 1)),
    "penalties up to 1e87": (Market(max_inventory=20, steps=2), ExponentialPenalty(1.0, 10.0)),
    "terminal only, Q = 50": (Market(max_inventory=50, horizon=0.01, steps=2), QuadraticPenalty(0.0, 10.0)),
}


def check_precise(name: str, market: Market, objective: Objective, claim: Callable[..., None]) -> None:
    value = closed_forms.continuous_value(market, objective)
    for steps_left in {market.steps} if name in HARD else {1, market.steps}:
        exact = precise_value(market, objective, steps_left)
        ours = value[market.steps - steps_left, 0, market.max_inventory :]
        # Depths are differences of values, so errors count against 1/k as well as against the value.
        error = np.max(np.abs(ours - exact) / (np.abs(exact) + 1 / market.depth_decay))
        claim("continuous value = matrix exponential in high precision", "27, 28", error, 1e-11)


@pytest.mark.parametrize("name", PRECISE)
def test_value_in_high_precision(name: str, claim: Callable[..., None]) -> None:
    check_precise(name, *PRECISE[name], claim)


@pytest.mark.proof
@pytest.mark.parametrize("name", HARD)
def test_hard_value_in_high_precision(name: str, claim: Callable[..., None]) -> None:
    check_precise(name, *HARD[name], claim)


# Backward induction as dt -> 0


def box_binds_nowhere(market: Market, objective: Objective) -> bool:
    quotes = solve(market, objective).quotes
    depths = np.concatenate([quotes.bid_depth[..., :-1], quotes.ask_depth[..., 1:]], axis=-1)
    capped = market.fill_law == "linear" and bool((market.law.arrivals(depths) >= 1).any())
    return bool(depths.min() > market.min_depth and depths.max() < market.max_depth and not capped)


def convergence(objective: Objective, law: str, first_steps: int, refinements: int) -> tuple[float, float]:
    """The error of the values at n = 0 after Richardson extrapolation, and the order of convergence before it.

    Returns:
        Largest error relative to the largest value, and the worst distance of the observed order from one.
    """
    shape = {"horizon": 0.5, "arrival_rate": 20.0, "max_inventory": 4, "min_depth": -30.0, "max_depth": 30.0}
    markets = [Market(steps=first_steps * 2**i, fill_law=law, **shape) for i in range(refinements)]
    assert all(box_binds_nowhere(market, objective) for market in markets)
    exact = closed_forms.continuous_value(Market(steps=1, **shape), objective)[0, 0]
    values = [solve(market, objective).value[0, 0] for market in markets]
    errors = [np.abs(value - exact) for value in values]
    orders = np.log2(errors[-2] / errors[-1])
    for level in range(1, refinements):
        values = [(2**level * fine - coarse) / (2**level - 1) for coarse, fine in pairwise(values)]
    scale = np.max(np.abs(exact))
    return float(np.max(np.abs(values[0] - exact)) / scale), float(np.max(np.abs(orders - 1)))


@pytest.mark.parametrize("shape", ["steep exponential", "CARA 1"])
def test_backward_induction_tends_to_the_closed_form(shape: str, claim: Callable[..., None]) -> None:
    error, order = convergence(SHAPES[shape], "linear", 400, 3)
    claim("extrapolated backward induction = matrix exponential", "16, 27", error, 1e-7)
    claim("distance of the order of convergence from 1", "16, 27", order, 0.02)


@pytest.mark.proof
@pytest.mark.parametrize("law", ["linear", "poisson"])
@pytest.mark.parametrize("shape", SHAPES)
def test_two_solvers_agree(shape: str, law: str, claim: Callable[..., None]) -> None:
    error, order = convergence(SHAPES[shape], law, 400, 4 if law == "linear" else 3)
    claim("extrapolated backward induction = matrix exponential", "16, 27", error, 1e-7)
    claim("distance of the order of convergence from 1", "16, 27", order, 0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_quotes_tend_to_the_closed_form(shape: str, claim: Callable[..., None]) -> None:
    """The quotes of step 0 are off by a multiple of dt: half of it halves the distance."""
    shapes = {"horizon": 0.5, "arrival_rate": 20.0, "max_inventory": 3, "min_depth": -30.0, "max_depth": 30.0}
    distances = []
    for steps in (400, 800):
        market = Market(steps=steps, **shapes)
        exact, limit = solve(market, SHAPES[shape]).quotes, closed_forms.continuous_quotes(market, SHAPES[shape])
        bids = exact.bid_depth[0, 0, :-1] - limit.bid_depth[0, 0, :-1]
        asks = exact.ask_depth[0, 0, 1:] - limit.ask_depth[0, 0, 1:]
        distances.append(float(np.max(np.abs(np.concatenate([bids, asks])))))
    claim(
        "distance of the quotes to the continuous ones, at dt / at dt/2, less 2",
        "16, 25",
        abs(distances[0] / distances[1] - 2),
        0.1,
    )


# Asymptotics and the formulas of the literature


def test_glft_is_the_ground_state_of_weak_risk_aversion(claim: Callable[..., None]) -> None:
    """Far from the end the skew tends to equation 29, its relative error being proportional to c (section 6.3)."""
    errors = []
    for gamma in (6.4e-3, 1.6e-3):  # c halves, and c Q^2 / 2 > 17: the limit is not felt
        market = Market(max_inventory=60, horizon=40.0, steps=2)
        exact = closed_forms.continuous_quotes(market, ExponentialUtility(gamma))
        formula = closed_forms.asymptotic_glft(market, gamma)
        near = slice(market.max_inventory - 3, market.max_inventory + 4)
        margin = market.law.natural_margin(gamma)
        skew = (exact.bid_depth[0, 0, near] - margin) / (formula.bid_depth[0, 0, near] - margin)
        errors.append(float(np.max(np.abs(skew - 1))))
    claim("error of the asymptotic skew", "29", errors[1], 0.01)
    claim("error of the asymptotic skew at c / at c/2, less 2", "29", abs(errors[0] / errors[1] - 2), 0.03)


def test_reservation_price_is_that_of_a_frozen_inventory(claim: Callable[..., None]) -> None:
    """Indifference prices of a maker who never trades: -(gamma/2) sigma^2 q^2 (T - t) is the worth of holding q."""
    market, gamma = Market(max_inventory=5), 0.3
    q = np.arange(-6, 7)
    worth = -gamma / 2 * market.volatility**2 * q**2 * closed_forms.time_left(market)[:, None]
    indifference = (worth[:, 2:] - worth[:, :-2]) / 2  # the mean of what one more and one less are worth
    error = np.max(np.abs(indifference - closed_forms.reservation_offset(market, gamma)))
    claim("reservation price = indifference price of a frozen inventory", "30", error, 1e-12)


def test_avellaneda_stoikov_quotes_lie_around_the_reservation_price() -> None:
    market, gamma = Market(), 0.1
    quotes = closed_forms.avellaneda_stoikov(market, gamma)
    inside = np.s_[:, 0, 1:-1]
    bid, ask = quotes.bid_depth[inside], quotes.ask_depth[inside]
    centre = (ask - bid) / 2  # of the two quotes, relative to the mid
    np.testing.assert_allclose(centre, closed_forms.reservation_offset(market, gamma)[:, 1:-1], atol=1e-12)
    # Long inventory is to be sold: the ask comes nearer and the bid moves away.
    assert (np.diff(ask, axis=1) < 0).all()
    assert (np.diff(bid, axis=1) > 0).all()
    # The paper's average spread, to the digits printed there, for both of its risk aversions.
    for risk_aversion, spread in ((0.1, 1.49), (0.01, 1.35)):
        assert round(float(closed_forms.optimal_spread(market, risk_aversion).mean()), 2) == spread


def test_small_risk_aversion_is_none() -> None:
    market = Market(max_inventory=5)
    neutral = closed_forms.continuous_value(market, RiskNeutral())
    errors = [
        np.max(np.abs(closed_forms.continuous_value(market, ExponentialUtility(g)) - neutral)) for g in (1e-6, 1e-8)
    ]
    assert errors[0] < 1e-3
    assert errors[1] == pytest.approx(errors[0] / 100, rel=0.01)


# Stability and shape


@pytest.mark.parametrize(
    "objective", [ExponentialPenalty(1.0, 1.0), ExponentialPenalty(1.0, 4.0), ExponentialUtility(100.0)]
)
@pytest.mark.parametrize("horizon", [1e-3, 1.0, 1e4])
def test_hard_values_are_finite_and_ordered(objective: Objective, horizon: float) -> None:
    market = Market(max_inventory=30, horizon=horizon, steps=3)
    value = closed_forms.continuous_value(market, objective)[:, 0]
    assert np.isfinite(value).all()
    assert (np.diff(value[:, market.max_inventory :], axis=1) <= 0).all()  # inventory is a burden
    np.testing.assert_allclose(value, value[:, ::-1], rtol=1e-11)
    closed_forms.continuous_quotes(market, objective).check(market)


def test_without_takers_the_value_is_the_penalty() -> None:
    market, objective = Market(arrival_rate=0.0, max_inventory=3), ExponentialPenalty(1.0, 0.3, 0.5)
    q = market.inventories
    expected = -objective.running_penalty(q) * closed_forms.time_left(market)[:, None] - objective.terminal_penalty(q)
    value = closed_forms.continuous_value(market, objective)[:-1, 0]
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)


def test_default_market_takes_well_under_a_second() -> None:
    start = time.process_time()
    closed_forms.continuous_quotes(Market(), ExponentialPenalty())
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("formula", [closed_forms.avellaneda_stoikov, closed_forms.asymptotic_glft])
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_bad_risk_aversion_is_refused(formula: Callable, bad: float) -> None:
    with pytest.raises(ValueError, match="risk_aversion must be a finite number > 0"):
        formula(Market(), bad)


def test_asymptotic_glft_needs_takers() -> None:
    with pytest.raises(ValueError, match="arrival_rate must be a finite number > 0"):
        closed_forms.asymptotic_glft(Market(arrival_rate=0.0), 0.1)
