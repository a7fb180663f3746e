"""How far from optimal the famous formulas are, by the objective they were derived for: exponential utility.

Certainty equivalents against risk aversion, in the market's own steps and in continuous time, none of the quotes
clipped to a box and the box of the optimum so wide that it binds in no state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluate.continuous import Quotes, continuous_objective
from mmenv.closed_forms import asymptotic_glft, avellaneda_stoikov, continuous_quotes, continuous_value, optimal_spread
from mmenv.linear_skew import linear_skew_table
from mmenv.market import Market
from mmenv.objectives import ExponentialUtility
from mmenv.quotes import QuoteTable
from mmenv.solver import Solution, evaluate_exactly, solve

RISK_AVERSIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
WIDEST_BOX = 2**20
SHORTEST = 1e-12


# Quotes in a market's steps, and in continuous time, where None stands for the optimum itself.
Steps = Callable[[Market, float], QuoteTable]
Continuous = Callable[[Market, float], Quotes]


def above_zero(market: Market, risk_aversion: float) -> QuoteTable:
    """The formula of Avellaneda & Stoikov with depths clipped at 0: never through the mid."""
    table = avellaneda_stoikov(market, risk_aversion)
    return QuoteTable(np.maximum(table.bid_depth, 0.0), np.maximum(table.ask_depth, 0.0))


def symmetric(market: Market, risk_aversion: float) -> QuoteTable:
    """The average spread of Avellaneda & Stoikov around the mid, as in their tables."""
    return linear_skew_table(market, float(optimal_spread(market, risk_aversion).mean()) / 2, 0.0)


def finite_glft(market: Market, risk_aversion: float) -> QuoteTable:
    """Guéant, Lehalle & Fernandez-Tapia with a finite horizon: the optimum of continuous time."""
    return continuous_quotes(market, ExponentialUtility(risk_aversion))


def at_time_left(steps: Steps) -> Continuous:
    """A formula of the time left: its quotes at the start of a market of that length, whatever its steps."""

    def quotes(market: Market, risk_aversion: float) -> Quotes:
        def at(time_left: float) -> tuple[np.ndarray, np.ndarray]:
            rest = replace(market, horizon=max(time_left, SHORTEST * market.horizon), steps=1)
            table = steps(rest, risk_aversion)
            return table.bid_depth[0, 0], table.ask_depth[0, 0]

        return at

    return quotes


def constant_glft(market: Market, risk_aversion: float) -> Quotes:
    """The asymptotic quotes do not depend on time."""
    table = asymptotic_glft(market, risk_aversion)
    return lambda time_left: (table.bid_depth[0, 0], table.ask_depth[0, 0])


def constant_symmetric(market: Market, risk_aversion: float) -> Quotes:
    """Half the spread of equation 31 in the middle of the session, which is its average in continuous time."""
    middle = replace(market, horizon=market.horizon / 2, steps=1)
    depth = np.full(len(market.inventories), float(optimal_spread(middle, risk_aversion)[0]) / 2)
    return lambda time_left: (depth, depth)


FORMULAS: dict[str, tuple[Steps, Continuous | None]] = {
    "symmetric": (symmetric, constant_symmetric),
    "AS": (avellaneda_stoikov, at_time_left(avellaneda_stoikov)),
    "AS clipped at 0": (above_zero, at_time_left(above_zero)),
    "GLFT asymptotic": (asymptotic_glft, constant_glft),
    "GLFT finite horizon": (finite_glft, None),
}


@dataclass(frozen=True)
class Comparison:
    """Certainty equivalents at one risk aversion [price].

    Attributes:
        risk_aversion: gamma [1 / price].
        optimum: the exact optimum in the market's steps.
        formulas: the formulas in the market's steps, by name.
        continuous_optimum: the optimum in continuous time.
        continuous_formulas: the formulas in continuous time, by name.
    """

    risk_aversion: float
    optimum: float
    formulas: dict[str, float]
    continuous_optimum: float
    continuous_formulas: dict[str, float]

    def percent(self, name: str, continuous: bool) -> float:
        """A formula in percent of the optimum; negative where it loses."""
        if continuous:
            return 100 * self.continuous_formulas[name] / self.continuous_optimum
        return 100 * self.formulas[name] / self.optimum


def compare(market: Market, risk_aversions: Sequence[float] = RISK_AVERSIONS) -> list[Comparison]:
    """Compare all formulas with the optimum of the exponential utility.

    Args:
        market: the market; its box of depths is ignored.
        risk_aversions: gamma of each comparison [1 / price].

    Returns:
        One comparison for each risk aversion.
    """
    return [_compare(market, gamma) for gamma in risk_aversions]


def _compare(market: Market, risk_aversion: float) -> Comparison:
    objective = ExponentialUtility(risk_aversion)
    best = float(continuous_value(market, objective)[0, 0, market.max_inventory])
    in_steps, continuous = {}, {}
    for name, (steps, quotes) in FORMULAS.items():
        in_steps[name] = evaluate_exactly(market, objective, steps(market, risk_aversion)).objective
        limit = None if quotes is None else continuous_objective(market, objective, quotes(market, risk_aversion))
        continuous[name] = best if limit is None else limit
    return Comparison(risk_aversion, unbound(market, objective).optimum, in_steps, best, continuous)


def unbound(market: Market, objective: ExponentialUtility) -> Solution:
    """The optimum over a box so wide that no quote of any state lies on its edge.

    Raises:
        ValueError: the widest box still binds.
    """
    width = 8 / market.depth_decay
    while width <= WIDEST_BOX / market.depth_decay:
        solution = solve(replace(market, min_depth=-width, max_depth=width), objective)
        quoted = np.concatenate([solution.quotes.bid_depth[..., :-1], solution.quotes.ask_depth[..., 1:]], axis=-1)
        if np.abs(quoted).max() < width:
            return solution
        width *= 2
    raise ValueError(f"the optimum of {objective} has no finite quotes in some state of {market}")
