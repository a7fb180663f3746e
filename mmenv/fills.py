"""The fill laws, each whole in one place: probability, reach, best depth (docs/model.md, section 2).

A law says how a depth turns into the chance of a fill within one step. Takers reach a random depth on
each side; a quote fills if and only if reach > depth, so a law is also a distribution of the reach.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

NEWTON_STEPS = 1000
NEWTON_TOLERANCE = 1e-14


@dataclass(frozen=True)
class FillLaw(ABC):
    """How fills depend on depth within one step.

    Attributes:
        expected_arrivals: A dt, market orders per side and step at depth 0, >= 0.
        decay: k [1 / price], > 0.
    """

    expected_arrivals: float
    decay: float
    name: ClassVar[str]

    @property
    def log_arrivals(self) -> float:
        """ln(A dt); -inf in a market without takers."""
        return math.log(self.expected_arrivals) if self.expected_arrivals > 0 else -math.inf

    def arrivals(self, depth: ArrayLike) -> np.ndarray:
        """Expected market orders per step that reach `depth`: A dt exp(-k depth), same shape."""
        with np.errstate(over="ignore"):
            return np.exp(self.log_arrivals - self.decay * np.asarray(depth, dtype=float))

    def natural_margin(self, risk_aversion: float) -> float:
        """The margin that maximises exp(-k x) u(x): ln(1 + gamma/k) / gamma, or 1/k at gamma = 0 [price]."""
        if risk_aversion == 0:
            return 1 / self.decay
        return math.log1p(risk_aversion / self.decay) / risk_aversion

    @abstractmethod
    def probability(self, depth: ArrayLike) -> np.ndarray:
        """P(fill at depth) within one step, same shape as `depth` [price]."""

    @abstractmethod
    def reach(self, exponential: np.ndarray) -> np.ndarray:
        """The depth that takers reached [price], from E ~ Exp(1); same shape. May be infinite."""

    @abstractmethod
    def best_depth(self, gain: np.ndarray, risk_aversion: float, low: float, high: float) -> np.ndarray:
        """The depth in [low, high] that maximises probability(depth) * u(depth + gain), same shape as `gain`.

        u(x) = (1 - exp(-gamma x)) / gamma, or x at gamma = 0, is the utility of a fill; `gain` [price] is
        what the change of inventory is worth beyond the depth earned. The objective rises to one maximum
        and falls after it under both laws, so clipping that maximum to the box is exact.
        """


@dataclass(frozen=True)
class LinearLaw(FillLaw):
    """P(fill) = min(1, A dt exp(-k depth)): the rate times the step, as in Avellaneda & Stoikov (2008)."""

    name: ClassVar[str] = "linear"

    def probability(self, depth: ArrayLike) -> np.ndarray:
        return np.minimum(1.0, self.arrivals(depth))

    def reach(self, exponential: np.ndarray) -> np.ndarray:
        return (self.log_arrivals + exponential) / self.decay

    def best_depth(self, gain: np.ndarray, risk_aversion: float, low: float, high: float) -> np.ndarray:
        # Below the depth at which the probability reaches one, going wider only earns more.
        certain = self.log_arrivals / self.decay
        return np.clip(np.maximum(self.natural_margin(risk_aversion) - gain, certain), low, high)


@dataclass(frozen=True)
class PoissonLaw(FillLaw):
    """P(fill) = 1 - exp(-A dt exp(-k depth)): at least one arrival of a Poisson process within the step."""

    name: ClassVar[str] = "poisson"

    def probability(self, depth: ArrayLike) -> np.ndarray:
        return -np.expm1(-self.arrivals(depth))

    def reach(self, exponential: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return (self.log_arrivals - np.log(exponential)) / self.decay

    def best_depth(self, gain: np.ndarray, risk_aversion: float, low: float, high: float) -> np.ndarray:
        # First-order condition in the margin x = depth + gain > 0, with y = arrivals(depth):
        #   k (e^{gamma x} - 1)/gamma = (e^y - 1)/y.
        # In logarithms the left side rises and is concave and the right side falls and is convex in x, so
        # Newton's iterates climb from the left of the root without overshooting. At the natural margin the
        # left side is ln 1 = 0, so the root is not below it; below the box the answer is the box's end.
        margin = np.maximum(self.natural_margin(risk_aversion), low + gain)
        highest = np.maximum(margin, high + gain)
        for _ in range(NEWTON_STEPS):
            y = np.clip(self.arrivals(margin - gain), 1e-300, 1e300)
            ratio = y / -np.expm1(-y)
            right, right_slope = y - np.log(ratio), -self.decay * (ratio - 1)
            if risk_aversion == 0:
                left, left_slope = np.log(self.decay * margin), 1 / margin
            else:
                scaled = -np.expm1(-risk_aversion * margin)
                left = risk_aversion * margin + np.log(self.decay * scaled / risk_aversion)
                left_slope = risk_aversion / scaled
            climbed = np.clip(margin + (right - left) / (left_slope - right_slope), margin, highest)
            done = np.all(climbed - margin <= NEWTON_TOLERANCE * (1 + np.abs(climbed)))
            margin = climbed
            if done:
                break
        return np.clip(margin - gain, low, high)


FILL_LAWS: dict[str, type[FillLaw]] = {law.name: law for law in (LinearLaw, PoissonLaw)}
