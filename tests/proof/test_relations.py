"""Exact relations: mirror symmetry, units, limits and monotonicity, on many random problems."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mmenv import (
    ExponentialPenalty,
    ExponentialUtility,
    Market,
    Objective,
    QuadraticPenalty,
    QuoteTable,
    RiskNeutral,
    evaluate_exactly,
    solve,
)
from mmenv.solver import state_visits
from tests.bruteforce import certainty, fill_and_miss
from tests.cases import LAWS, SETS, mirrored, random_market, random_objective, random_quotes, scaled, suboptimal

pytestmark = pytest.mark.proof


def problems(count: int, seed: int) -> list[tuple[Market, Objective]]:
    rng = np.random.default_rng([13, seed])
    markets = [random_market(rng, steps=120, max_inventory=15) for _ in range(count)]
    return [(market, random_objective(rng, market)) for market in markets]


def price_scale(market: Market, values: np.ndarray) -> float:
    """What errors of values are measured by: the largest of them, or what one fill is worth."""
    return max(float(np.abs(values).max()), 1 / market.depth_decay)


@pytest.mark.parametrize("block", range(4))
def test_mirror_symmetry(block: int, claim: Callable[..., None]) -> None:
    for market, objective in problems(25, block):
        solution = solve(market, objective)
        scale = price_scale(market, solution.value)
        uneven = float(np.abs(solution.value - solution.value[..., ::-1]).max())
        claim("mirror: value of q and -q, relative", 16, uneven / scale, 1e-12)
        swapped = evaluate_exactly(market, objective, mirrored(solution.quotes)).value
        claim(
            "mirror: optimal quotes with sides swapped, relative",
            16,
            np.abs(swapped - solution.value).max() / scale,
            1e-12,
        )
        quotes = random_quotes(np.random.default_rng(block), market)
        there, back = (evaluate_exactly(market, objective, table) for table in (quotes, mirrored(quotes)))
        claim(
            "mirror: any quotes, value, relative", 20, np.abs(back.value - there.value[..., ::-1]).max() / scale, 1e-12
        )
        claim("mirror: any quotes, visits", 21, np.abs(back.visits - there.visits[..., ::-1]).max(), 1e-12)
        claim(
            "mirror: any quotes, final inventory",
            21,
            abs(back.final_inventory_mean + there.final_inventory_mean),
            1e-12,
        )


@pytest.mark.parametrize("factor", [1e-6, 0.37, 250.0, 1e6])
def test_the_unit_of_price_does_not_matter(factor: float, claim: Callable[..., None]) -> None:
    for market, objective in [*problems(20, 100), *SETS.values()]:
        solution, other = solve(market, objective), solve(*scaled(market, objective, factor))
        scale = factor * price_scale(market, solution.value)
        claim(
            "units: value scales with price, relative",
            16,
            np.abs(other.value - factor * solution.value).max() / scale,
            1e-11,
        )
        quotes = random_quotes(np.random.default_rng(1), market)
        wide = type(quotes)(factor * quotes.bid_depth, factor * quotes.ask_depth)
        one = evaluate_exactly(market, objective, quotes)
        two = evaluate_exactly(*scaled(market, objective, factor), wide)
        claim(
            "units: profit moments scale with price, relative",
            22,
            abs(two.profit_std / one.profit_std / factor - 1),
            1e-11,
        )
        claim("units: inventory does not change", 21, abs(two.final_inventory_std - one.final_inventory_std), 1e-11)
    for market, objective in SETS.values():
        best, wide_best = solve(market, objective), solve(*scaled(market, objective, factor))
        table = suboptimal(market, best.quotes, 2 / market.depth_decay)["leaning too little"].clip(market)
        wide = type(table)(factor * table.bid_depth, factor * table.ask_depth)
        percent = 100 * evaluate_exactly(market, objective, table).objective / best.optimum
        same = 100 * evaluate_exactly(*scaled(market, objective, factor), wide).objective / wide_best.optimum
        claim("units: percent of optimum does not change, points", 16, abs(same - percent), 1e-9)


def one_side(market: Market, gamma: float, hold: float = 0.0) -> float:
    """The most that one side can earn in a step, on a dense grid, if not to fill costs `hold`."""
    grid = np.linspace(market.min_depth, market.max_depth, 2_000_001)
    cap = math.log(market.arrival_rate * market.dt) / market.depth_decay  # the linear law has a kink there
    depth = np.append(grid, np.clip(cap, market.min_depth, market.max_depth))
    fill, miss = fill_and_miss(market, depth)
    return float(np.max(certainty([fill, miss], [depth, 0 * depth - hold], gamma)))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("steps", [1, 2, 30])
def test_free_inventory(law: str, steps: int, claim: Callable[..., None]) -> None:
    market = Market(steps=steps, horizon=0.01 * steps, max_inventory=steps + 1, fill_law=law)
    worth = solve(market, RiskNeutral()).optimum / (2 * steps * one_side(market, 0))
    claim("limit: no penalty, no limit: every step and side alike, relative", 16, abs(worth - 1), 1e-11)
    for gamma in (0.01, 0.5, 5.0):
        still = replace(market, volatility=0.0)
        worth = solve(still, ExponentialUtility(gamma)).optimum / (2 * steps * one_side(still, gamma))
        claim("limit: volatility 0, no limit, CARA: every step and side alike, relative", 16, abs(worth - 1), 1e-11)


def charge_paid(market: Market, quotes: QuoteTable) -> float:
    """The exponential penalty of unit weight that is expected to be paid along the way."""
    charge = ExponentialPenalty().running_penalty(market.inventories)
    return float(np.sum(state_visits(market, quotes)[1:, 0] @ charge) * market.dt)


@pytest.mark.parametrize("law", LAWS)
def test_limits_of_the_objective(law: str, claim: Callable[..., None]) -> None:
    market = Market(fill_law=law)
    neutral = solve(market, RiskNeutral())
    variance = evaluate_exactly(market, RiskNeutral(), neutral.quotes).profit_std ** 2
    paid = charge_paid(market, neutral.quotes)
    # To first order in what is small the quotes do not change: half the variance, or the penalty, is lost.
    errors: dict[str, list[float]] = {"gamma": [], "eta": []}
    for size in (1e-4, 1e-5):
        utility, penalty = solve(market, ExponentialUtility(size)), solve(market, ExponentialPenalty(weight=size))
        errors["gamma"].append((neutral.optimum - utility.optimum) / (size * variance / 2) - 1)
        loss = (neutral.optimum - penalty.optimum) / (size * paid)
        errors["eta"].append(loss - 1)
        # Either optimum is a candidate for the other objective, so the loss lies between what the two pay.
        claim("limit: eta -> 0: loss, of the penalty that the neutral optimum pays", 16, loss, 1)
        least = charge_paid(market, penalty.quotes) / paid
        claim("limit: eta -> 0: penalty that the optimum pays, of the loss", 16, least / loss, 1)
    for what, (large, small) in errors.items():
        order = math.log10(abs(large / small))
        claim(f"limit: {what} -> 0: first-order loss, |order of the error - 1|", 16, abs(order - 1), 0.02)
    calm = solve(replace(market, volatility=0.0), ExponentialUtility(0.1)).value
    for volatility in (1.0, 0.1, 1e-3):
        value = solve(replace(market, volatility=volatility), ExponentialUtility(0.1)).value
        most = 0.1 * volatility**2 * market.max_inventory**2 * market.horizon / 2
        claim("limit: sigma -> 0: loss, of the most that risk can cost", 14, float((calm - value).max() / most), 1)
        claim("limit: sigma -> 0: gain", 14, float((value - calm).max()), 1e-11)


@pytest.mark.parametrize("law", LAWS)
def test_limits_of_the_market(law: str, claim: Callable[..., None]) -> None:
    objective = ExponentialPenalty(weight=0.5)
    for rate in (1e-2, 1e-4, 1e-6):
        market = Market(arrival_rate=rate, steps=50, fill_law=law)
        keep = objective.running_penalty(1) * market.dt * np.arange(50, 0, -1)
        first_order = float(np.sum(2 * rate * market.dt * np.exp(-1 - market.depth_decay * keep))) / market.depth_decay
        error = abs(solve(market, objective).optimum / first_order - 1)
        # What is left out are sessions of two fills: at most 2 A T / e of those of one.
        claim(
            "limit: A -> 0: one fill and its keep: error, of the chance of another", 16, error / (2 * rate / math.e), 1
        )
    assert solve(replace(market, arrival_rate=0.0), objective).optimum == 0
    for decay in (10.0, 1e3, 1e5, 1e7):
        market = Market(depth_decay=decay, steps=50, fill_law=law)
        bound = 2 * market.arrival_rate * market.horizon / (decay * math.e)
        value = solve(market, RiskNeutral()).optimum
        claim("limit: k -> infinity: value, of 2 A T / (k e)", 16, value / bound, 1 + 1e-12)
        assert value > 0


@pytest.mark.parametrize("law", LAWS)
def test_one_unit_in_one_step(law: str, claim: Callable[..., None]) -> None:
    # At q = 1 only the ask is quoted, and Bellman's equation is a maximum over one depth: tried on a dense grid.
    for gamma in (0.0, 0.3, 2.0):
        objective = ExponentialUtility(gamma) if gamma else QuadraticPenalty(3.0, terminal_weight=0.2)
        market = Market(steps=1, horizon=0.02, max_inventory=1, fill_law=law)
        hold = (3.0 * 0.02 + 0.2) if gamma == 0 else gamma * market.volatility**2 * 0.02 / 2
        best = one_side(market, gamma, hold)
        found = solve(market, objective).value[0, 0]
        claim("limit: Q = 1, one step, relative", 16, abs(found[2] / best - 1), 1e-11)
        claim("limit: Q = 1, one step, both sides", 16, abs(found[0] / best - 1), 1e-11)


KINDS: dict[str, Callable[[float], Objective]] = {
    "eta": lambda size: ExponentialPenalty(weight=size),
    "kappa": lambda size: ExponentialPenalty(rate=size),
    "terminal": lambda size: ExponentialPenalty(terminal_weight=size),
    "quadratic": lambda size: QuadraticPenalty(weight=size),
    "gamma": lambda size: ExponentialUtility(size),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("kind", KINDS)
def test_value_falls_in_the_penalty(kind: str, law: str, claim: Callable[..., None]) -> None:
    for market in (Market(fill_law=law), Market(fill_law=law, steps=30, max_inventory=5, arrival_rate=60)):
        values = [solve(market, KINDS[kind](size)).value[:-1] for size in (0.01, 0.03, 0.1, 0.3, 1.0)]
        rise = max(float((larger - smaller).max()) for smaller, larger in itertools.pairwise(values))
        claim("value falls in every penalty, in every state: largest rise", 16, rise, 0)


@pytest.mark.parametrize("name", [*SETS, "random problems"])
def test_quotes_lean_against_the_inventory(name: str, claim: Callable[..., None]) -> None:
    # A box that forces quotes where none are wanted can make the value convex in places, and the quotes uneven:
    # it happens where the largest depth is near 1/k. So the random problems get a wide box.
    cases = [SETS[name]] if name in SETS else [in_a_wide_box(*problem) for problem in problems(100, 400)]
    for market, objective in cases:
        quotes = solve(market, objective).quotes
        fall = -np.diff(quotes.bid_depth[..., :-1]).min(initial=0) * market.depth_decay
        rise = np.diff(quotes.ask_depth[..., 1:]).max(initial=0) * market.depth_decay
        claim("bid depth rises in inventory: largest fall, of 1/k", 16, fall, 1e-10)
        claim("ask depth falls in inventory: largest rise, of 1/k", 16, rise, 1e-10)


def in_a_wide_box(market: Market, objective: Objective) -> tuple[Market, Objective]:
    return replace(market, min_depth=-4 / market.depth_decay, max_depth=40 / market.depth_decay), objective


def test_more_takers_and_a_wider_box_are_never_worse(claim: Callable[..., None]) -> None:
    for market, objective in problems(60, 300):
        value = solve(market, objective).value
        scale = price_scale(market, value)
        wider = replace(market, min_depth=market.min_depth - 1 / market.depth_decay, max_depth=60 / market.depth_decay)
        free = solve(wider, objective).value
        claim("a wider box is never worse: largest loss, relative", 16, float((value - free).max()) / scale, 1e-12)
        busier = solve(replace(wider, arrival_rate=1.3 * market.arrival_rate), objective).value
        claim("more takers are never worse: largest loss, relative", 16, float((free - busier).max()) / scale, 1e-12)
