"""Policies given by a formula of the theory, and the exact optimum itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from mmenv import _validate, closed_forms
from mmenv.fitting import maximise, objectives_of
from mmenv.market import Market
from mmenv.objectives import ExponentialUtility, Objective
from mmenv.quotes import Policy, QuoteTable
from mmenv.solver import solve
from mmenv.spaces import depth_decay

# Risk aversions tried by `fit`, as parts of the depth decay k: from nearly none to all that makes a difference.
LEAST_RISK_AVERSION = 1e-6
MOST_RISK_AVERSION = 1e2
RISK_AVERSIONS = 33


@dataclass(frozen=True)
class AvellanedaStoikov:
    """The formula of Avellaneda & Stoikov (2008), sections 2.4 and 3.2 (equations 30 and 31 of docs/model.md).

    Attributes:
        risk_aversion: gamma of the exponential utility [1 / price], > 0.

    Raises:
        TypeError, ValueError: risk_aversion is not a finite number > 0.
    """

    risk_aversion: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "risk_aversion", _validate.real("risk_aversion", self.risk_aversion, above=0))

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes in every state, unclipped, at t = n dt."""
        return closed_forms.avellaneda_stoikov(market, self.risk_aversion)

    @classmethod
    def fit(cls, market: Market, objective: Objective) -> Self:
        """The formula at the risk aversion that is best for an objective, with quotes clipped to the box."""
        return cls(_best_risk_aversion(market, objective, lambda risk_aversion: cls(risk_aversion)))


@dataclass(frozen=True)
class GueantLehalleFernandezTapia:
    """The formula of Guéant, Lehalle & Fernandez-Tapia (2013) (equations 25 and 29 of docs/model.md).

    Attributes:
        risk_aversion: gamma of the exponential utility [1 / price], > 0.
        finite_horizon: the optimum of continuous time at each time left, instead of its asymptotics.

    Raises:
        TypeError, ValueError: risk_aversion is not a finite number > 0.
    """

    risk_aversion: float = 0.1
    finite_horizon: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "risk_aversion", _validate.real("risk_aversion", self.risk_aversion, above=0))

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes in every state, unclipped, at t = n dt."""
        if self.finite_horizon:
            return closed_forms.continuous_quotes(market, ExponentialUtility(self.risk_aversion))
        return closed_forms.asymptotic_glft(market, self.risk_aversion)

    @classmethod
    def fit(cls, market: Market, objective: Objective, finite_horizon: bool = False) -> Self:
        """The formula at the risk aversion that is best for an objective, with quotes clipped to the box."""
        best = _best_risk_aversion(market, objective, lambda risk_aversion: cls(risk_aversion, finite_horizon))
        return cls(best, finite_horizon)


@dataclass(frozen=True)
class ContinuousOptimal:
    """The optimum of continuous time for an objective, quoted in discrete time (equation 25 of docs/model.md).

    Attributes:
        objective: any objective.
    """

    objective: Objective

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes in every state, unclipped, at t = n dt."""
        return closed_forms.continuous_quotes(market, self.objective)


@dataclass(frozen=True)
class Optimal:
    """The exact optimum for an objective over the market's box of depths (equations 14 to 19 of docs/model.md).

    Attributes:
        objective: any objective.
    """

    objective: Objective

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes in every state, within the box."""
        return solve(market, self.objective).quotes


def _best_risk_aversion(market: Market, objective: Objective, policy: Callable[[float], Policy]) -> float:
    """The risk aversion whose policy, clipped to the box, is best for an objective: a search in its logarithm."""

    def objectives(logs: np.ndarray) -> np.ndarray:
        tables = [policy(float(gamma)).tabulate(market).clip(market) for gamma in np.exp(logs[:, 0])]
        bid, ask = (np.stack(side, axis=1) for side in zip(*((t.bid_depth, t.ask_depth) for t in tables), strict=True))
        return objectives_of(market, objective, bid, ask)

    net = np.log(depth_decay(market) * np.geomspace(LEAST_RISK_AVERSION, MOST_RISK_AVERSION, RISK_AVERSIONS))[:, None]
    best, _ = maximise(objectives, net, np.full_like(net, net[1, 0] - net[0, 0]))
    return float(np.exp(best[0]))
