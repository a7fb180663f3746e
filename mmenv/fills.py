"""The fill laws, each whole in one place: probability, reach, best depth (docs/model.md, section 2, equations 5 to 7).

A law says how a depth turns into the chance of a fill within one step. Takers reach a random depth on
each side; a quote fills if and only if reach > depth, so a law is also a distribution of the reach.

The parameters of a law are numbers, or arrays of shape (regimes, 1) that broadcast over states.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mmenv.curves import Curve
from mmenv.utility import certainty_equivalent

TINY = np.finfo(float).tiny
NEWTON_STEPS = 100
NEWTON_TOLERANCE = 1e-14  # of a depth, relative to 1/k + |depth|
# A maximum found without its slope: a net of so many points, and golden sections of its cells.
NET = 65
GOLDEN_STEPS = 40
GOLDEN = (math.sqrt(5) - 1) / 2
SEARCH_PRECISION = 1e-7


@dataclass(frozen=True)
class FillLaw(ABC):
    """How fills depend on depth within one step.

    Attributes:
        expected_arrivals: A dt, market orders per side and step at depth 0, >= 0.
        decay: k [1 / price], > 0; of another curve, its steepness.
        curve: how arrivals fall with depth; None for exp(-k depth).
    """

    # Numbers, or arrays; Any, because a checker cannot follow them through arithmetic.
    expected_arrivals: Any
    decay: Any
    curve: Curve | None = None
    name: ClassVar[str]

    @property
    def precision(self) -> float:
        """How exact `best_depth` is, relative to 1/k + |depth|."""
        return NEWTON_TOLERANCE if self.curve is None else SEARCH_PRECISION

    @cached_property
    def log_arrivals(self) -> Any:
        """ln(A dt); -inf in a market without takers."""
        if isinstance(self.expected_arrivals, np.ndarray):
            with np.errstate(divide="ignore"):
                return np.log(self.expected_arrivals)
        return math.log(self.expected_arrivals) if self.expected_arrivals > 0 else -math.inf

    def at(self, regime: Any) -> FillLaw:
        """The law in the regimes of an array of any shape, with parameters of that shape."""
        if not isinstance(self.decay, np.ndarray):
            return self
        law = type(self)(self.expected_arrivals[regime, 0], self.decay[regime, 0], self.curve)
        law.__dict__["log_arrivals"] = self.log_arrivals[regime, 0]  # gathered, which is cheaper than taken again
        return law

    def arrivals(self, depth: ArrayLike) -> np.ndarray:
        """Expected market orders per step that reach `depth`: A dt exp(-k depth) or A dt f(depth), same shape."""
        with np.errstate(over="ignore"):
            return np.exp(self.log_arrivals - self.fall(depth))

    def fall(self, depth: ArrayLike) -> Any:
        """How far the logarithm of arrivals falls from depth 0 to `depth`: k depth, or -ln f(depth)."""
        return self.decay * np.asarray(depth, dtype=float) if self.curve is None else self.curve.fall(depth)

    def depth_of(self, level: Any) -> Any:
        """The depth at which arrivals have fallen by `level`, the inverse of `fall` [price]; may be infinite."""
        return level / self.decay if self.curve is None else self.curve.reach(np.asarray(level))

    def natural_margin(self, risk_aversion: float) -> Any:
        """The margin that maximises exp(-k x) u(x): ln(1 + gamma/k) / gamma, or 1/k at gamma = 0 [price]."""
        if risk_aversion == 0:
            return 1 / self.decay
        if isinstance(self.decay, np.ndarray):
            return np.log1p(risk_aversion / self.decay) / risk_aversion
        return math.log1p(risk_aversion / self.decay) / risk_aversion

    @abstractmethod
    def probability(self, depth: ArrayLike) -> np.ndarray:
        """P(fill at depth) within one step, same shape as `depth` [price]."""

    @abstractmethod
    def log_chances(self, depth: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """ln P(fill) and ln P(no fill) at `depth`, each to full precision however rare; may be -inf."""

    @abstractmethod
    def reach(self, exponential: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The depth that takers reached [price], from E ~ Exp(1), same shape; may be infinite. Written to `out`."""

    def _reach_of(self, level: np.ndarray) -> np.ndarray:
        """`depth_of`, in place."""
        if self.curve is None:
            level /= self.decay
        else:
            level[...] = self.curve.reach(level)
        return level

    def best_depth(self, gain: np.ndarray, risk_aversion: float, low: float, high: float) -> np.ndarray:
        """The depth in [low, high] that maximises probability(depth) * u(depth + gain), same shape as `gain`.

        u(x) = (1 - exp(-gamma x)) / gamma, or x at gamma = 0, is the utility of a fill; `gain` [price] is
        what the change of inventory is worth beyond the depth earned. With the exponential curve the objective
        rises to one maximum and falls after it under both laws, so clipping that maximum to the box is exact;
        with another one it is searched, piece by piece between the kinks.
        """
        if self.curve is None:
            return self._best_exponential(gain, risk_aversion, low, high)
        return self._best_searched(gain, risk_aversion, low, high)

    def worth(self, depth: np.ndarray, gain: np.ndarray, risk_aversion: float) -> np.ndarray:
        """The certainty equivalent of quoting `depth`, in which probability * u(depth + gain) rises [price].

        Unlike that product it does not lose its digits where a fill is nearly certain, or a utility nearly full.
        """
        if risk_aversion == 0:
            return self.probability(depth) * (depth + gain)
        fill, no_fill = self.log_chances(depth)
        return certainty_equivalent(((no_fill, 0.0), (fill, depth + gain)), risk_aversion)

    @abstractmethod
    def _best_exponential(self, gain: np.ndarray, risk_aversion: float, low: float, high: float) -> np.ndarray:
        """`best_depth` with the exponential curve."""

    def _best_searched(self, gain: np.ndarray, risk_aversion: float, low: float, high: float) -> np.ndarray:
        """`best_depth` with any curve: the best point of a net, refined on both sides up to its neighbours."""
        assert self.curve is not None

        def worth(depth: np.ndarray) -> np.ndarray:
            return self.worth(depth, gain, risk_aversion)

        capped = np.ravel(self.curve.reach(np.asarray(self.log_arrivals, dtype=float)))
        net = np.concatenate([np.linspace(low, high, NET), self.curve.kinks, capped])
        net = np.unique(net[(net >= low) & (net <= high)])
        worths = worth(net.reshape(-1, *[1] * gain.ndim))
        at = np.argmax(worths, axis=0)
        best = net[at]
        for neighbour in (np.maximum(at - 1, 0), np.minimum(at + 1, len(net) - 1)):
            found = _golden(worth, np.minimum(best, net[neighbour]), np.maximum(best, net[neighbour]))
            best = np.where(worth(found) > worth(best), found, best)
        return best


def _golden(worth: Callable[[np.ndarray], np.ndarray], left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The maximum of a function with one peak between `left` and `right`, elementwise."""
    for _ in range(GOLDEN_STEPS):
        first, second = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
        nearer = worth(first) >= worth(second)
        left, right = np.where(nearer, left, first), np.where(nearer, second, right)
    return (left + right) / 2


@dataclass(frozen=True)
class LinearLaw(FillLaw):
    """P(fill) = min(1, A dt exp(-k depth)): the rate times the step, as in Avellaneda & Stoikov (2008)."""

    name: ClassVar[str] = "linear"

    def probability(self, depth: ArrayLike) -> np.ndarray:
        return np.minimum(1.0, self.arrivals(depth))

    def log_chances(self, depth: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(divide="ignore", over="ignore"):
            log_fill = np.minimum(0.0, self.log_arrivals - self.fall(depth))
            return log_fill, np.log(-np.expm1(log_fill))

    def reach(self, exponential: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return self._reach_of(np.add(self.log_arrivals, exponential, out=out))

    def _best_exponential(self, gain: np.ndarray, risk_aversion: float, low: float, high: float) -> np.ndarray:
        # Below the depth at which the probability reaches one, going wider only earns more.
        return np.clip(np.maximum(self.natural_margin(risk_aversion) - gain, self._certain), low, high)

    @cached_property
    def _certain(self) -> Any:
        """The greatest depth that fills with certainty.

        Rounding must not put us beyond it: a strong risk aversion sees the difference between never and one time
        in 10^16.
        """
        certain = self.log_arrivals / self.decay
        while np.any(beyond := self.decay * certain > self.log_arrivals):
            certain = np.where(beyond, np.nextafter(certain, -np.inf), certain)
        return certain


@dataclass(frozen=True)
class PoissonLaw(FillLaw):
    """P(fill) = 1 - exp(-A dt exp(-k depth)): at least one arrival of a Poisson process within the step."""

    name: ClassVar[str] = "poisson"

    def probability(self, depth: ArrayLike) -> np.ndarray:
        return -np.expm1(-self.arrivals(depth))

    def log_chances(self, depth: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        arrivals = self.arrivals(depth)
        with np.errstate(divide="ignore"):
            return np.log(-np.expm1(-arrivals)), -arrivals

    def reach(self, exponential: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        with np.errstate(divide="ignore"):
            reach = np.log(exponential, out=out)
        if np.any(nobody := np.equal(self.expected_arrivals, 0)):
            reach[np.broadcast_to(nobody, reach.shape)] = np.inf  # nobody comes, not even where E = 0
        return self._reach_of(np.subtract(self.log_arrivals, reach, out=reach))

    def _best_exponential(self, gain: np.ndarray, risk_aversion: float, low: float, high: float) -> np.ndarray:
        # First-order condition in the margin x = depth + gain > 0, with y = arrivals(depth):
        #   k (e^{gamma x} - 1)/gamma = (e^y - 1)/y.
        # In logarithms the left side rises and is concave and the right side falls and is convex in depth, so
        # Newton's iterates climb from the left of the root without overshooting. Two places are surely left of
        # it: the natural margin, where the left side is ln 1 = 0, and the depth at which y is twice what the
        # left side is at most, since the right side exceeds y/2. A root beyond the box means the box's end.
        natural = self.natural_margin(risk_aversion)
        most, _ = self._log_margin(np.maximum(high + gain, natural), risk_aversion)
        left_of_root = (self.log_arrivals - np.log(2 * np.maximum(most, TINY))) / self.decay
        depth = np.clip(np.maximum(left_of_root, natural - gain), low, high)
        for _ in range(NEWTON_STEPS):
            y = np.maximum(self.arrivals(depth), TINY)
            ratio = y / -np.expm1(-y)
            left, left_slope = self._log_margin(np.maximum(depth + gain, natural), risk_aversion)
            climb = (y - np.log(ratio) - left) / (left_slope + self.decay * (ratio - 1))
            climbed = np.clip(depth + np.maximum(climb, 0.0), low, high)
            done = np.all(climbed - depth <= NEWTON_TOLERANCE * (1 / self.decay + np.abs(depth)))
            depth = climbed
            if done:
                break
        return depth

    def _log_margin(self, margin: np.ndarray, risk_aversion: float) -> tuple[np.ndarray, np.ndarray]:
        """ln(k (e^{gamma x} - 1)/gamma), or ln(k x) at gamma = 0, and its slope, at margins x > 0."""
        if risk_aversion == 0:
            return np.log(self.decay * margin), 1 / margin
        scaled = -np.expm1(-risk_aversion * margin)
        return risk_aversion * margin + np.log(self.decay * scaled / risk_aversion), risk_aversion / scaled


FILL_LAWS: dict[str, type[FillLaw]] = {law.name: law for law in (LinearLaw, PoissonLaw)}
