"""Statistics of simulated sessions: pure functions of moments, every figure with its interval.

Each session yields one vector of numbers. Their mean and scatter are all that is kept, and they can be merged,
so any number of sessions takes constant memory. A figure (a mean, a standard deviation, a ratio, a certainty
equivalent) is a smooth function of the mean vector, so one rule, the delta method, gives every interval, and
every paired difference between two policies on one tape: with m the mean of n vectors, C their covariance and
g the figure's gradient at m, the figure's standard error is sqrt(g'Cg / n).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
# The mean of n numbers of skewness s is normal up to an error of order s / sqrt(n). Beyond this ratio the interval of
# a certainty equivalent covers the truth too seldom, so none is given.
LARGEST_SKEW = 0.3


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Moments:
    """Mean and scatter of vectors of `columns` numbers, one vector a session.

    Attributes:
        count: n, the number of vectors.
        mean: shape (..., columns).
        scatter: sum of (x - mean)(x - mean)', shape (..., columns, columns).
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, samples: np.ndarray) -> Moments:
        """The moments of samples of shape (..., columns, count)."""
        mean = samples.mean(axis=-1)
        centred = samples - mean[..., None]
        return cls(samples.shape[-1], mean, centred @ np.swapaxes(centred, -1, -2))

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of samples together (Chan, Golub & LeVeque 1983)."""
        count = self.count + other.count
        shift = other.mean - self.mean
        between = shift[..., :, None] * shift[..., None, :] * (self.count * other.count / count)
        return Moments(count, self.mean + shift * (other.count / count), self.scatter + other.scatter + between)

    def select(self, index: int) -> Moments:
        """The moments of one of several policies, along the first axis."""
        return Moments(self.count, self.mean[index], self.scatter[index])


class Figure(ABC):
    """A smooth function of the mean vector."""

    @abstractmethod
    def value(self, mean: np.ndarray) -> float:
        """The figure at the mean vector, shape (columns,)."""

    @abstractmethod
    def slopes(self, mean: np.ndarray) -> dict[int, float]:
        """Derivatives of the figure by the columns that it depends on."""

    def is_trusted(self, count: int) -> bool:
        """Whether `count` samples are enough for an interval."""
        return True


@dataclass(frozen=True)
class Mean(Figure):
    """The mean of a column."""

    column: int

    def value(self, mean: np.ndarray) -> float:
        return float(mean[self.column])

    def slopes(self, mean: np.ndarray) -> dict[int, float]:
        return {self.column: 1.0}


@dataclass(frozen=True)
class Deviation(Figure):
    """The standard deviation of a column, from it and from the square of its distance to `centre`.

    A centre near the mean keeps the two from cancelling.
    """

    column: int
    square: int
    centre: float = 0.0

    def value(self, mean: np.ndarray) -> float:
        return math.sqrt(max(0.0, float(mean[self.square]) - (float(mean[self.column]) - self.centre) ** 2))

    def slopes(self, mean: np.ndarray) -> dict[int, float]:
        deviation = self.value(mean)
        if deviation == 0:
            return {self.square: 0.0}
        return {self.square: 0.5 / deviation, self.column: -(float(mean[self.column]) - self.centre) / deviation}


@dataclass(frozen=True)
class Ratio(Figure):
    """The mean of one column over the mean of another; NaN where the latter is zero."""

    top: int
    bottom: int

    def value(self, mean: np.ndarray) -> float:
        return float(mean[self.top] / mean[self.bottom]) if mean[self.bottom] else math.nan

    def slopes(self, mean: np.ndarray) -> dict[int, float]:
        bottom = float(mean[self.bottom]) or math.nan
        return {self.top: 1 / bottom, self.bottom: -float(mean[self.top]) / bottom**2}


@dataclass(frozen=True)
class CertaintyEquivalent(Figure):
    """-(1/gamma) ln E exp(-gamma X), from the column exp(-gamma (X - shift)).

    A shift near the answer keeps the exponential within range. The mean of an exponential may hang on a few bad
    samples, or on none that was seen, so its interval is only as good as the column's skewness lets it be. From the
    coefficient of variation c that is (c^2 + 3) c, as for a lognormal, which the column is when X is normal. The
    true c must be given: a sample without its rare values looks harmless.
    """

    column: int
    risk_aversion: float
    shift: float
    variation: float = 0.0

    def value(self, mean: np.ndarray) -> float:
        utility = float(mean[self.column])
        return self.shift - math.log(utility) / self.risk_aversion if utility > 0 else math.nan

    def is_trusted(self, count: int) -> bool:
        return (self.variation**2 + 3) * self.variation <= LARGEST_SKEW * math.sqrt(count)

    def slopes(self, mean: np.ndarray) -> dict[int, float]:
        return {self.column: -1 / (self.risk_aversion * float(mean[self.column]))}


def estimate(moments: Moments, figure: Figure, confidence: float = CONFIDENCE) -> Estimate:
    """A figure with its interval (delta method, Student's t).

    Args:
        moments: of one policy; at least two samples.
        figure: what to estimate.
        confidence: probability that the interval covers the truth.

    Returns:
        The estimate; its interval is NaN where the samples are too few to trust one.

    Raises:
        ValueError: there is but one sample.
    """
    value = figure.value(moments.mean)
    if not figure.is_trusted(moments.count):
        return Estimate(value, math.nan, math.nan)
    return _interval(moments, value, figure.slopes(moments.mean), confidence)


def paired_difference(moments: Moments, figure: Figure, reference: Figure, confidence: float = CONFIDENCE) -> Estimate:
    """The difference of a figure between a policy and a reference that played the same tape.

    Args:
        moments: of vectors that hold the policy's columns and, after them, as many of the reference's.
        figure: the figure of the policy, by its columns.
        reference: the figure of the reference, by its own columns.
        confidence: probability that the interval covers the truth.

    Returns:
        The estimate; its interval is NaN where the samples are too few to trust one.

    Raises:
        ValueError: there is but one sample.
    """
    columns = len(moments.mean) // 2
    ours, theirs = moments.mean[:columns], moments.mean[columns:]
    if not (figure.is_trusted(moments.count) and reference.is_trusted(moments.count)):
        return Estimate(figure.value(ours) - reference.value(theirs), math.nan, math.nan)
    slopes = figure.slopes(ours)
    slopes |= {columns + column: -slope for column, slope in reference.slopes(theirs).items()}
    return _interval(moments, figure.value(ours) - reference.value(theirs), slopes, confidence)


def _interval(moments: Moments, value: float, slopes: dict[int, float], confidence: float) -> Estimate:
    if moments.count < 2:
        raise ValueError(f"an interval needs at least 2 samples, got {moments.count}")
    columns = list(slopes)
    gradient = np.array([slopes[column] for column in columns])
    covariance = moments.scatter[np.ix_(columns, columns)] / (moments.count - 1)
    error = math.sqrt(max(0.0, float(gradient @ covariance @ gradient)) / moments.count)
    half_width = float(stats.t.ppf((1 + confidence) / 2, moments.count - 1)) * error
    return Estimate(value, value - half_width, value + half_width)


@dataclass(frozen=True)
class Histogram:
    """Counts within bins; what lies outside is counted apart.

    Attributes:
        edges: shape (bins + 1,).
        counts: shape (..., bins).
        outside: samples beyond the edges, shape (...).
    """

    edges: np.ndarray
    counts: np.ndarray
    outside: np.ndarray

    @classmethod
    def of(cls, samples: np.ndarray, edges: np.ndarray) -> Histogram:
        """Histograms of samples of shape (policies, count) within shared edges."""
        counts = np.stack([np.histogram(row, edges)[0] for row in samples])
        return cls(edges, counts, samples.shape[-1] - counts.sum(axis=-1))

    def merge(self, other: Histogram) -> Histogram:
        """The histograms of both sets of samples together; the edges must be the same."""
        return Histogram(self.edges, self.counts + other.counts, self.outside + other.outside)

    def select(self, index: int) -> Histogram:
        """The histogram of one of several policies, along the first axis."""
        return Histogram(self.edges, self.counts[index], self.outside[index])

    def density(self) -> np.ndarray:
        """Probability density in every bin, shape (..., bins) [1 / unit of the edges]."""
        total = self.counts.sum(axis=-1) + self.outside
        return self.counts / (total[..., None] * np.diff(self.edges))


class SeedRange(NamedTuple):
    """A figure over training seeds. Each value is exact, so this is a range and no interval.

    Attributes:
        middle: the middle value, the lower of the two middle ones where their number is even.
        low: the smallest.
        high: the largest.
        seeds: how many there are.
    """

    middle: float
    low: float
    high: float
    seeds: int


def over_seeds(values: Sequence[float]) -> SeedRange:
    """The range of a figure over training seeds."""
    ordered = sorted(values)
    return SeedRange(ordered[(len(ordered) - 1) // 2], ordered[0], ordered[-1], len(ordered))
