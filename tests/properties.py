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
    low, high = market.depth_range
    for side, quoted in zip((quotes.bid_depth, quotes.ask_depth), quotes.quoted, strict=True):
        assert ((side[quoted] >= low) & (side[quoted] <= high)).all()
    assert 0 <= solution.binding <= 1 + 1e-12

    # No step can earn more than both sides at the largest depth, the rebates, and the drift of a full inventory;
    # informed takers only cost, and no utility exceeds its mean.
    drift = float(np.abs(market.by_regime("drift")).max()) * market.dt * market.max_inventory
    reachable = market.steps * (2 * max(high, 0.0) + 2 * max(-market.fill_fee, 0.0) + drift)
    assert solution.optimum <= reachable * (1 + 1e-12)

    unit = float(np.max(1 / market.by_regime("bid_depth_decay")))
    # Penalties that are huge, in whatever state, leave their rounding in the values of others.
    risk = objective.risk_aversion * (market.by_regime("volatility") * market.max_inventory) ** 2 / 2
    charge = market.dt * float(objective.running_penalty(market.inventories).max() + risk.max())
    rounding = np.finfo(float).eps * max(float(np.abs(solution.value).max()), charge)
    for depth in (low, high):
        constant = np.full(market.grid_shape, depth)
        other = evaluate_exactly(market, objective, quote_table(constant, constant)).value
        assert (other <= solution.value + rounding + 1e-10 * np.maximum(unit, np.abs(solution.value))).all()

    found = evaluate_exactly(market, objective, quotes)
    size = max(1e-300, float(np.abs(solution.value).max()))
    assert abs(found.objective - solution.optimum) <= 1e-10 * size
    informed = float(np.max(market.by_regime("informed_share") * market.by_regime("informed_jump")))
    trade = market.trade_cost(2 * market.max_inventory) if market.hedges else 0.0
    step = 2 * (max(abs(low), abs(high)) + abs(market.fill_fee) + informed) + drift + trade
    units = min(market.max_inventory, market.steps * (2 * market.max_inventory if market.hedges else 1))
    limits = {
        "profit_mean": market.steps * step,
        "final_inventory_mean": units,
        "final_inventory_std": units,
    }
    for name, limit in limits.items():
        assert abs(getattr(found, name)) <= limit * (1 + 1e-9), name
    assert math.isfinite(found.profit_std)
    assert found.profit_std >= 0
    assert math.isfinite(found.profit_mean)
    slack = 1e-9 * (abs(low) + abs(high))
    assert 2 * low - slack <= found.mean_spread <= 2 * high + slack or math.isnan(found.mean_spread)
    assert (found.visits >= 0).all()
    np.testing.assert_allclose(found.visits.sum(axis=(1, 2)), 1, rtol=1e-9)

    paths = simulate(market, quotes, Tape.draw(market, 3, seed=0))
    assert np.isfinite(paths.wealth).all()
    assert np.isfinite(paths.cash).all()
    assert np.abs(paths.inventory).max() <= market.max_inventory
    return solution.optimum
