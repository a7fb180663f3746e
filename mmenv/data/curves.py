"""Shapes of the fill curve: how the expected number of market orders falls with the depth they must reach.

Each shape gives ln Lambda(x), the logarithm of the expected orders per step and side that reach beyond x, from a
vector of free parameters in which every real number is allowed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


class Curve(ABC):
    """A shape of the fill curve."""

    name: ClassVar[str]

    @abstractmethod
    def log_arrivals(self, depth: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """ln Lambda(depth), same shape as `depth` [price], which may hold +inf."""

    @abstractmethod
    def start(self, arrivals: float, excess: float, floor: float) -> np.ndarray:
        """Parameters to start a search from.

        Args:
            arrivals: expected orders per step beyond the floor.
            excess: by how much they go beyond it on average [price].
            floor: [price].
        """


@dataclass(frozen=True)
class Exponential(Curve):
    """Lambda(x) = A dt exp(-k x); parameters (ln A dt, ln k)."""

    name: ClassVar[str] = "exponential"

    def log_arrivals(self, depth: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        return parameters[0] - np.exp(parameters[1]) * depth

    def start(self, arrivals: float, excess: float, floor: float) -> np.ndarray:
        return np.array([np.log(arrivals) + floor / excess, -np.log(excess)])


@dataclass(frozen=True)
class Power(Curve):
    """Lambda(x) = A dt (1 + max(x, 0)/d)^-alpha; parameters (ln A dt, ln d, ln alpha). Exponential as alpha grows."""

    name: ClassVar[str] = "power law"

    def log_arrivals(self, depth: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        beyond = np.log1p(np.maximum(depth, 0.0) * np.exp(-parameters[1]))
        return parameters[0] - np.exp(parameters[2]) * beyond

    def start(self, arrivals: float, excess: float, floor: float) -> np.ndarray:
        return np.array([np.log(arrivals), np.log(excess), np.log(2.0)])


@dataclass(frozen=True)
class Table(Curve):
    """ln Lambda linear between knots, and beyond the last as before it; parameters: the first value, ln of each slope.

    Attributes:
        knots: rising depths, the first one the floor [price].
    """

    knots: tuple[float, ...]
    name: ClassVar[str] = "table"

    def log_arrivals(self, depth: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        knots, slopes = np.asarray(self.knots), np.exp(parameters[1:])
        values = parameters[0] - np.concatenate([[0.0], np.cumsum(slopes[:-1] * np.diff(knots))])
        at = np.clip(np.searchsorted(knots, depth, side="right") - 1, 0, len(slopes) - 1)
        return values[at] - slopes[at] * (depth - knots[at])

    def start(self, arrivals: float, excess: float, floor: float) -> np.ndarray:
        return np.concatenate([[np.log(arrivals)], np.full(len(self.knots), -np.log(excess))])
