"""What a simulation shows of the numbers that `evaluate_exactly` claims."""

from __future__ import annotations

import math

import numpy as np

from mmenv import ExactEvaluation, Market, Objective, QuoteTable, Tape, evaluate_exactly, simulate
from mmenv.objectives import ExponentialUtility
from tests.statistics import Sums

PIECE = 1024


def observe(
    market: Market,
    objective: Objective,
    policies: dict[str, QuoteTable],
    centres: dict[str, ExactEvaluation],
    paths: int,
    seed: int,
) -> dict[str, dict[str, Sums]]:
    """Play all policies along one tape of at least `paths` sessions and tally what `expectations` lists.

    The tape comes episode by episode. Squares are taken around `centres`, so that nothing cancels.
    """
    tally = {
        name: {what: Sums(value) for what, value in expectations(centres[name], objective, centres[name]).items()}
        for name in policies
    }
    for episode in range(-(-paths // PIECE)):
        tape = Tape.draw(market, PIECE, seed, episode=episode)
        for name, quotes in policies.items():
            for what, sample in session_numbers(market, objective, quotes, tape, centres[name]).items():
                tally[name][what].add(sample)
    return tally


def session_numbers(
    market: Market, objective: Objective, quotes: QuoteTable, tape: Tape, centre: ExactEvaluation
) -> dict[str, np.ndarray]:
    """Numbers of every session whose expectations `expectations` knows, shape (paths,) each."""
    paths = simulate(market, quotes, tape)
    final = paths.inventory[-1].astype(float)
    phi = objective.running_penalty(market.inventories)
    charged = phi[paths.inventory[1:] + market.max_inventory].sum(axis=0) * market.dt
    worth = paths.profit - charged - objective.terminal_penalty(final)
    gamma = objective.risk_aversion
    both = np.abs(paths.inventory[:-1]) < market.max_inventory
    spread = np.where(both, paths.bid_depth + paths.ask_depth - centre.mean_spread, 0.0)
    return {
        "objective": np.exp(-gamma * (worth - centre.objective)) if gamma else worth,
        "profit mean": paths.profit,
        "profit square": (paths.profit - centre.profit_mean) ** 2,
        "inventory mean": final,
        "inventory square": (final - centre.final_inventory_mean) ** 2,
        "mean spread": spread.sum(axis=0),
    }


def expectations(exact: ExactEvaluation, objective: Objective, centre: ExactEvaluation) -> dict[str, float]:
    """What `session_numbers` are on average if `exact` is right."""
    gamma = objective.risk_aversion
    quoted_both = float(exact.visits[:-1, :, 1:-1].sum())
    return {
        "objective": math.exp(-gamma * (exact.objective - centre.objective)) if gamma else exact.objective,
        "profit mean": exact.profit_mean,
        "profit square": exact.profit_std**2 + (exact.profit_mean - centre.profit_mean) ** 2,
        "inventory mean": exact.final_inventory_mean,
        "inventory square": exact.final_inventory_std**2
        + (exact.final_inventory_mean - centre.final_inventory_mean) ** 2,
        "mean spread": (exact.mean_spread - centre.mean_spread) * quoted_both,
    }


def relative_error(observed: Sums, exact: ExactEvaluation, objective: Objective) -> float:
    """Standard error of the simulated objective (for CARA: of its certainty equivalent), relative to its value."""
    gamma = objective.risk_aversion
    error = observed.error / gamma if gamma else observed.error
    return error / abs(exact.objective)


def variance_of_utility(market: Market, objective: ExponentialUtility, quotes: QuoteTable) -> float:
    """The exact relative variance of exp(-gamma W): beyond about 10 no sample is large enough."""
    gamma = objective.risk_aversion
    once = evaluate_exactly(market, objective, quotes).objective
    twice = evaluate_exactly(market, ExponentialUtility(2 * gamma), quotes).objective
    return math.expm1(2 * gamma * (once - twice))
