"""One step of the Bellman recursion: from the value after it to that before it (docs/model.md, section 5).

A risk-neutral objective is the case gamma = 0 of the exponential utility, and the plain market is the case of
one regime, no informed takers and no fees, so there is one set of formulas.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, log_expit

from mmenv import informed
from mmenv.fills import FillLaw
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.utility import certainty_equivalent

RESPONSE_ROUNDS = 200
RESPONSE_TOLERANCE = 1e-13  # of a depth, relative to 1/k + |depth|
SCAN_POINTS = 257
SCAN_ROUNDS = 4


class Outcome(NamedTuple):
    """What may happen on one side within a step.

    Attributes:
        fill: 1 if our quote fills, else 0.
        knows: 1 if a taker beyond the mid is informed, else 0.
        log_chance: ln of its probability, an array.
    """

    fill: int
    knows: int
    log_chance: np.ndarray


@dataclass
class Side:
    """One side of the market within a step; arrays broadcast over (regimes, 2Q+1).

    Attributes:
        law: its fill law.
        quoted: where it is quoted.
        share: rho, the share of informed takers; None if there are none.
        jump: J, how far the mid moves with an informed taker [price].
    """

    law: FillLaw
    quoted: np.ndarray
    share: np.ndarray | None
    jump: np.ndarray

    @classmethod
    def pair(cls, market: Market) -> tuple[Side, Side]:
        """Bid and ask of a market."""
        q, limit = market.inventories, market.max_inventory
        share = market.by_regime("informed_share") if market.informed else None
        jump = market.by_regime("informed_jump")
        return cls(market.bid_law, q < limit, share, jump), cls(market.ask_law, q > -limit, share, jump)

    def held(self, at: np.ndarray) -> Side:
        """The side at the inventories of index `at`, an array over (..., regimes, 2Q+1)."""
        return replace(self, quoted=self.quoted[at])

    def only(self, states: np.ndarray) -> Side:
        """The side in some of the states, shape (..., regimes, 2Q+1), which become the last axis."""
        regime = np.nonzero(states)[-2]
        share = None if self.share is None else self.share[regime, 0]
        quoted = np.broadcast_to(self.quoted, states.shape)[states]
        return Side(self.law.at(regime), quoted, share, self.jump[regime, 0])

    def probability(self, depth: np.ndarray) -> np.ndarray:
        """P(fill), 0 where the side is not quoted."""
        return np.where(self.quoted, self.law.probability(depth), 0.0)

    def certain(self, depth: np.ndarray) -> np.ndarray:
        """Whether a quote fills for certain, to the last digit."""
        return self.log_chances(depth)[1] == -np.inf

    def log_chances(self, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ln P(fill) and ln P(no fill), sides that are not quoted included."""
        fill, no_fill = self.law.log_chances(depth)
        return np.where(self.quoted, fill, -np.inf), np.where(self.quoted, no_fill, 0.0)

    def outcomes(self, depth: np.ndarray) -> list[Outcome]:
        """All that may happen to a quote: filled or not, informed taker or not (equation 40)."""
        fill, no_fill = self.log_chances(depth)
        if self.share is None:
            return [Outcome(0, 0, no_fill), Outcome(1, 0, fill)]
        beyond, _ = self.law.log_chances(0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_share = np.log(self.share)
            reached = np.minimum(fill, beyond)
            # Chances of an informed taker, given a fill and given none.
            given_fill = self.share * np.where(fill > -np.inf, np.exp(reached - fill), 0.0)
            missed = beyond + np.log(-np.expm1(np.minimum(fill - beyond, 0.0)))
            missed = np.where(beyond > -np.inf, missed, -np.inf)
            given_none = self.share * np.where(missed > -np.inf, np.exp(np.minimum(missed - no_fill, 0.0)), 0.0)
            return [
                Outcome(0, 0, no_fill + np.log1p(-given_none)),
                Outcome(1, 0, fill + np.log1p(-given_fill)),
                Outcome(0, 1, log_share + missed),
                Outcome(1, 1, log_share + reached),
            ]

    def adverse_selection(self, chance: np.ndarray) -> Any:
        """What informed takers cost on average, rho J (min(p, P) - p P), P = P(reach > 0) (equation 42) [price]."""
        if self.share is None:
            return 0.0
        beyond = self.law.probability(0.0)
        return self.share * self.jump * (np.minimum(chance, beyond) - chance * beyond)


def expected_after(market: Market, gamma: float, after: np.ndarray) -> np.ndarray:
    """Certainty equivalent of the values after a step before the next regime is known (equation 38).

    Args:
        market: the market.
        gamma: risk aversion of the objective.
        after: shape (..., regimes, 2Q+1).
    """
    if market.regimes == 1:
        return after
    mean = market.transition @ after
    if gamma == 0:
        return mean
    with np.errstate(divide="ignore"):
        log_chance = np.log(market.transition)
    return mean + certainty_equivalent(
        [(log_chance[:, z, None], after[..., z, None, :] - mean) for z in range(market.regimes)], gamma
    )


def shift_inventory(values: np.ndarray, by: int) -> np.ndarray:
    """values at q + by, for by in -1, 0, 1; where q + by is beyond the limit, the value at the limit."""
    if by == 0:
        return values
    if by == 1:
        return np.concatenate([values[..., 1:], values[..., -1:]], axis=-1)
    return np.concatenate([values[..., :1], values[..., :-1]], axis=-1)


class Backup:
    """One step of the Bellman recursion.

    With C(q') the certainty equivalent of ending the step at inventory q', gamma the risk aversion and the
    outcomes of the fills, the value of quoting (bid_depth, ask_depth) is
        C(q) - (1/gamma) ln sum P exp(-gamma gain),
    gain = depths earned less fees + C(q') - C(q), and q' times the jump if informed takers move the mid.
    Arrays have shape (regimes, 2Q+1), after any leading axes.

    Args:
        market: the market.
        objective: what is maximised.
        after: value after the step.
    """

    def __init__(self, market: Market, objective: Objective, after: np.ndarray) -> None:
        self.market = market
        self.gamma = objective.risk_aversion
        self.inventory = q = market.inventories
        self.bid, self.ask = Side.pair(market)
        risk = self.gamma * (market.by_regime("volatility") * q) ** 2 / 2
        charge = (objective.running_penalty(q) + risk) * market.dt
        # For a risk-neutral maker the jumps' mean is part of the adverse selection.
        mean = market.move_mean if self.gamma > 0 else market.by_regime("drift") * market.dt
        if mean.any():
            charge = charge - mean * q
        self.kept = expected_after(market, self.gamma, after) - charge
        self.bid_gain = shift_inventory(self.kept, 1) - self.kept
        self.ask_gain = shift_inventory(self.kept, -1) - self.kept
        # What a fill on one side is worth more once the other side has filled too.
        self.synergy = -(self.bid_gain + self.ask_gain)
        self.both_gain = -2 * market.fill_fee
        if market.fill_fee:
            self.bid_gain, self.ask_gain = self.bid_gain - market.fill_fee, self.ask_gain - market.fill_fee

    def value(self, bid_depth: np.ndarray, ask_depth: np.ndarray) -> np.ndarray:
        """Value before the step of quoting these depths."""
        if self.gamma > 0:
            return self.kept + certainty_equivalent([*self._lottery(bid_depth, ask_depth)], self.gamma)
        bid, ask = self.bid.probability(bid_depth), self.ask.probability(ask_depth)
        earned_bid = np.where(bid > 0, bid_depth, 0.0)
        earned_ask = np.where(ask > 0, ask_depth, 0.0)
        one = bid * (1 - ask) * (earned_bid + self.bid_gain) + ask * (1 - bid) * (earned_ask + self.ask_gain)
        both = bid * ask * (earned_bid + earned_ask + self.both_gain)
        return self.kept + one + both - (self.bid.adverse_selection(bid) + self.ask.adverse_selection(ask))

    def _lottery(self, bid_depth: np.ndarray, ask_depth: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
        """(ln P, gain) of all that may happen on both sides together."""
        for bid in self.bid.outcomes(bid_depth):
            for ask in self.ask.outcomes(ask_depth):
                earned = np.where(bid.log_chance > -np.inf, bid_depth, 0.0) if bid.fill else 0.0
                if ask.fill:
                    earned = earned + np.where(ask.log_chance > -np.inf, ask_depth, 0.0)
                yield bid.log_chance + ask.log_chance, earned + self.gain(bid, ask)

    def gain(self, bid: Outcome, ask: Outcome) -> Any:
        """What an outcome is worth beyond the depths it earns."""
        worth = {(0, 0): 0.0, (1, 0): self.bid_gain, (0, 1): self.ask_gain, (1, 1): self.both_gain}[bid.fill, ask.fill]
        if bid.knows == ask.knows:
            return worth
        return worth + (self.inventory + bid.fill - ask.fill) * self.bid.jump * (ask.knows - bid.knows)

    def best_depths(self) -> tuple[np.ndarray, np.ndarray]:
        """The depths that maximise `value` over the box (equations 16 to 19).

        Each side's best depth given the other's is known. Starting from an ask that never fills and from one
        that always does, best responses move monotonically and enclose every mutual best response between
        them; where both starts meet there is one, and it is the maximum. Elsewhere what lies between is searched.
        A risk-averse maker among informed takers has no such order of responses; see `mmenv.informed`.
        """
        if self.gamma > 0 and self.market.informed:
            return informed.best_depths(self)
        always = np.where(self.ask.quoted, np.inf, -np.inf)
        ask_odds = np.stack([np.full_like(self.kept, -np.inf), np.broadcast_to(always, self.kept.shape)])
        ask = np.full_like(ask_odds, np.inf)
        for _ in range(RESPONSE_ROUNDS):
            last = ask
            bid, ask = self._respond(ask_odds)
            if self._close(ask, last, RESPONSE_TOLERANCE).all():
                break
            ask_odds = self._log_odds(self.ask, ask, self.ask_gain)
        apart = ~self._close(ask[0], ask[1], 100 * RESPONSE_TOLERANCE)
        if apart.any():
            bid[0, apart], ask[0, apart] = self._only(apart)._search(ask[0, apart], ask[1, apart])
        if self.gamma > 0:
            # However near, only one of the two may fill for certain, and a strong risk aversion sees that.
            bids, asks = self.bid.certain(bid), self.ask.certain(ask)
            unlike = ~apart & ((bids[0] != bids[1]) | (asks[0] != asks[1]))
            if unlike.any():
                first, second = self._only(unlike).value(bid[:, unlike], ask[:, unlike])
                bid[0, unlike] = np.where(second > first, bid[1, unlike], bid[0, unlike])
                ask[0, unlike] = np.where(second > first, ask[1, unlike], ask[0, unlike])
        return bid[0], ask[0]

    def hedged(self, at: np.ndarray) -> Backup:
        """The same step once a trade has led to the inventories of index `at`, shape (regimes, 2Q+1)."""
        part = copy(self)
        part.bid, part.ask, part.inventory = self.bid.held(at), self.ask.held(at), self.inventory[at]
        for name in ("kept", "bid_gain", "ask_gain", "synergy"):
            setattr(part, name, np.take_along_axis(getattr(self, name), at, axis=-1))
        return part

    def best_hedge(self, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best trade before quoting, if quoting at each inventory is worth `value` (equation 47).

        Returns:
            The value before the trade, and the index of the inventory it leads to; shapes (regimes, 2Q+1).
        """
        limit, q = self.market.max_inventory, self.market.inventories
        trade = q - q[:, None]  # from each inventory (rows) to each (columns)
        reached = value[:, None, :] - self.market.trade_cost(trade)
        # Of trades as good, the smallest; trades beyond Q units are more than an action can ask for.
        reached = np.where(abs(trade) <= limit, reached, -np.inf)
        stay = np.take_along_axis(reached, np.arange(len(q))[None, :, None], axis=-1)[..., 0]
        at = np.argmax(reached, axis=-1)
        best = np.take_along_axis(reached, at[..., None], axis=-1)[..., 0]
        return np.maximum(best, stay), np.where(best > stay, at, np.arange(len(q)))

    def _only(self, states: np.ndarray) -> Backup:
        """The same step in some of the states, which become the last axis."""
        part = copy(self)
        part.bid, part.ask = self.bid.only(states), self.ask.only(states)
        for name in ("kept", "bid_gain", "ask_gain", "synergy", "inventory"):
            setattr(part, name, np.broadcast_to(getattr(self, name), states.shape)[states])
        return part

    def _respond(self, ask_odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best bid against an ask of these odds, and the best ask against that bid."""
        bid = self._best_response(self.bid, self.bid_gain, ask_odds)
        return bid, self._best_response(self.ask, self.ask_gain, self._log_odds(self.bid, bid, self.bid_gain))

    def _best_response(self, side: Side, gain: np.ndarray, other_odds: np.ndarray) -> np.ndarray:
        total = gain + _synergy_gain(self.synergy, other_odds, self.gamma)
        low, high = self.market.depth_range
        if side.share is None:
            return self.peak(side.law, total, low, high)
        # Beyond the mid a fill may be informed; before it, being there costs whether a fill is informed or not.
        loss, beyond = side.share * side.jump, side.law.probability(0.0)
        if low >= 0:
            return self.peak(side.law, total - loss * (1 - beyond), low, high)
        bold = self.peak(side.law, total + loss * beyond, low, min(high, 0.0))
        if high <= 0:
            return bold
        shy = self.peak(side.law, total - loss * (1 - beyond), 0.0, high)
        chances = side.law.probability(bold), side.law.probability(shy)
        worth_bold, worth_shy = (
            chance * (depth + total) - side.adverse_selection(chance)
            for chance, depth in zip(chances, (bold, shy), strict=True)
        )
        return np.where(worth_bold > worth_shy, bold, shy)

    def peak(self, law: FillLaw, gain: np.ndarray, low: float, high: float) -> np.ndarray:
        """The depth that can be quoted in [low, high] where probability * utility(depth + gain) is largest."""
        tick = self.market.tick
        if tick is None:
            return law.best_depth(gain, self.gamma, low, high)
        if law.curve is not None:
            ticks = self.market.ticks(low, high)
            depth = ticks.reshape(-1, *[1] * gain.ndim)
            return ticks[np.argmax(law.worth(depth, gain, self.gamma), axis=0)]
        best = law.best_depth(gain, self.gamma, low, high)
        # One peak, so the best tick is one of the two beside it.
        narrow = np.clip(np.floor(best / tick) * tick, low, high)
        wide = np.clip((np.floor(best / tick) + 1) * tick, low, high)
        worths = [law.worth(depth, gain, self.gamma) for depth in (narrow, wide)]
        return np.where(worths[0] > worths[1], narrow, wide)

    def _log_odds(self, side: Side, depth: np.ndarray, gain: np.ndarray) -> np.ndarray:
        """Log-odds of a fill under the measure tilted by exp(-gamma gain)."""
        fill, no_fill = side.log_chances(depth)
        return fill - no_fill - self.gamma * np.where(side.quoted, depth + gain, 0.0)

    def _close(self, a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
        """Whether depths agree, on the scale 1/k on which fills change."""
        tolerance = max(tolerance, self.bid.law.precision, self.ask.law.precision)
        return np.abs(a - b) <= tolerance * (1 / self.ask.law.decay + np.abs(a))

    def _search(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best depths whose ask lies between `low` and `high`, shape (states,).

        Best responses climb from many asks at once towards every mutual best response whose neighbourhood is
        wider than the spacing; the best of them is then followed to its end. Of ticks, all are tried.
        """
        ask = self._between(low, high)
        for _ in range(SCAN_ROUNDS):
            bid, ask = self._respond(self._log_odds(self.ask, ask, self.ask_gain))
        best = np.argmax(self.value(bid, ask), axis=0)[None]
        ask = np.take_along_axis(ask, best, axis=0)[0]
        for _ in range(RESPONSE_ROUNDS):
            last = ask
            bid, ask = self._respond(self._log_odds(self.ask, ask, self.ask_gain))
            if self._close(ask, last, RESPONSE_TOLERANCE).all():
                break
        return bid, ask

    def _between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Depths from `low` to `high`, shape (points, states): a fine net, or all ticks."""
        if self.market.tick is None:
            share = np.linspace(0.0, 1.0, SCAN_POINTS)[:, None]
            return (1.0 - share) * low + share * high  # both ends exactly: beside one, a certain fill is not certain
        ticks = self.market.ticks(min(low.min(), high.min()), max(low.max(), high.max()))
        return np.clip(ticks[:, None], np.minimum(low, high), np.maximum(low, high))


def _synergy_gain(synergy: np.ndarray, other_odds: np.ndarray, gamma: float) -> np.ndarray:
    """What the other side's fill adds to a fill: -(1/gamma) ln(1 - t + t exp(-gamma synergy)), t its chance."""
    t = expit(other_odds)
    if gamma == 0:
        return t * synergy
    tilt = -gamma * synergy
    small = -np.log1p(t * np.expm1(np.clip(tilt, -1, 1))) / gamma
    if np.all(np.abs(tilt) <= 1):
        return small
    large = -np.logaddexp(log_expit(-other_odds), log_expit(other_odds) + tilt) / gamma
    return np.where(np.abs(tilt) <= 1, small, large)
