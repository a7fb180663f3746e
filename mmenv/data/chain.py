"""Busy and quiet: two regimes of arrivals, fitted to the reaches of steps by maximum likelihood (docs/real-markets.md).

The regime of a step is a hidden Markov chain; it multiplies the arrivals of both sides and nothing else, a
Markov-modulated Poisson process that is seen through the deepest taker of each step and side. The likelihood is the
forward recursion, a product of one 2 x 2 matrix a step, which is multiplied out pairwise: the work of a loop over the
steps without the loop.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from mmenv.data.curves import Exponential
from mmenv.data.likelihood import Fit, Interval, Sample, climb, exponential, hessian, inverse, log_likelihoods
from mmenv.data.steps import Steps

# Longer recordings are fitted on this many stretches of so many steps, evenly spread, and the intervals say so.
STRETCHES, STRETCH = 5, 5000
ENOUGH = 1e-4  # a gain of ln likelihood this small ends a climb: it is then closer to the top than 2 % of an error bar
# Where the climb may begin: how much busier, for which share of the time, for how many steps at a stretch.
STARTS = tuple(itertools.product((2.0, 6.0, 20.0), (0.1, 0.3, 0.5), (3.0, 20.0, 100.0)))
FARTHEST = 25.0  # ln of the fastest and slowest rates; without a second regime they run off
# The gain of ln likelihood that counts as significant. Under one regime the rates of the chain mean nothing, so the
# usual theory of likelihood ratios does not hold; simulated recordings of one regime exceed this in fewer than 1 of
# 100 cases, whatever their length and their arrivals (tests/test_data_chain.py, `make proof`).
NEEDED = 6.0


@dataclass(frozen=True)
class Chain:
    """Two regimes of arrivals, the first quiet, the second busy.

    Attributes:
        arrival_rate: by side ("bid" and "ask", or "both"): A when quiet and when busy [1 / s].
        depth_decay: by side: k, the same in both regimes [1 / price].
        stay: how long the market stays quiet and how long busy, on average [s].
        gain: by how much the logarithm of the likelihood exceeds that of one regime.
        dt: length of a step [s].
    """

    arrival_rate: dict[str, tuple[Interval, Interval]]
    depth_decay: dict[str, Interval]
    stay: tuple[Interval, Interval]
    gain: float
    dt: float

    @property
    def better(self) -> bool:
        """Whether two regimes are significantly better than one, and last longer than a step."""
        return self.gain > NEEDED and min(stay.value for stay in self.stay) > self.dt

    @property
    def busier(self) -> float:
        """How many times as many takers come when busy."""
        quiet, busy = next(iter(self.arrival_rate.values()))
        return busy.value / quiet.value

    @property
    def transition_rates(self) -> list[list[float]]:
        """G, the rates from regime to regime [1 / s]."""
        leave = [1 / stay.value for stay in self.stay]
        return [[-leave[0], leave[0]], [leave[1], -leave[1]]]

    @property
    def commoner(self) -> int:
        """The regime in which more of the time is spent."""
        return int(self.stay[1].value > self.stay[0].value)


def fit_chain(steps: Steps, fits: dict[str, Fit]) -> Chain:
    """Fit two regimes.

    Args:
        steps: the recording.
        fits: the exponential curves of one regime: of "bid" and "ask", or of "both" alone for sides that are alike.
    """
    watched, restarts = _watched(steps.segment)
    model = _Model(steps, {name: fitted.data for name, fitted in fits.items()}, watched, restarts)
    single = np.concatenate([[fitted.parameters[i] for fitted in fits.values()] for i in (0, 1)])
    without = climb(model.one_regime, single)[1]
    starts = [model.start(single, *start) for start in STARTS]
    parameters, top = climb(model.two_regimes, max(starts, key=model.two_regimes), ENOUGH)
    parameters = model.quiet_first(parameters)
    covariance = inverse(-hessian(model.two_regimes, parameters))
    return model.chain(parameters, covariance, top - without)


def _watched(segment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps that are fitted to, and which of them begin afresh, the first of a stretch without silences."""
    count = len(segment)
    if count <= STRETCHES * STRETCH:
        watched = np.arange(count)
    else:
        begin = np.linspace(0, count - STRETCH, STRETCHES).astype(np.int64)
        watched = (begin[:, None] + np.arange(STRETCH)).ravel()
    afresh = np.r_[True, (np.diff(watched) != 1) | (np.diff(segment[watched]) != 0)]
    return watched, np.flatnonzero(afresh)


class _Model:
    """The likelihood of reaches under one and under two regimes.

    Parameters: ln A dt of each side (or of both), ln k of each, and under two regimes ln of how much busier, ln of the
    rates from quiet to busy and back [1 / step].
    """

    def __init__(self, steps: Steps, data: dict[str, Sample], watched: np.ndarray, restarts: np.ndarray) -> None:
        self.dt, self.data, self.restarts = steps.dt, data, restarts
        self.steps = len(watched)
        # Both sides taken together alternate, step by step.
        cells = {name: one.cell.reshape(len(steps), -1)[watched] for name, one in data.items()}
        self.cells = {name: [np.ascontiguousarray(side) for side in both.T] for name, both in cells.items()}

    def one_regime(self, parameters: np.ndarray) -> float:
        total = float(self._emissions(parameters, 0.0).sum())
        return total if math.isfinite(total) else -math.inf

    def two_regimes(self, parameters: np.ndarray) -> float:
        emissions = np.stack([self._emissions(parameters[:-3], more) for more in (0.0, parameters[-3])])
        rates = np.exp(np.clip(parameters[-2:], -FARTHEST, FARTHEST))
        return _log_product(*_transition(*rates.tolist()), emissions, self.restarts)

    def _emissions(self, curves: np.ndarray, more: float) -> np.ndarray:
        """ln of the probability of each step's reaches, shape (steps,), with arrivals exp(more) times as many."""
        total = np.zeros(self.steps)
        for i, (name, data) in enumerate(self.data.items()):
            parameters = np.array([curves[i] + more, curves[len(self.data) + i]])
            values = log_likelihoods(data, Exponential(), parameters)
            for cell in self.cells[name]:
                total += values[cell]
        return total

    def start(self, single: np.ndarray, ratio: float, share: float, stay: float) -> np.ndarray:
        """Parameters of two regimes with the arrivals of one."""
        quiet = single - np.where(np.arange(len(single)) < len(self.data), math.log(1 - share + share * ratio), 0.0)
        return np.concatenate([quiet, np.log([ratio, share / ((1 - share) * stay), 1 / stay])])

    def quiet_first(self, parameters: np.ndarray) -> np.ndarray:
        """The same parameters, with the regime of fewer arrivals first."""
        curves, (busier, up, down) = parameters[:-3].copy(), parameters[-3:]
        if busier >= 0:
            return parameters
        curves[: len(self.data)] += busier
        return np.concatenate([curves, [-busier, down, up]])

    def chain(self, parameters: np.ndarray, covariance: np.ndarray, gain: float) -> Chain:
        size, sides = len(parameters), len(self.data)
        unit = np.eye(size)

        def interval(weights: np.ndarray, factor: float) -> Interval:
            return exponential(parameters, covariance, weights).scaled(factor)

        quiet, busier = unit[:sides], unit[size - 3]
        return Chain(
            {
                name: (interval(quiet[i], 1 / self.dt), interval(quiet[i] + busier, 1 / self.dt))
                for i, name in enumerate(self.data)
            },
            {name: interval(unit[sides + i], 1.0) for i, name in enumerate(self.data)},
            (interval(-unit[size - 2], self.dt), interval(-unit[size - 1], self.dt)),
            gain,
            self.dt,
        )


def _transition(up: float, down: float) -> tuple[np.ndarray, np.ndarray]:
    """Stationary shares (quiet, busy) and the matrix of one step, expm of the rates (equation 36 of docs/model.md)."""
    shares = np.array([down, up]) / (up + down)
    return shares, shares + np.exp(-(up + down)) * (np.eye(2) - shares)


def _log_product(shares: np.ndarray, transition: np.ndarray, emissions: np.ndarray, restarts: np.ndarray) -> float:
    """ln of the likelihood of a hidden chain of two regimes: shares' times the product of transition x emission.

    Args:
        shares: of the regimes where a stretch begins, shape (2,).
        transition: of one step, shape (2, 2).
        emissions: ln of the probability of each step's data, shape (2, steps).
        restarts: the steps at which a stretch begins; step 0 is one.
    """
    top = emissions.max(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        matrices = transition[:, :, None] * np.exp(emissions - top)
        matrices[:, :, restarts] = shares[:, None] * np.exp(emissions - top)[:, restarts]
        total = float(top.sum())
        while matrices.shape[2] > 1:
            if matrices.shape[2] % 2:
                matrices = np.concatenate([matrices, np.eye(2)[:, :, None]], axis=2)
            left, right = matrices[:, :, 0::2], matrices[:, :, 1::2]
            matrices = left[:, 0, None] * right[None, 0] + left[:, 1, None] * right[None, 1]
            scale = matrices[0, 0] + matrices[0, 1] + matrices[1, 0] + matrices[1, 1]
            matrices /= scale
            total += float(np.log(scale).sum())
        total += math.log(matrices[0].sum()) if matrices[0].sum() > 0 else -math.inf
    return total if math.isfinite(total) else -math.inf
