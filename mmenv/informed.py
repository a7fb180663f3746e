"""Best quotes of a risk-averse maker among informed takers (docs/model.md, section 8).

A jump of the mid multiplies the inventory after the fills of both sides, and utility is not additive, so a best
response to the other side is no longer a fixed law with another gain. Given the other side's depth, our quote is
a lottery over our fill and our taker's knowledge (equation 43). Beyond the mid it is again the plain problem with
another gain; before it, it is searched. A side before the mid is rarely best, so few states need that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmenv.utility import certainty_equivalent

if TYPE_CHECKING:
    from mmenv.backup import Backup, Outcome, Side

STARTS = 17
CLIMBS = 2
ROUNDS = 100
TOLERANCE = 1e-7  # of a depth, relative to 1/k + |depth|; a maximum found without its slope is no surer
SCAN = 17
GOLDEN_STEPS = 40
GOLDEN = (np.sqrt(5) - 1) / 2


class _Gains(NamedTuple):
    """What our outcomes are worth against all of the other side's, beyond the depth earned and (no fill, no news)."""

    fill: np.ndarray  # -x0 / gamma: we are filled, by a taker who knows nothing [price]
    knowing_fill: np.ndarray  # -x1 / gamma: ... by one who knows
    knowing: np.ndarray  # -y / gamma: we are not filled, and a taker knows


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
    bid = _best_response(backup, backup.bid, _gains(backup, backup.ask.outcomes(ask), ask, ours_is_bid=True))
    against = _gains(backup, backup.bid.outcomes(bid), bid, ours_is_bid=False)
    return bid, _best_response(backup, backup.ask, against)


def _gains(backup: Backup, others: list[Outcome], depth: np.ndarray, *, ours_is_bid: bool) -> _Gains:
    """What our four outcomes are worth, the other side's weighed by their chances."""

    def worth(fill: int, knows: int) -> np.ndarray:
        lottery = []
        for other in others:
            earned = np.where(other.log_chance > -np.inf, depth, 0.0) if other.fill else 0.0
            ours = other._replace(fill=fill, knows=knows)
            gain = backup.gain(ours, other) if ours_is_bid else backup.gain(other, ours)
            lottery.append((other.log_chance, earned + gain))
        return certainty_equivalent(lottery, backup.gamma)

    nothing = worth(0, 0)
    return _Gains(worth(1, 0) - nothing, worth(1, 1) - nothing, worth(0, 1) - nothing)


class _Lottery(NamedTuple):
    """What the worth of a quote depends on."""

    side: Side
    gains: _Gains
    gamma: float

    def worth(self, depth: np.ndarray) -> np.ndarray:
        """The certainty equivalent of quoting `depth` (equation 43)."""
        gains = {(0, 0): 0.0, (1, 0): self.gains.fill, (0, 1): self.gains.knowing, (1, 1): self.gains.knowing_fill}
        outcomes = [
            (outcome.log_chance, depth * outcome.fill + gains[outcome.fill, outcome.knows])
            for outcome in self.side.outcomes(depth)
        ]
        return certainty_equivalent(outcomes, self.gamma)

    def only(self, states: np.ndarray) -> _Lottery:
        """The lottery in some of the states, which become the last axis."""
        gains = _Gains(*(np.broadcast_to(gain, states.shape)[states] for gain in self.gains))
        return _Lottery(self.side.only(states), gains, self.gamma)


def _best_response(backup: Backup, side: Side, gains: _Gains) -> np.ndarray:
    """The best depth of a side against the other one; same shape as the gains."""
    (low, high), tick = backup.market.depth_range, backup.market.tick
    lottery = _Lottery(side, gains, backup.gamma)
    if low >= 0:
        return _beyond_mid(backup, side, gains, low, high)
    points = np.linspace(low, min(high, 0.0), SCAN) if tick is None else backup.market.ticks(low, min(high, 0.0))
    worths = lottery.worth(points.reshape(-1, *[1] * gains.fill.ndim))
    at = np.argmax(worths, axis=0)
    bold, best = points[at], np.take_along_axis(worths, at[None], axis=0)[0]
    # A point between two of the net is worth more than its best by less than that is more than its neighbours.
    slack = _fall(worths, at) if tick is None else 0.0
    shy = bold if high <= 0 else _beyond_mid(backup, side, gains, 0.0, high)
    rest = best if high <= 0 else lottery.worth(shy)
    refine = (best + slack > rest) & (tick is None)
    if refine.any():
        part, chosen = lottery.only(refine), at[refine]
        bold[refine] = _golden(part, points[np.maximum(chosen - 1, 0)], points[np.minimum(chosen + 1, SCAN - 1)])
        best = np.maximum(best, lottery.worth(bold))
    return np.where(best > rest, bold, shy) if high > 0 else bold


def _fall(worths: np.ndarray, at: np.ndarray) -> np.ndarray:
    """How far the worth falls from the best points of a net to the lower of their neighbours."""
    neighbours = [np.clip(at + by, 0, len(worths) - 1) for by in (-1, 1)]
    lower = np.minimum(*(np.take_along_axis(worths, side[None], axis=0)[0] for side in neighbours))
    return np.take_along_axis(worths, at[None], axis=0)[0] - lower


def _beyond_mid(backup: Backup, side: Side, gains: _Gains, low: float, high: float) -> np.ndarray:
    """The best depth of a side in [low, high], low >= 0."""
    with np.errstate(divide="ignore"):
        knows, ignorant = np.log(np.asarray(side.share)), np.log1p(-np.asarray(side.share))
    idle = certainty_equivalent(((ignorant, 0.0), (knows, gains.knowing)), backup.gamma)
    filled = certainty_equivalent(((ignorant, gains.fill), (knows, gains.knowing_fill)), backup.gamma)
    return backup.peak(side.law, filled - idle, low, high)


def _golden(lottery: _Lottery, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The depth of most worth between `left` and `right`, its ends included, by golden section."""
    ends = left, right
    for _ in range(GOLDEN_STEPS):
        inner = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
        first = lottery.worth(inner[0]) >= lottery.worth(inner[1])
        left, right = np.where(first, left, inner[0]), np.where(first, inner[1], right)
    candidates = np.stack([(left + right) / 2, *ends])
    best = np.argmax(np.stack([lottery.worth(depth) for depth in candidates]), axis=0)
    return np.take_along_axis(candidates, best[None], axis=0)[0]
