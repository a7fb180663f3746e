"""Bounds for statistical tests, derived from sample sizes and a level; nothing here is tuned.

Every test of a suite of `tests` statistical tests runs at level FAMILY_LEVEL / tests, so that a correct library
fails the whole suite with a chance of at most FAMILY_LEVEL. Seeds are pinned: a pass is a pass for good.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

FAMILY_LEVEL = 1e-6


def z_critical(tests: int) -> float:
    """The two-sided normal bound of one of `tests` tests."""
    return float(stats.norm.isf(FAMILY_LEVEL / tests / 2))


def z_of_mean(sample: np.ndarray, expected: float) -> float:
    """|mean - expected| in standard errors estimated from the sample."""
    return float(abs(np.mean(sample) - expected) / (np.std(sample, ddof=1) / math.sqrt(np.size(sample))))


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


def ks_critical(size: int, tests: int) -> float:
    """The bound on the distance of one of `tests` tests, by the Dvoretzky-Kiefer-Wolfowitz-Massart inequality.

    P(distance > d) <= 2 exp(-2 size d^2) holds at every size, and is sharp in the limit.
    """
    return math.sqrt(math.log(2 * tests / FAMILY_LEVEL) / (2 * size))
