"""What the stream of market orders is like: markouts, clustering, and how much of it is informed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mmenv.data.likelihood import BLOCKS, CONFIDENCE, Interval, block_sums, climb, hessian, inverse, is_beyond
from mmenv.data.recording import SECOND, MarketOrders, Quotes, in_force
from mmenv.data.steps import Steps

MARKOUTS = (0.0, 0.1, 0.5, 1.0, 5.0, 10.0)
SIGN_LAGS = (1, 2, 5, 10, 20, 50)
FANO_WINDOWS = (1, 10, 100)
FEWEST = 100
# Evenly spread parts of longer recordings are enough, and their intervals say so.
MOST_ORDERS = 1_000_000
MOST_STEPS = 200_000
SCOUT = 10_000
SHARES = (0.02, 0.1, 0.3, 0.6, 0.9)


@dataclass(frozen=True)
class Markout:
    """How far the mid went in the direction of the taker.

    Attributes:
        horizon: after the order [s].
        mean: mean over orders, from the mid just before the order [price].
    """

    horizon: float
    mean: Interval


def markouts(orders: MarketOrders, quotes: Quotes, horizons: tuple[float, ...] = MARKOUTS) -> tuple[Markout, ...]:
    """Mean move of the mid in the taker's direction from just before each order to `horizon` seconds after it.

    Orders too close to the ends of the recording are left out. Horizons with fewer than a hundred orders are, too.
    """
    orders = MarketOrders(*(column[:: -(-len(orders.time) // MOST_ORDERS)] for column in orders))
    before = in_force(quotes, orders.time, inclusive=False)
    found = []
    for horizon in horizons:
        later = orders.time + round(horizon * SECOND)
        at = in_force(quotes, later, inclusive=True)
        inside = (before >= 0) & (later <= quotes.time[-1])
        if np.count_nonzero(inside) >= FEWEST:
            moves = orders.side[inside] * (quotes.mid[at[inside]] - quotes.mid[before[inside]])
            found.append(Markout(horizon, mean_interval(moves)))
    return tuple(found)


def mean_interval(values: np.ndarray) -> Interval:
    """The mean with its interval if the values are independent, and one that holds if they cluster in time."""
    mean, count = float(np.mean(values)), len(values)
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    sums = block_sums(values[:, None] - mean)[:, 0]
    wide = (
        float(stats.t.ppf((1 + CONFIDENCE) / 2, BLOCKS - 1)) * float(np.std(sums, ddof=1)) * math.sqrt(BLOCKS) / count
    )
    return Interval(mean, mean - half, mean + half, mean - wide, mean + wide)


@dataclass(frozen=True)
class Clustering:
    """Does flow come in bursts, and in runs of one side?

    Attributes:
        fano: (window [s], variance over mean of the number of orders in it); 1 for a Poisson process.
        sign: (lag [orders], autocorrelation of the sides); 0 where sides are independent.
        sign_bound: autocorrelations within +- this are noise, 95 of 100 times.
    """

    fano: tuple[tuple[float, float], ...]
    sign: tuple[tuple[int, float], ...]
    sign_bound: float


def clustering(orders: MarketOrders, steps: Steps) -> Clustering:
    """Fano factors over windows of 1, 10 and 100 steps, and the autocorrelation of the sides of successive orders."""
    width = round(steps.dt * SECOND)
    inside = orders.time[(orders.time >= steps.start[0]) & (orders.time < steps.start[-1] + width)]
    counts = np.bincount(
        (inside - steps.start[0]) // width, minlength=int((steps.start[-1] - steps.start[0]) // width) + 1
    )
    fano = []
    for window in FANO_WINDOWS:
        whole = len(counts) // window
        if whole >= 10:
            sums = counts[: whole * window].reshape(whole, window).sum(axis=1)
            fano.append((window * steps.dt, float(np.var(sums, ddof=1) / max(np.mean(sums), 1e-300))))
    sides = orders.side - np.mean(orders.side)
    scale = float(np.mean(sides**2)) or math.nan
    sign = tuple(
        (lag, float(np.mean(sides[lag:] * sides[:-lag])) / scale) for lag in SIGN_LAGS if len(sides) > 10 * lag
    )
    return Clustering(tuple(fano), sign, float(stats.norm.ppf((1 + CONFIDENCE) / 2)) / math.sqrt(len(sides)))


@dataclass(frozen=True)
class Informed:
    """Takers who know something: after a step in which buyers reached beyond the mid it jumps up with some chance.

    Attributes:
        share: rho, the probability that the reach of a side is informed.
        jump: J, by how much the mid then moves in its direction [price].
        volatility: of what is left, jumps taken out [price / sqrt(s)].
        p_value: of the test that there are none (likelihood ratio).
    """

    share: Interval
    jump: Interval
    volatility: Interval
    p_value: float


def informed(steps: Steps, floor: float = 0.0) -> Informed | None:
    """Fit mid_move = J (I_ask - I_bid) - compensator + sigma sqrt(dt) Z with I = 1{reach > floor} Bernoulli(rho).

    Sides are independent given the reaches, and the compensator is rho J times the difference of the frequencies of
    the two reaches, so that the mid has no drift.

    Args:
        steps: the recording.
        floor: a side was reached where the whole cell of its deepest trade lies beyond this [price].

    Returns:
        The fit; None where takers make no difference to the mid, or too few steps tell.
    """
    ask, bid = (is_beyond(reach, steps.tick, floor, steps.on_tick) for reach in (steps.ask_reach, steps.bid_reach))
    some = slice(None, None, -(-len(steps) // MOST_STEPS))
    ask, bid, moves = ask[some], bid[some], steps.mid_move[some]
    scale = float(np.std(moves))
    if min(np.count_nonzero(ask), np.count_nonzero(bid)) < FEWEST or scale == 0:
        return None
    net = float(np.mean(ask) - np.mean(bid))
    flags = np.stack([ask, bid])

    def target(parameters: np.ndarray, stride: int = 1) -> float:
        return _mixture(moves[::stride] / scale, flags[:, ::stride], net, parameters)

    pull = float(np.mean(moves[ask & ~bid]) - np.mean(moves[bid & ~ask])) / 2 / scale if (ask != bid).any() else 0.0
    if not pull > 0:
        return None
    stride = -(-len(moves) // SCOUT)  # where to climb from is found on a part of the steps
    starts = [
        np.array([math.log(share / (1 - share)), math.log(pull / share * part), math.log(rest)])
        for share in SHARES
        for part in (0.7, 1.0, 1.4)
        for rest in (0.5, 0.9)
    ]
    parameters, top = climb(target, max(starts, key=lambda start: target(start, stride)))
    without = float(np.sum(stats.norm.logpdf(moves / scale, scale=np.sqrt(np.mean((moves / scale) ** 2)))))
    covariance = inverse(-hessian(target, parameters))
    z = stats.norm.ppf((1 + CONFIDENCE) / 2)
    errors = z * np.sqrt(np.diag(covariance))
    ends = [parameters, parameters - errors, parameters + errors]
    with np.errstate(over="ignore"):
        share = Interval(*(float(1 / (1 + np.exp(-values[0]))) for values in ends))
        jump = Interval(*(float(scale * np.exp(values[1])) for values in ends))
        rest = Interval(*(float(scale * np.exp(values[2]) / math.sqrt(steps.dt)) for values in ends))
    return Informed(share, jump, rest, float(stats.chi2.sf(2 * (top - without), 2)))


def _mixture(moves: np.ndarray, flags: np.ndarray, net: float, parameters: np.ndarray) -> float:
    """ln of the likelihood of mid moves in units of their deviation; parameters (logit rho, ln J, ln sigma)."""
    total = 0.0
    with np.errstate(over="ignore", divide="ignore"):
        share, jump, sigma = 1 / (1 + np.exp(-parameters[0])), np.exp(parameters[1]), np.exp(parameters[2])
        for ask in (False, True):
            for bid in (False, True):
                these = moves[(flags[0] == ask) & (flags[1] == bid)] + jump * share * net
                density = np.zeros_like(these)
                for up, up_chance in ((0, 1 - share), (1, share)) if ask else ((0, 1.0),):
                    for down, down_chance in ((0, 1 - share), (1, share)) if bid else ((0, 1.0),):
                        z = (these - jump * (up - down)) / sigma
                        density += up_chance * down_chance * np.exp(-0.5 * z * z)
                total += float(np.sum(np.log(density)))
        total -= len(moves) * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    return total if math.isfinite(total) else -math.inf
