"""Best quotes of a risk-averse maker among informed takers (docs/model.md, section 8).

A jump of the mid multiplies the inventory after the fills of both sides, and utility is not additive, so a best
response to the other side is no longer a fixed law with another gain: given the other side's depth, the sum in
the utility has, as a function of our depth d, with p = P(fill) and P' = P(reach > max(d, 0)), the form

    1 + s (e^y - 1) + p (e^(x0 - gamma d) - 1) + rho P' ((e^x1 - e^x0) e^(-gamma d) - (e^y - 1))

up to a factor (equation 43). Beyond the mid, where P' = p, it is again the plain problem with another gain;
before it, where P' is constant, it is searched. A side before the mid is rarely best, so few states need that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmenv.fills import FillLaw

if TYPE_CHECKING:
    from mmenv.backup import Backup, Outcome, Side

STARTS = 17
CLIMBS = 2
ROUNDS = 100
TOLERANCE = 1e-7  # of a depth, relative to 1/k + |depth|; a maximum found without its slope is no surer
SCAN = 17
GOLDEN_STEPS = 40
GOLDEN = (np.sqrt(5) - 1) / 2
LARGEST_EXPONENT = 600.0


class _Weights(NamedTuple):
    """Logarithms of the weights of our outcomes against all of the other side's, relative to (no fill, no news)."""

    fill: np.ndarray  # x0: we are filled, by a taker who knows nothing
    knowing_fill: np.ndarray  # x1: ... by one who knows
    knowing: np.ndarray  # y: we are not filled, and a taker knows


def best_depths(backup: Backup) -> tuple[np.ndarray, np.ndarray]:
    """The depths that maximise the backup's value over the box, shape (regimes, 2Q+1) each.

    Best responses climb from asks all over the box; the best of them is followed to its end.
    """
    low, high = backup.market.depth_range
    asks = backup.market.allowed(np.linspace(low, high, STARTS))
    ask = np.broadcast_to(asks[:, None, None], (STARTS, *backup.kept.shape))
    for _ in range(CLIMBS):
        bid, ask = _respond(backup, ask)
    best = np.argmax(backup.value(bid, ask), axis=0)[None]
    ask = np.take_along_axis(ask, best, axis=0)[0]
    for _ in range(ROUNDS):
        last = ask
        bid, ask = _respond(backup, ask)
        if np.all(np.abs(ask - last) <= TOLERANCE * (1 / backup.ask.law.decay + np.abs(ask))):
            break
    return bid, ask


def _respond(backup: Backup, ask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best bid against an ask, and the best ask against that bid."""
    bid = _best_response(backup, backup.bid, _weights(backup, backup.ask.outcomes(ask), ask, ours_is_bid=True))
    against = _weights(backup, backup.bid.outcomes(bid), bid, ours_is_bid=False)
    return bid, _best_response(backup, backup.ask, against)


def _weights(backup: Backup, others: list[Outcome], depth: np.ndarray, *, ours_is_bid: bool) -> _Weights:
    """The weights of our four outcomes, summed over the other side's."""

    def log_weight(fill: int, knows: int) -> np.ndarray:
        exponents = []
        for other in others:
            earned = np.where(other.log_chance > -np.inf, depth, 0.0) if other.fill else 0.0
            ours = other._replace(fill=fill, knows=knows)
            gain = backup.gain(ours, other) if ours_is_bid else backup.gain(other, ours)
            exponents.append(other.log_chance - backup.gamma * (earned + gain))
        return np.logaddexp.reduce(np.broadcast_arrays(*exponents))

    nothing = log_weight(0, 0)
    weights = (log_weight(1, 0), log_weight(1, 1), log_weight(0, 1))
    return _Weights(*(np.clip(weight - nothing, -LARGEST_EXPONENT, LARGEST_EXPONENT) for weight in weights))


class _Lottery(NamedTuple):
    """What the loss of a side depends on; all arrays, or the law's parameters, of one shape."""

    law: FillLaw
    share: np.ndarray
    beyond: np.ndarray
    weights: _Weights
    gamma: float

    def loss(self, depth: np.ndarray) -> np.ndarray:
        """The sum in the utility at a depth, less what does not depend on it (equation 43)."""
        x0, x1, y = self.weights
        chance = self.law.probability(depth)
        filled = np.expm1(x0 - self.gamma * depth)
        turn = np.expm1(x1 - self.gamma * depth) - filled - np.expm1(y)
        return chance * filled + self.share * np.minimum(chance, self.beyond) * turn

    def only(self, states: np.ndarray) -> _Lottery:
        """The loss in some of the states, which become the last axis."""
        regime = np.nonzero(states)[-2]
        share, beyond = (np.broadcast_to(part, states.shape)[states] for part in (self.share, self.beyond))
        weights = _Weights(*(np.broadcast_to(weight, states.shape)[states] for weight in self.weights))
        return _Lottery(self.law.at(regime), share, beyond, weights, self.gamma)


def _best_response(backup: Backup, side: Side, weights: _Weights) -> np.ndarray:
    """The best depth of a side against the other one; same shape as the weights."""
    assert side.share is not None
    gamma, (low, high), tick = backup.gamma, backup.market.depth_range, backup.market.tick
    lottery = _Lottery(side.law, side.share, side.law.probability(0.0), weights, gamma)
    if low >= 0:
        return _beyond_mid(backup, side, weights, low, high)
    points = np.linspace(low, min(high, 0.0), SCAN) if tick is None else backup.market.ticks(low, min(high, 0.0))
    losses = lottery.loss(points.reshape(-1, *[1] * weights.fill.ndim))
    at = np.argmin(losses, axis=0)
    bold, least = points[at], np.take_along_axis(losses, at[None], axis=0)[0]
    # A point between two of the net loses less than the best of the net by less than its neighbours lose more.
    slack = _rise(losses, at) if tick is None else 0.0
    shy = bold if high <= 0 else _beyond_mid(backup, side, weights, 0.0, high)
    rest = least if high <= 0 else lottery.loss(shy)
    refine = (least - slack < rest) & (tick is None)
    if refine.any():
        part, chosen = lottery.only(refine), at[refine]
        bold[refine] = _golden(part, points[np.maximum(chosen - 1, 0)], points[np.minimum(chosen + 1, SCAN - 1)])
        least = np.minimum(least, lottery.loss(bold))
    return np.where(least < rest, bold, shy) if high > 0 else bold


def _rise(losses: np.ndarray, at: np.ndarray) -> np.ndarray:
    """How far the loss rises from the best points of a net to the higher of their neighbours."""
    neighbours = [np.clip(at + by, 0, len(losses) - 1) for by in (-1, 1)]
    higher = np.maximum(*(np.take_along_axis(losses, side[None], axis=0)[0] for side in neighbours))
    return higher - np.take_along_axis(losses, at[None], axis=0)[0]


def _beyond_mid(backup: Backup, side: Side, weights: _Weights, low: float, high: float) -> np.ndarray:
    """The best depth of a side in [low, high], low >= 0."""
    share = np.asarray(side.share)
    with np.errstate(divide="ignore"):
        knows, ignorant = np.log(share), np.log1p(-share)
    idle = np.logaddexp(ignorant, knows + weights.knowing)
    gain = (idle - np.logaddexp(ignorant + weights.fill, knows + weights.knowing_fill)) / backup.gamma
    return backup.peak(side.law, gain, low, high)


def _golden(lottery: _Lottery, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The depth of least loss between `left` and `right`, its ends included, by golden section."""
    ends = left, right
    for _ in range(GOLDEN_STEPS):
        inner = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
        first = lottery.loss(inner[0]) <= lottery.loss(inner[1])
        left, right = np.where(first, left, inner[0]), np.where(first, inner[1], right)
    candidates = np.stack([(left + right) / 2, *ends])
    best = np.argmin(np.stack([lottery.loss(depth) for depth in candidates]), axis=0)
    return np.take_along_axis(candidates, best[None], axis=0)[0]
