"""Making different objectives comparable: of equal strength if their optimal makers hold equally much inventory."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import QuoteTable
from mmenv.solver import solve, state_visits

# The strength is looked for within this factor of a first guess, in logarithms, and found to this part of itself.
REACH = math.log(1e4)
TOLERANCE = 1e-6
TINY = 1e-300


def mean_square_inventory(market: Market, quotes: QuoteTable) -> float:
    """E[q^2] after the fills, averaged over the steps of a session [unit^2]."""
    visits = state_visits(market, quotes)[1:].sum(axis=1)
    return float(np.mean(visits @ market.inventories.astype(float) ** 2))


def calibrated(market: Market, kind: Callable[[float], Objective], guess: float, target: float) -> Objective:
    """The objective of a kind whose optimal maker holds a given mean square inventory.

    Args:
        market: the market.
        kind: from the strength, > 0, to the objective; the stronger, the less inventory.
        guess: a strength of the right order.
        target: mean square inventory [unit^2].

    Raises:
        ValueError: no strength near the guess reaches the target.
    """

    def excess(logarithm: float) -> float:
        held = mean_square_inventory(market, solve(market, kind(math.exp(logarithm))).quotes)
        return math.log(max(held, TINY) / target)

    centre = math.log(guess)
    width = 0.5
    while excess(centre - width) * excess(centre + width) > 0:
        width *= 2
        if width > REACH:
            raise ValueError(f"no strength within a factor of {math.exp(REACH):.0f} of {guess:g} reaches {target:g}")
    return kind(math.exp(brentq(excess, centre - width, centre + width, xtol=TOLERANCE)))
