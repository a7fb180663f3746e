"""Maximum likelihood for fill curves, from the reach of steps or of single market orders (docs/real-markets.md).

Prices come in ticks, so a reach is not a number but a cell: the reach rounded to the nearest tick. And below some
floor, the mid or half the usual spread, a reach leaves no trace: a step without a trade beyond the floor says just
that. With Lambda(x) the expected orders per step that reach beyond x, the likelihood of a step whose deepest trade
fell in the cell (low, high] is S(low) - S(high), that of a step with none beyond the floor 1 - S(floor), with
S = 1 - exp(-Lambda) under the poisson law and min(1, Lambda) under the linear one. Single orders are a Poisson
process: product of Lambda(low) - Lambda(high), times exp(-steps Lambda(floor)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mmenv.data.curves import Curve
from mmenv.data.recording import RecordingError

CONFIDENCE = 0.95
MOST_CELLS = 20_000  # they are numbered in 16 bits
BLOCKS = 30
NEWTON_STEPS = 200
STEP = 1e-4  # of the numerical derivatives, in parameters that are logarithms
FEWEST = 10
SLACK = 1e-6  # of a tick


@dataclass(frozen=True)
class Sample:
    """Reaches of one side, sorted into cells.

    The first two cells hold what lies below the floor, in steps that begin with the mid between two ticks and in
    those where it lies on one: prices on the grid of ticks cut the depths elsewhere in the two, so each has its own
    floor, the next boundary of its cells.

    Attributes:
        low: where each cell begins, shape (cells,); -inf in the first two [price].
        high: where it ends, shape (cells,) [price].
        count: how many fell into it, shape (cells,).
        cell: the cell of each step or order, shape (samples,).
        steps: number of steps that were watched, with the mid between ticks and on one.
        law: "poisson" or "linear" for steps, "orders" for single market orders.
    """

    low: np.ndarray
    high: np.ndarray
    count: np.ndarray
    cell: np.ndarray
    steps: tuple[float, float]
    law: str

    @property
    def seen(self) -> int:
        """How many reached beyond the floor."""
        return int(self.count[2:].sum())

    @property
    def floor(self) -> float:
        """The lower of the two floors that are in use [price]."""
        return float(self.high[:2][np.array(self.steps) > 0].min())


def sample(
    reach: np.ndarray,
    tick: float,
    floor: float,
    law: str,
    on_tick: np.ndarray | bool = False,
    steps: tuple[float, float] | None = None,
) -> Sample:
    """Sort reaches into cells.

    Args:
        reach: one number a step, -inf where there was no trade, or one an order; shape (samples,) [price].
        tick: of the prices; a reach stands for the cell within half a tick of it [price].
        floor: reaches up to here are only known to lie below [price].
        law: "poisson" or "linear" (a reach a step), or "orders" (a reach an order).
        on_tick: whether the mid that a reach is measured from lies on a tick, not between two; shape (samples,).
        steps: with "orders": in how many steps they came, with the mid between ticks and on one.

    Raises:
        RecordingError: fewer than ten reaches lie beyond the floor.
    """
    on_tick = np.broadcast_to(on_tick, reach.shape)
    floors = floors_of(floor, tick)
    visible = is_beyond(reach, tick, floor, on_tick)
    half = np.zeros(len(reach), dtype=np.int32)
    half[visible] = np.round(np.minimum(reach[visible] / (tick / 2), 2.0**31 - 1))
    coarse = max(1, -(-int(half.max(initial=0)) // MOST_CELLS))
    if coarse > 1:  # the curve changes little within a cell then
        half //= coarse
    seen = int(np.count_nonzero(visible))
    if seen < FEWEST:
        raise RecordingError(
            f"a fill curve needs at least {FEWEST} trades beyond the floor {floor:g} on each side, got {seen}"
        )
    places = np.flatnonzero(np.bincount(half[visible]))
    number = np.zeros(places[-1] + 1, dtype=np.uint16)
    number[places] = np.arange(2, len(places) + 2)
    cells = np.where(visible, number[half], on_tick.astype(np.uint16))
    places *= coarse
    low = np.concatenate([[-np.inf, -np.inf], (places - 1) * tick / 2])
    high = np.concatenate([floors, (places + max(1, 2 * coarse - 1)) * tick / 2])
    if steps is None:
        steps = (float(np.count_nonzero(~on_tick)), float(np.count_nonzero(on_tick)))
    return Sample(low, high, np.bincount(cells, minlength=len(low)), cells, steps, law)


def floors_of(floor: float, tick: float) -> tuple[float, float]:
    """The boundaries of cells at or above a floor, with the mid between two ticks and on one [price]."""
    between, on = (tick * (math.ceil(floor / tick - shift - SLACK) + shift) for shift in (0.0, 0.5))
    return between, on


def is_beyond(reach: np.ndarray, tick: float, floor: float, on_tick: np.ndarray | bool) -> np.ndarray:
    """Whether the cell of each reach lies beyond the floor; arguments as in `sample`."""
    between, on = floors_of(floor, tick)
    shift = (0.5 - SLACK) * tick
    return np.where(on_tick, reach > on + shift, reach > between + shift)


def log_likelihoods(data: Sample, curve: Curve, parameters: np.ndarray) -> np.ndarray:
    """ln of the likelihood of a sample in each cell, shape (cells,); for orders the part that is a sum over them."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        low, high = (curve.log_arrivals(side, parameters) for side in (np.r_[data.high[:2], data.low[2:]], data.high))
        if data.law == "orders":
            values = low + _log1mexp(low - high)
            values[:2] = 0.0
        elif data.law == "poisson":
            below = -np.exp(high)
            values = below + _log1mexp(np.exp(low) - np.exp(high))
            values[:2] = below[:2]
        else:
            low, high = np.minimum(low, 0.0), np.minimum(high, 0.0)
            values = low + _log1mexp(low - high)
            values[:2] = _log1mexp(-high[:2])
    return values


def log_likelihood(data: Sample, curve: Curve, parameters: np.ndarray) -> float:
    """ln of the likelihood of the whole sample; -inf where it is not possible."""
    values = log_likelihoods(data, curve, parameters)
    used = data.count > 0
    total = float(data.count[used] @ values[used])
    if data.law == "orders":
        arrivals = np.exp(np.minimum(curve.log_arrivals(data.high[:2], parameters), 700.0))
        total -= float(np.array(data.steps) @ arrivals)
    return total if math.isfinite(total) else -math.inf


def _log1mexp(x: np.ndarray) -> np.ndarray:
    """ln(1 - exp(-x)) for x >= 0, to full precision."""
    return np.where(x < math.log(2), np.log(-np.expm1(-x)), np.log1p(-np.exp(-x)))


@dataclass(frozen=True)
class Fit:
    """A fitted curve.

    Attributes:
        curve: its shape.
        parameters: where the likelihood is highest, shape (parameters,).
        covariance: inverse of the observed information: right where samples are independent.
        influence: how far each of 30 blocks of consecutive samples pulls the parameters, shape (blocks, parameters);
            NaN for single orders.
        log_likelihood: at the top.
        data: what was fitted.
    """

    curve: Curve
    parameters: np.ndarray
    covariance: np.ndarray
    influence: np.ndarray
    log_likelihood: float
    data: Sample

    @property
    def robust(self) -> np.ndarray:
        """Covariance of the parameters by a sandwich over the blocks: right where samples cluster too."""
        return spread(self.influence)

    @property
    def aic(self) -> float:
        """Akaike's information criterion: smaller is better."""
        return 2 * len(self.parameters) - 2 * self.log_likelihood

    def survival(self, depth: np.ndarray) -> np.ndarray:
        """P(a fill at `depth`) in a step, same shape as `depth` [price]."""
        log_arrivals = self.curve.log_arrivals(np.asarray(depth, dtype=float), self.parameters)
        if self.data.law == "linear":
            return np.exp(np.minimum(log_arrivals, 0.0))
        return -np.expm1(-np.exp(log_arrivals))


def fit(data: Sample, curve: Curve, start: np.ndarray | None = None) -> Fit:
    """Fit a curve by maximum likelihood.

    Args:
        data: the sample.
        curve: the shape.
        start: parameters to begin at; None lets the curve choose.

    Raises:
        RecordingError: the likelihood has no top: under the linear law where every step has a trade beyond the floor.
    """
    if data.law == "linear" and data.count[:2].sum() == 0:
        raise RecordingError(
            "every step has a trade beyond the floor, so the linear law has no rate: shorten dt or use poisson"
        )
    if start is None:
        weights = data.count[2:] / data.seen
        excess = float(weights @ ((data.low[2:] + data.high[2:]) / 2)) - data.floor
        share = data.seen / sum(data.steps)
        arrivals = -math.log1p(-min(share, 0.999)) if data.law == "poisson" else share
        start = curve.start(arrivals, max(excess, 1e-12), data.floor)

    def target(parameters: np.ndarray) -> float:
        return log_likelihood(data, curve, parameters)

    parameters, top = climb(target, start)
    covariance = inverse(-hessian(target, parameters))
    return Fit(curve, parameters, covariance, _influence(data, curve, parameters, covariance), top, data)


def climb(target: Callable[[np.ndarray], float], start: np.ndarray, enough: float = 0.0) -> tuple[np.ndarray, float]:
    """The top of a smooth function, by Newton's steps damped as in Levenberg and Marquardt.

    Args:
        target: the function; -inf where it is not defined.
        start: where it is.
        enough: a gain this small ends the climb; 0 goes on to the last digit.

    Returns:
        The top and its value.
    """
    here, value, damping = np.array(start, dtype=float), target(start), 1e-3
    for _ in range(NEWTON_STEPS):
        slope, curvature = gradient(target, here), -hessian(target, here)
        if not (np.isfinite(slope).all() and np.isfinite(curvature).all()):
            break
        scale = np.maximum(np.abs(np.diag(curvature)), 1e-12 * max(1.0, abs(value)))
        while True:
            step = np.linalg.lstsq(curvature + damping * np.diag(scale), slope, rcond=None)[0]
            step *= min(1.0, 2.0 / max(float(np.max(np.abs(step))), 1e-300))
            there = target(here + step)
            if there >= value or damping > 1e12:
                break
            damping *= 8
        gain = there - value
        if gain < 0:
            break
        here, value, damping = here + step, there, max(damping / 10, 1e-12)
        if gain < enough or np.max(np.abs(step)) < 1e-9 or (gain < 1e-12 * abs(value) and np.max(np.abs(step)) < 1e-6):
            break
    return here, value


def gradient(target: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """Central differences, shape (parameters,)."""
    steps = STEP * np.eye(len(at))
    return np.array([(target(at + step) - target(at - step)) / (2 * STEP) for step in steps])


def hessian(target: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """Central second differences, shape (parameters, parameters)."""
    size, steps, centre = len(at), STEP * np.eye(len(at)), target(at)
    out = np.empty((size, size))
    for i in range(size):
        out[i, i] = (target(at + steps[i]) - 2 * centre + target(at - steps[i])) / STEP**2
        for j in range(i):
            corners = [target(at + a * steps[i] + b * steps[j]) for a, b in ((1, 1), (-1, -1), (1, -1), (-1, 1))]
            out[i, j] = out[j, i] = (corners[0] + corners[1] - corners[2] - corners[3]) / (4 * STEP**2)
    return out


def inverse(information: np.ndarray) -> np.ndarray:
    """Inverse of the information; infinite variances where it is singular."""
    if np.isfinite(information).all():
        values, vectors = np.linalg.eigh(information)
        if values[0] > 1e-13 * values[-1]:
            return (vectors / values) @ vectors.T
    return np.full_like(information, np.inf)


def _influence(data: Sample, curve: Curve, parameters: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """How far each block of time pulls the parameters: its score times the covariance. NaN for single orders."""
    if data.law == "orders" or not np.isfinite(covariance).all():
        return np.full((BLOCKS, len(parameters)), np.nan)
    steps = STEP * np.eye(len(parameters))
    scores = np.stack(
        [
            (log_likelihoods(data, curve, parameters + s) - log_likelihoods(data, curve, parameters - s)) / (2 * STEP)
            for s in steps
        ],
        axis=1,
    )
    scores = np.nan_to_num(scores)
    sums = np.stack([np.bincount(part, minlength=len(scores)) @ scores for part in np.array_split(data.cell, BLOCKS)])
    return sums @ covariance


def spread(influence: np.ndarray) -> np.ndarray:
    """Covariance of a sum over blocks that vary as these do, shape (parameters, parameters) from (blocks, ...)."""
    centred = influence - influence.mean(axis=0)
    return centred.T @ centred * len(influence) / (len(influence) - 1)


def block_sums(values: np.ndarray) -> np.ndarray:
    """Sums over 30 blocks of consecutive rows, shape (30, columns) from (rows, columns)."""
    edges = np.linspace(0, len(values), BLOCKS + 1).astype(int)[:-1]
    return np.add.reduceat(values, edges, axis=0)


@dataclass(frozen=True)
class Interval:
    """An estimate with two 95 % intervals.

    Attributes:
        value: the estimate.
        low: lower end where samples are independent, as in the model.
        high: upper end.
        robust_low: lower end where samples may cluster; NaN where unknown.
        robust_high: upper end.
    """

    value: float
    low: float
    high: float
    robust_low: float = math.nan
    robust_high: float = math.nan

    def scaled(self, factor: float) -> Interval:
        """All of it times a positive number."""
        ends = (self.low, self.high, self.robust_low, self.robust_high)
        return Interval(self.value * factor, *(end * factor for end in ends))


def positive(fitted: Fit, index: int) -> Interval:
    """The exponential of a parameter, with intervals that are symmetric in its logarithm."""
    weights = np.eye(len(fitted.parameters))[index]
    return exponential(fitted.parameters, fitted.covariance, weights, fitted.robust)


def exponential(
    parameters: np.ndarray, covariance: np.ndarray, weights: np.ndarray, robust: np.ndarray | None = None
) -> Interval:
    """The exponential of a weighted sum of parameters, with intervals that are symmetric in its logarithm."""
    centre = float(weights @ parameters)
    normal, student = stats.norm.ppf((1 + CONFIDENCE) / 2), stats.t.ppf((1 + CONFIDENCE) / 2, BLOCKS - 1)
    with np.errstate(over="ignore", invalid="ignore"):
        error = normal * math.sqrt(weights @ covariance @ weights) if np.isfinite(covariance).all() else math.inf
        wide = math.nan if robust is None else student * math.sqrt(weights @ robust @ weights)
        ends = [centre - error, centre + error, centre - wide, centre + wide]
        return Interval(math.exp(centre), *np.exp(ends).tolist())
