"""Every registered market: two million sessions against the exact evaluation, brute force on a small instance, time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from mmenv import Market, Problem, Tape, evaluate_exactly, simulate, solve
from mmenv.envs.registration import IDS
from mmenv.fitting import objectives_of
from mmenv.linear_skew import best_linear_skew, linear_skew_table
from tests import bruteforce_markets
from tests.probes import PROBES
from tests.statistics import Z_BOUND, Sums

pytestmark = pytest.mark.proof

SESSIONS = 2_000_000
PIECE = 10_000
NAMES = [name for name in IDS if name not in ("mmenv/AvellanedaStoikov-v0", "mmenv/ExponentialUtility-v0")]


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("name", NAMES)
def test_two_million_sessions_agree_with_the_exact_evaluation(
    name: str, probe: str, claim: Callable[..., None]
) -> None:
    problem = Problem.from_arguments(**IDS[name])
    market, objective = problem.market, problem.objective
    quotes = PROBES[probe](market, objective)
    exact = evaluate_exactly(market, objective, quotes)
    sums = {
        "objective": Sums(exact.objective),
        "profit mean": Sums(exact.profit_mean),
        "profit variance": Sums(exact.profit_std**2),
        "final inventory mean": Sums(exact.final_inventory_mean),
        "final inventory variance": Sums(exact.final_inventory_std**2),
    }
    for piece in range(SESSIONS // PIECE):
        paths = simulate(market, quotes, Tape.draw(market, PIECE, seed=2024, episode=piece))
        charged = objective.running_penalty(paths.inventory[1:]).sum(axis=0) * market.dt
        final = paths.inventory[-1].astype(float)
        sums["objective"].add(paths.profit - charged - objective.terminal_penalty(final))
        sums["profit mean"].add(paths.profit)
        sums["profit variance"].add((paths.profit - exact.profit_mean) ** 2)
        sums["final inventory mean"].add(final)
        sums["final inventory variance"].add((final - exact.final_inventory_mean) ** 2)
    for what, total in sums.items():
        claim(f"{what} of two million sessions, in standard errors", "20 to 22", total.z(total.centre), Z_BOUND)


@pytest.mark.parametrize("name", NAMES)
def test_the_optimum_of_a_small_instance_agrees_with_brute_force(name: str, claim: Callable[..., None]) -> None:
    problem = Problem.from_arguments(**IDS[name])
    market = replace(problem.market, steps=3, horizon=3 * problem.market.dt, max_inventory=2)
    value = solve(market, problem.objective).value
    gap = np.max(np.abs(value - bruteforce_markets.maximise(market, problem.objective)))
    claim("optimum of a small instance of a registered market against brute force", 16, gap, 1e-6)


@pytest.mark.parametrize("name", ["mmenv/ToxicFlow-v0", "mmenv/ThinMarket-v0", "mmenv/Signal-v0"])
def test_no_lines_of_several_regimes_beat_the_fit(name: str, claim: Callable[..., None]) -> None:
    """Powell's method, which shares nothing with the fit's search, from the fit and from beside it."""
    problem = Problem.from_arguments(**IDS[name])
    market, objective = problem.market, problem.objective
    fit = best_linear_skew(market, objective)
    numbers = 2 if market.mirrored else 3
    fitted = np.array([fit.half_spread, fit.skew, fit.lean])[:numbers]

    def loss(lines: np.ndarray) -> float:
        table = linear_skew_table(market, *lines.reshape(numbers, -1)).clip(market)
        return -float(objectives_of(market, objective, table.bid_depth[:, None], table.ask_depth[:, None])[0])

    table = linear_skew_table(market, *fitted).clip(market)
    assert evaluate_exactly(market, objective, table).objective == pytest.approx(fit.objective, rel=1e-12)
    aside = 0.02 * (market.max_depth - market.min_depth) * np.random.default_rng(5).normal(size=fitted.size)
    for begin in (fitted.ravel(), fitted.ravel() + aside):
        found = minimize(loss, begin, method="Powell", options={"maxiter": 3, "xtol": 1e-5, "ftol": 1e-10})
        short = (-found.fun - fit.objective) / abs(fit.objective)
        claim("best lines of several regimes: short of Powell's method, relative", 33, short, 1e-6)


def test_a_market_of_five_regimes_is_solved_in_two_seconds(claim: Callable[..., None]) -> None:
    problem = Problem.from_arguments(**IDS["mmenv/Signal-v0"])
    assert problem.market.grid_shape == (200, 5, 41)
    seconds = math.inf
    for _ in range(3):
        start = time.perf_counter()
        solve(problem.market, problem.objective)
        seconds = min(seconds, time.perf_counter() - start)
    informed = replace(problem.market, informed_share=0.5, informed_jump=0.5, ask_arrival_rate=80.0)
    start = time.perf_counter()
    solve(informed, problem.objective)
    seconds = max(seconds, time.perf_counter() - start)
    claim("seconds to solve 5 regimes, 200 steps, 41 inventories", 16, seconds, 2.0)


@pytest.mark.parametrize("name", NAMES)
def test_the_box_of_a_registered_market_does_not_bind(name: str, claim: Callable[..., None]) -> None:
    problem = Problem.from_arguments(**IDS[name])
    binding = solve(problem.market, problem.objective).binding
    claim("share of optimal quotes on the edge of the box, registered markets", 16, binding, 1e-4)
    assert isinstance(problem.market, Market)
