"""Volatility of the mid: a signature over lags, the lag to trust, and the drift (docs/real-markets.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mmenv.data.likelihood import BLOCKS, CONFIDENCE, Interval, block_sums
from mmenv.data.recording import RecordingError
from mmenv.data.steps import Steps

LAGS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
TINY = 1e-300
FEWEST = 20  # independent moves that a lag must have
REFERENCE = 10  # a lag is compared with the one this many times longer
TOLERANCE = 0.05  # an excess of volatility over it that is worth a longer lag


@dataclass(frozen=True)
class Signature:
    """Volatility by lag: level where the mid diffuses, higher at short lags where it is noisy.

    Attributes:
        lag: [s], shape (lags,).
        volatility: estimates, one a lag [price / sqrt(s)].
        chosen: index of the lag to trust: the shortest whose volatility is not above that of a ten times longer one.
    """

    lag: tuple[float, ...]
    volatility: tuple[Interval, ...]
    chosen: int

    @property
    def best(self) -> Interval:
        """Volatility at the chosen lag [price / sqrt(s)]."""
        return self.volatility[self.chosen]


def signature(steps: Steps) -> Signature:
    """Volatility of the mid at lags of 1, 2, 5, 10 ... steps.

    Raises:
        RecordingError: there are too few steps, or the mid never moves.
    """
    lags = [lag for lag in LAGS if len(steps) // lag >= FEWEST]
    if not lags or not np.any(steps.mid_move):
        got = f"{len(steps)} steps" if not lags else "one that never does"
        raise RecordingError(f"volatility needs at least {FEWEST} steps and a mid that moves, got {got}")
    found = [_volatility(steps, lag) for lag in lags]
    chosen = 0
    while chosen + 1 < len(lags) and _noisy(found[chosen], _reference(lags, found, chosen)):
        chosen += 1
    return Signature(tuple(lag * steps.dt for lag in lags), tuple(found), chosen)


def _reference(lags: list[int], found: list[Interval], at: int) -> Interval:
    longer = [i for i, lag in enumerate(lags) if lag <= REFERENCE * lags[at]]
    return found[longer[-1]]


def _noisy(short: Interval, long: Interval) -> bool:
    """Whether the volatility at a short lag exceeds that at a long one, by more than noise and by enough to matter."""
    return short.value > max(long.high, long.robust_high, (1 + TOLERANCE) * long.value)


def _volatility(steps: Steps, lag: int) -> Interval:
    """Volatility from overlapping moves over `lag` steps, about their mean drift.

    Overlap makes neighbours depend: n moves over m steps have as many degrees of freedom as n 3m / (2m^2 + 1)
    independent ones. The robust interval takes blocks of time as they come.
    """
    moves = overlapping(steps.mid_move, steps.segment, lag)
    moves = moves - moves.mean()
    variance = float(np.mean(moves**2)) / (lag * steps.dt)
    freedom = max(1.0, len(moves) * 3 * lag / (2 * lag**2 + 1) - 1)
    tail = (1 - CONFIDENCE) / 2
    low, high = (variance * freedom / stats.chi2.ppf(level, freedom) for level in (1 - tail, tail))
    sums = block_sums((moves**2)[:, None]) if len(moves) >= BLOCKS else np.full((BLOCKS, 1), math.nan)
    relative = float(np.std(sums, ddof=1) / max(float(np.mean(sums)), TINY)) / math.sqrt(BLOCKS)
    spread = math.exp(stats.t.ppf(1 - tail, BLOCKS - 1) * relative)
    ends = (low, high, variance / spread, variance * spread)
    return Interval(math.sqrt(variance), *(math.sqrt(end) for end in ends))


def overlapping(moves: np.ndarray, segment: np.ndarray, lag: int) -> np.ndarray:
    """Moves over `lag` consecutive steps, one starting at each step, none across a silence."""
    level = np.concatenate([[0.0], np.cumsum(moves)])
    sums = level[lag:] - level[:-lag]
    return sums[segment[lag - 1 :] == segment[: len(segment) - lag + 1]]


def drift(steps: Steps) -> Interval:
    """Mean move of the mid per second [price / s]."""
    rate = float(np.mean(steps.mid_move)) / steps.dt
    error = float(np.std(steps.mid_move, ddof=1)) / math.sqrt(len(steps)) / steps.dt
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
    if len(steps) < BLOCKS:
        return Interval(rate, rate - half, rate + half)
    means = block_sums(steps.mid_move[:, None])[:, 0] * BLOCKS / (len(steps) * steps.dt)
    wide = float(stats.t.ppf((1 + CONFIDENCE) / 2, BLOCKS - 1)) * float(np.std(means, ddof=1)) / math.sqrt(BLOCKS)
    return Interval(rate, rate - half, rate + half, rate - wide, rate + wide)
