"""The optimum against brute force, and against itself: nothing in the box does better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mmenv import ExponentialUtility, Market, Objective, evaluate_exactly, solve
from mmenv.quotes import quote_table
from tests import bruteforce
from tests.cases import SETS, random_market, random_objective, random_quotes

pytestmark = pytest.mark.proof


def random_problem(seed: int) -> tuple[Market, Objective]:
    rng = np.random.default_rng([11, seed])
    market = random_market(rng, steps=4, max_inventory=4)
    return market, random_objective(rng, market)


@pytest.mark.parametrize("block", range(12))
def test_optimum_agrees_with_brute_force(block: int, claim: Callable[..., None]) -> None:
    for seed in range(5 * block, 5 * block + 5):
        market, objective = random_problem(seed)
        found, value = bruteforce.maximise(market, objective), solve(market, objective).value[:, 0]
        # Relative to the largest value, but no smaller than what one fill is worth.
        scale = max(np.abs(found).max(), 1 / market.depth_decay)
        claim("optimum below brute force, relative", 16, float((found - value).max() / scale), 1e-9)
        claim("optimum against brute force, relative", 16, float(np.abs(found - value).max() / scale), 1e-6)


@pytest.mark.parametrize("name", SETS)
def test_evaluation_gives_back_the_optimum(name: str, claim: Callable[..., None]) -> None:
    market, objective = SETS[name]
    for utility in (objective, ExponentialUtility(0.5 * market.depth_decay)):
        solution = solve(market, utility)
        found = evaluate_exactly(market, utility, solution.quotes).objective
        scale = max(1.0, abs(solution.optimum))
        claim(
            "evaluation of the optimal quotes gives back the optimum", 20, abs(found - solution.optimum) / scale, 1e-10
        )


@pytest.mark.parametrize("seed", range(8))
def test_nothing_in_the_box_does_better(seed: int, claim: Callable[..., None]) -> None:
    rng = np.random.default_rng([12, seed])
    market = random_market(rng, steps=100, max_inventory=12)
    objective = random_objective(rng, market)
    solution = solve(market, objective)
    best = [np.where(np.isfinite(side), side, 0.0) for side in (solution.quotes.bid_depth, solution.quotes.ask_depth)]
    scale = max(np.abs(solution.value).max(), 1 / market.depth_decay)
    excess = -np.inf
    for size in (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4):
        for _ in range(5):
            noise = random_quotes(rng, market)
            other = [np.where(np.isfinite(side), side, 0.0) for side in (noise.bid_depth, noise.ask_depth)]
            mixed = quote_table(*((1 - size) * old + size * new for old, new in zip(best, other, strict=True)))
            value = evaluate_exactly(market, objective, mixed.clip(market)).value
            excess = max(excess, float((value - solution.value).max() / scale))
    claim("value of perturbed quotes above the optimum, any state, relative", 16, excess, 1e-12)


def test_a_larger_limit_that_is_not_reached_changes_nothing(claim: Callable[..., None]) -> None:
    for market, objective in SETS.values():
        short = replace(market, steps=10, horizon=10 * market.dt)
        inner = solve(replace(short, max_inventory=11), objective).optimum
        outer = solve(replace(short, max_inventory=14), objective).optimum
        claim("a limit beyond reach changes nothing, relative", 16, abs(outer / inner - 1), 1e-12)
