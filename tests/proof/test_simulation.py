"""Simulated values of optimal and suboptimal policies against their exact values, and a million sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from mmenv import ExactEvaluation, Market, Objective, QuoteTable, evaluate_exactly, solve
from tests.cases import SETS, suboptimal, symmetric
from tests.sampling import expectations, observe, relative_error, variance_of_utility
from tests.statistics import Z_BOUND, Sums

pytestmark = pytest.mark.proof

LARGEST_VARIANCE = 10.0
MILLIONS = ("paper", "paper, CARA, poisson")


@pytest.mark.parametrize("name", SETS)
def test_simulation_agrees_with_exact_values(name: str, claim: Callable[..., None]) -> None:
    market, objective = SETS[name]
    solution = solve(market, objective)
    found = evaluate_exactly(market, objective, solution.quotes)
    policies = {"optimal": solution.quotes, **suboptimal(market, solution.quotes, found.mean_spread)}
    if objective.risk_aversion:
        variances = {what: variance_of_utility(market, objective, quotes) for what, quotes in policies.items()}
        policies = {what: quotes for what, quotes in policies.items() if variances[what] < LARGEST_VARIANCE}
        claim("CARA simulated only where e^(-gamma W) has relative variance", 10, max(map(variances.get, policies)), 10)
        assert "optimal" in policies
    assert len(policies) >= 3
    exact = {what: evaluate_exactly(market, objective, quotes) for what, quotes in policies.items()}
    observed = observe(market, objective, policies, exact, paths=100_000, seed=20)
    for what in policies:
        error = relative_error(observed[what]["objective"], exact[what], objective)
        claim("standard error of the simulated objective, of its value", 10, error, 1e-3)
        for figure, expected in expectations(exact[what], objective, exact[what]).items():
            z = observed[what][figure].z(expected)
            claim(f"simulated against exact {figure}, in standard errors", "20-22", z, Z_BOUND)
        clipped = evaluate_exactly(market, objective, policies[what].clip(market)).objective
        claim("value of any policy in the box, of the optimum", 16, clipped / solution.optimum, 1 + 1e-12)


@cache
def a_million_sessions(
    name: str,
) -> tuple[dict[str, QuoteTable], dict[str, ExactEvaluation], dict[str, dict[str, Sums]]]:
    """Quotes, exact values and a million sessions of the optimum and of a symmetric maker, in one of the SETS.

    The symmetric one carries inventory, and so shows the volatility in its profit.
    """
    market, objective = SETS[name]
    optimal = solve(market, objective).quotes
    spread = evaluate_exactly(market, objective, optimal).mean_spread
    policies = {"optimal": optimal, "symmetric": symmetric(market, spread)}
    exact = {what: evaluate_exactly(market, objective, quotes) for what, quotes in policies.items()}
    return policies, exact, observe(market, objective, policies, exact, paths=1_000_000, seed=21)


@pytest.mark.parametrize("name", MILLIONS)
def test_a_million_sessions_of_the_optimum(name: str, claim: Callable[..., None]) -> None:
    _, objective = SETS[name]
    _, exact, observed = a_million_sessions(name)
    for figure, expected in expectations(exact["optimal"], objective, exact["optimal"]).items():
        z = observed["optimal"][figure].z(expected)
        claim("a million sessions of the optimum, in standard errors", "16, 20-22", z, Z_BOUND)
    assert observed["optimal"]["objective"].count >= 1_000_000
    assert relative_error(observed["optimal"]["objective"], exact["optimal"], objective) < 2e-4


@pytest.mark.parametrize("wrong", ["volatility", "arrival_rate", "depth_decay"])
@pytest.mark.parametrize("name", MILLIONS)
def test_two_percent_off_is_seen(name: str, wrong: str, claim: Callable[..., None]) -> None:
    # The same tests, with the exact values of a market that is 2 % off: at least one of them must fail.
    market, objective = SETS[name]
    policies, exact, observed = a_million_sessions(name)
    off = replace(market, **{wrong: 1.02 * getattr(market, wrong)})
    largest = {"value": 0.0, "profit": 0.0}
    for what, quotes in policies.items():
        believed = evaluate_exactly(off, objective, quotes)
        for figure, expected in expectations(believed, objective, exact[what]).items():
            kind = {"objective": "value", "profit mean": "profit", "profit square": "profit"}.get(figure)
            if kind:
                largest[kind] = max(largest[kind], observed[what][figure].z(expected))
    claim(f"power: profit tests fail with {wrong} 2 % off", "20-22", largest["profit"], Z_BOUND, at_least=True)
    if wrong != "volatility":
        claim(f"power: value tests fail with {wrong} 2 % off", "20-22", largest["value"], Z_BOUND, at_least=True)


def test_the_sets_are_many_and_different() -> None:
    assert len(SETS) >= 12
    kinds: set[tuple[type[Objective], str]] = {
        (type(objective), market.fill_law) for market, objective in SETS.values()
    }
    assert len(kinds) >= 6
    assert all(isinstance(market, Market) for market, _ in SETS.values())
