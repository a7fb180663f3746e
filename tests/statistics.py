"""Bounds for statistical tests, derived from sample sizes and a level; nothing here is tuned.

Fewer than TESTS statistical tests are made in all, the proofs included, each at level FAMILY_LEVEL / TESTS: a
correct library fails any of them with a chance of at most FAMILY_LEVEL. Seeds are pinned: a pass is a pass for good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

FAMILY_LEVEL = 1e-6
ROUNDING = 1e-10
TESTS = 1000
# The two-sided normal bound of one test, 6.1 standard errors.
Z_BOUND = float(stats.norm.isf(FAMILY_LEVEL / TESTS / 2))


@dataclass
class Sums:
    """Mean and standard error of a sample that comes in pieces, summed around `centre` so that nothing cancels."""

    centre: float
    count: int = 0
    total: float = 0.0
    square: float = 0.0

    def add(self, sample: np.ndarray) -> None:
        away = np.asarray(sample, dtype=float) - self.centre
        self.count += away.size
        self.total += float(away.sum())
        self.square += float(away @ away)

    @property
    def mean(self) -> float:
        return self.centre + self.total / self.count

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(max(0.0, self.square - self.total**2 / self.count)) / self.count

    def z(self, expected: float) -> float:
        """|mean - expected| in standard errors; a difference below ROUNDING is not one."""
        away = abs(self.mean - expected)
        if away <= ROUNDING:
            return 0.0
        return away / self.error if self.error > 0 else math.inf


def z_of_frequency(hits: int, trials: int, probability: float) -> float:
    """|hits - expected| in binomial standard deviations under `probability`."""
    if probability in (0.0, 1.0):
        return 0.0 if hits == trials * probability else math.inf
    return abs(hits - trials * probability) / math.sqrt(trials * probability * (1 - probability))


def z_of_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """|correlation| * sqrt(size), standard normal for large independent samples."""
    x, y = np.ravel(first) - np.mean(first), np.ravel(second) - np.mean(second)
    return float(abs(x @ y) / math.sqrt((x @ x) * (y @ y)) * math.sqrt(x.size))


def ks_distance(sample: np.ndarray, cdf: object) -> float:
    """Kolmogorov-Smirnov distance of a sample to a continuous distribution function."""
    ordered = np.sort(np.ravel(sample))
    size = ordered.size
    values = cdf(ordered)  # type: ignore[operator]
    return float(max(np.max(np.arange(1, size + 1) / size - values), np.max(values - np.arange(size) / size)))


def ks_bound(size: int) -> float:
    """The bound on the distance of one test, by the Dvoretzky-Kiefer-Wolfowitz-Massart inequality.

    P(distance > d) <= 2 exp(-2 size d^2) holds at every size, and is sharp in the limit.
    """
    return math.sqrt(math.log(2 * TESTS / FAMILY_LEVEL) / (2 * size))
