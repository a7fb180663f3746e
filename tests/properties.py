"""Properties of every valid problem, checked by the default suite on some cases and by the proofs on many."""

from __future__ import annotations

import math

import numpy as np

from mmenv import Market, Objective, Tape, evaluate_exactly, simulate, solve
from mmenv.quotes import quote_table


def check_problem(market: Market, objective: Objective) -> float:
    """Assert that all answers about a valid problem are finite and bounded; returns the optimum."""
    solution = solve(market, objective)
    quotes = solution.quotes
    assert np.isfinite(solution.value).all()
    for side in (quotes.bid_depth[..., :-1], quotes.ask_depth[..., 1:]):
        assert ((side >= market.min_depth) & (side <= market.max_depth)).all()
    assert 0 <= solution.binding <= 1 + 1e-12

    # No step can earn more than both sides at the largest depth; no utility exceeds its mean.
    reachable = 2 * market.steps * max(market.max_depth, 0.0)
    assert solution.optimum <= reachable * (1 + 1e-12)

    for depth in (market.min_depth, market.max_depth):
        constant = np.full(market.grid_shape, depth)
        other = evaluate_exactly(market, objective, quote_table(constant, constant)).value
        assert (other <= solution.value + 1e-10 * np.maximum(1 / market.depth_decay, np.abs(solution.value))).all()

    found = evaluate_exactly(market, objective, quotes)
    size = max(1e-300, float(np.abs(solution.value).max()))
    assert abs(found.objective - solution.optimum) <= 1e-10 * size
    limits = {
        "profit_mean": 2 * market.steps * max(abs(market.min_depth), abs(market.max_depth)),
        "final_inventory_mean": min(market.max_inventory, market.steps),
        "final_inventory_std": min(market.max_inventory, market.steps),
    }
    for name, limit in limits.items():
        assert abs(getattr(found, name)) <= limit * (1 + 1e-9), name
    assert math.isfinite(found.profit_std)
    assert found.profit_std >= 0
    slack = 1e-9 * (abs(market.min_depth) + abs(market.max_depth))
    assert 2 * market.min_depth - slack <= found.mean_spread <= 2 * market.max_depth + slack
    assert (found.visits >= 0).all()
    np.testing.assert_allclose(found.visits.sum(axis=(1, 2)), 1, rtol=1e-9)

    paths = simulate(market, quotes, Tape.draw(market, 3, seed=0))
    assert np.isfinite(paths.wealth).all()
    assert np.isfinite(paths.cash).all()
    assert np.abs(paths.inventory).max() <= market.max_inventory
    return solution.optimum
