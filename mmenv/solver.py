"""The exact optimum of a market as simulated, and the exact value of any table of quotes.

Both are backward induction over (n, z, q) with one backup shared between them (docs/model.md, section 5).
A risk-neutral objective is the case gamma = 0 of the exponential utility, so there is one set of formulas.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.special import expit, log_expit

from mmenv.fills import FillLaw
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import Policy, QuoteTable, as_quote_table, quote_table

RESPONSE_ROUNDS = 200
RESPONSE_TOLERANCE = 1e-13  # of a depth, relative to 1/k + |depth|
SCAN_POINTS = 257
SCAN_ROUNDS = 4


@dataclass(frozen=True)
class Solution:
    """The optimum of an objective in a market over the quotes its box allows.

    Attributes:
        value: certainty equivalent of what is still to come, from each state, shape (steps + 1, regimes, 2Q+1) [price].
        quotes: the optimal quotes.
        market: the market solved.
        objective: the objective solved for.
    """

    value: np.ndarray
    quotes: QuoteTable
    market: Market = field(repr=False)
    objective: Objective = field(repr=False)

    @property
    def optimum(self) -> float:
        """The objective at n = 0, in the initial regime, at q = 0 [price]."""
        return float(self.value[0, 0, self.market.max_inventory])

    @cached_property
    def binding(self) -> float:
        """How often the box of depths binds: the share of quotes made along the way that lie on its edge."""
        visits = state_visits(self.market, self.quotes)[:-1]
        at_edge, quoted = 0.0, 0.0
        for depth, states in ((self.quotes.bid_depth, np.s_[..., :-1]), (self.quotes.ask_depth, np.s_[..., 1:])):
            edge = (depth <= self.market.min_depth) | (depth >= self.market.max_depth)
            at_edge += visits[states][edge[states]].sum()
            quoted += visits[states].sum()
        return float(at_edge / quoted)


@dataclass(frozen=True)
class ExactEvaluation:
    """What a table of quotes is worth in a market, without sampling error.

    Attributes:
        objective: certainty equivalent of the objective at n = 0, q = 0 [price].
        profit_mean: E[W_N - W_0] [price].
        profit_std: standard deviation of W_N - W_0 [price].
        final_inventory_mean: E[q_N] [units].
        final_inventory_std: standard deviation of q_N [units].
        mean_spread: ask depth + bid depth, averaged over steps and visited states in which both sides are
            quoted [price]; NaN if there is no such state.
        value: certainty equivalent of what is still to come, shape (steps + 1, regimes, 2Q+1) [price].
        visits: probability of each state, shape (steps + 1, regimes, 2Q+1).
    """

    objective: float
    profit_mean: float
    profit_std: float
    final_inventory_mean: float
    final_inventory_std: float
    mean_spread: float
    value: np.ndarray = field(repr=False)
    visits: np.ndarray = field(repr=False)


def solve(market: Market, objective: Objective) -> Solution:
    """Solve a market exactly by backward induction (equations 14 to 19 of docs/model.md).

    The two depths of a state are coupled, since both sides may fill within one step; the coupling is solved
    to the global maximum, not dropped.

    Args:
        market: the market, whose box of depths bounds the quotes.
        objective: what is maximised.

    Returns:
        Values and quotes over the whole grid of states.

    Raises:
        ValueError: a penalty of the objective overflows in this market.
    """
    objective.check(market)
    value = np.empty((market.steps + 1, market.regimes, 2 * market.max_inventory + 1))
    value[-1] = -objective.terminal_penalty(market.inventories)
    bid_depth, ask_depth = np.empty(market.grid_shape), np.empty(market.grid_shape)
    for n in reversed(range(market.steps)):
        backup = _Backup(market, objective, value[n + 1])
        bid_depth[n], ask_depth[n] = backup.best_depths()
        value[n] = backup.value(bid_depth[n], ask_depth[n])
    return Solution(value, quote_table(bid_depth, ask_depth), market, objective)


def evaluate_exactly(market: Market, objective: Objective, quotes: QuoteTable | Policy) -> ExactEvaluation:
    """Evaluate quotes exactly: objective, moments of profit, inventory (equations 20 to 22 of docs/model.md).

    Args:
        market: the market; its box does not bound the quotes.
        objective: what the quotes are valued by.
        quotes: a QuoteTable, or a policy with a `tabulate` method. Any finite depth is accepted.

    Returns:
        The exact evaluation, as seen from n = 0, q = 0.

    Raises:
        ValueError: the table does not fit the market, or a penalty overflows.
        TypeError: `quotes` is neither a table nor a policy.
    """
    objective.check(market)
    table = as_quote_table(market, quotes)
    value = np.empty((market.steps + 1, market.regimes, 2 * market.max_inventory + 1))
    value[-1] = -objective.terminal_penalty(market.inventories)
    for n in reversed(range(market.steps)):
        value[n] = _Backup(market, objective, value[n + 1]).value(table.bid_depth[n], table.ask_depth[n])

    visits = state_visits(market, table)
    mean, variance = _profit_moments(market, table)
    inventory = market.inventories
    final = visits[-1].sum(axis=0)
    inventory_mean = float(final @ inventory)
    start = (0, market.max_inventory)
    both = np.s_[..., 1:-1]
    weight = visits[:-1][both].sum()
    spread = np.sum(visits[:-1][both] * (table.bid_depth[both] + table.ask_depth[both]))
    return ExactEvaluation(
        objective=float(value[(0, *start)]),
        profit_mean=float(mean[start]),
        profit_std=float(np.sqrt(variance[start])),
        final_inventory_mean=inventory_mean,
        final_inventory_std=float(np.sqrt(final @ (inventory - inventory_mean) ** 2)),
        mean_spread=float(spread / weight) if weight > 0 else float("nan"),
        value=value,
        visits=visits,
    )


def action_values(solution: Solution, quotes: QuoteTable | Policy) -> np.ndarray:
    """Q*(n, z, q): the value of quoting from a table now and optimally ever after.

    It is at most `solution.value[:-1]`; the shortfall is what the quotes of one state cost.

    Args:
        solution: the optimum of a market.
        quotes: a QuoteTable, or a policy with a `tabulate` method, within the market's box.

    Returns:
        Certainty equivalents, shape (steps, regimes, 2Q+1) [price].

    Raises:
        ValueError: the table does not fit the market.
        TypeError: `quotes` is neither a table nor a policy.
    """
    market, table = solution.market, as_quote_table(solution.market, quotes)
    backups = (_Backup(market, solution.objective, after) for after in solution.value[1:])
    return np.stack(
        [backup.value(*row) for backup, *row in zip(backups, table.bid_depth, table.ask_depth, strict=True)]
    )


def state_visits(market: Market, quotes: QuoteTable) -> np.ndarray:
    """Probability of each state under `quotes`, from q = 0 in regime 0 (equation 21 of docs/model.md).

    Returns:
        Shape (steps + 1, regimes, 2Q+1); every step sums to one.
    """
    bid, ask = fill_probabilities(market, quotes)
    up, down = bid * (1 - ask), ask * (1 - bid)
    stay = bid * ask + (1 - bid) * (1 - ask)
    visits = np.zeros((market.steps + 1, market.regimes, 2 * market.max_inventory + 1))
    visits[0, 0, market.max_inventory] = 1.0
    for n in range(market.steps):
        bought, sold = visits[n] * up[n], visits[n] * down[n]
        visits[n + 1] = visits[n] * stay[n]
        visits[n + 1, :, 1:] += bought[:, :-1]
        visits[n + 1, :, :-1] += sold[:, 1:]
    return visits


def fill_probabilities(market: Market, quotes: QuoteTable) -> tuple[np.ndarray, np.ndarray]:
    """P(bid fills) and P(ask fills) in every state, each of shape (steps, regimes, 2Q+1)."""
    return _quoted(market.law, quotes.bid_depth, quotes.ask_depth)


def _quoted(law: FillLaw, bid_depth: np.ndarray, ask_depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill probabilities with zeros on the sides at the inventory limit."""
    bid, ask = law.probability(bid_depth), law.probability(ask_depth)
    bid[..., -1] = 0.0
    ask[..., 0] = 0.0
    return bid, ask


def _profit_moments(market: Market, quotes: QuoteTable) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of W_N - W_0 from each state at n = 0, shape (regimes, 2Q+1).

    The variance is built by the law of total variance, step by step, so nothing cancels.
    """
    bid, ask = fill_probabilities(market, quotes)
    depth_bid = np.where(bid > 0, quotes.bid_depth, 0.0)
    depth_ask = np.where(ask > 0, quotes.ask_depth, 0.0)
    outcomes = (
        ((1 - bid) * (1 - ask), 0.0 * bid, 0),
        (bid * (1 - ask), depth_bid, 1),
        (ask * (1 - bid), depth_ask, -1),
        (bid * ask, depth_bid + depth_ask, 0),
    )
    mean = np.zeros((market.regimes, 2 * market.max_inventory + 1))
    variance = np.zeros_like(mean)
    move_variance = market.volatility**2 * market.dt * market.inventories.astype(float) ** 2
    for n in reversed(range(market.steps)):
        variance = variance + move_variance
        results = [(p[n], earned[n] + shift_inventory(mean, by)) for p, earned, by in outcomes]
        expected = sum(p * result for p, result in results)
        variance = sum(p[n] * shift_inventory(variance, by) for p, _, by in outcomes) + sum(
            p * (result - expected) ** 2 for p, result in results
        )
        mean = expected
    return mean, variance


def shift_inventory(values: np.ndarray, by: int) -> np.ndarray:
    """values at q + by, for by in -1, 0, 1; where q + by is beyond the limit, the value at the limit."""
    if by == 0:
        return values
    if by == 1:
        return np.concatenate([values[..., 1:], values[..., -1:]], axis=-1)
    return np.concatenate([values[..., :1], values[..., :-1]], axis=-1)


class _Backup:
    """One step of the Bellman recursion: from the value after the step to that before it.

    With C(q') the certainty equivalent of ending the step at inventory q', gamma the risk aversion and the
    four outcomes (neither, bid, ask, both) of the fills, the value of quoting (bid_depth, ask_depth) is
        C(q) - (1/gamma) ln sum P exp(-gamma gain),
    gain = depths earned + C(q') - C(q). Arrays have shape (regimes, 2Q+1), after any leading axes.
    """

    def __init__(self, market: Market, objective: Objective, after: np.ndarray) -> None:
        self.market = market
        self.law = market.law
        self.gamma = objective.risk_aversion
        q = market.inventories
        risk = self.gamma * (market.volatility * q) ** 2 / 2
        self.kept = after - (objective.running_penalty(q) + risk) * market.dt
        self.bid_gain = shift_inventory(self.kept, 1) - self.kept
        self.ask_gain = shift_inventory(self.kept, -1) - self.kept
        # What a fill on one side is worth more once the other side has filled too.
        self.synergy = -(self.bid_gain + self.ask_gain)
        self.can_bid, self.can_ask = q < market.max_inventory, q > -market.max_inventory

    def value(self, bid_depth: np.ndarray, ask_depth: np.ndarray) -> np.ndarray:
        """Value before the step of quoting these depths."""
        if self.gamma > 0:
            return self.kept + self._utility_gain(bid_depth, ask_depth)
        bid = np.where(self.can_bid, self.law.probability(bid_depth), 0.0)
        ask = np.where(self.can_ask, self.law.probability(ask_depth), 0.0)
        earned_bid = np.where(bid > 0, bid_depth, 0.0)
        earned_ask = np.where(ask > 0, ask_depth, 0.0)
        one = bid * (1 - ask) * (earned_bid + self.bid_gain) + ask * (1 - bid) * (earned_ask + self.ask_gain)
        return self.kept + one + bid * ask * (earned_bid + earned_ask)

    def _utility_gain(self, bid_depth: np.ndarray, ask_depth: np.ndarray) -> np.ndarray:
        """-(1/gamma) ln sum P exp(-gamma gain)."""
        bid, no_bid = self._log_chances(bid_depth, self.can_bid)
        ask, no_ask = self._log_chances(ask_depth, self.can_ask)
        earned_bid = np.where(bid > -np.inf, bid_depth, 0.0)
        earned_ask = np.where(ask > -np.inf, ask_depth, 0.0)
        outcomes = (
            (no_bid + no_ask, 0.0),
            (bid + no_ask, earned_bid + self.bid_gain),
            (no_bid + ask, earned_ask + self.ask_gain),
            (bid + ask, earned_bid + earned_ask),
        )
        return _certainty_equivalent(outcomes, self.gamma)

    def best_depths(self) -> tuple[np.ndarray, np.ndarray]:
        """The depths that maximise `value` over the box (equations 16 to 19).

        Each side's best depth given the other's is known. Starting from an ask that never fills and from one
        that always does, best responses move monotonically and enclose every mutual best response between
        them; where both starts meet there is one, and it is the maximum. Elsewhere what lies between is searched.
        """
        always = np.where(self.can_ask, np.inf, -np.inf)
        ask_odds = np.stack([np.full_like(self.kept, -np.inf), np.broadcast_to(always, self.kept.shape)])
        ask = np.full_like(ask_odds, np.inf)
        for _ in range(RESPONSE_ROUNDS):
            last = ask
            bid, ask = self._respond(ask_odds)
            if self._close(ask, last, RESPONSE_TOLERANCE).all():
                break
            ask_odds = self._log_odds(ask, self.ask_gain, self.can_ask)
        apart = ~self._close(ask[0], ask[1], 100 * RESPONSE_TOLERANCE)
        if apart.any():
            bid[0, apart], ask[0, apart] = self._only(apart)._search(ask[0, apart], ask[1, apart])
        return bid[0], ask[0]

    def _only(self, states: np.ndarray) -> _Backup:
        """The same step in some of the states, which become the last axis."""
        part = copy(self)
        for name in ("kept", "bid_gain", "ask_gain", "synergy", "can_bid", "can_ask"):
            setattr(part, name, np.broadcast_to(getattr(self, name), states.shape)[states])
        return part

    def _respond(self, ask_odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best bid against an ask of these odds, and the best ask against that bid."""
        bid = self._best_response(self.bid_gain, ask_odds)
        return bid, self._best_response(self.ask_gain, self._log_odds(bid, self.bid_gain, self.can_bid))

    def _best_response(self, gain: np.ndarray, other_odds: np.ndarray) -> np.ndarray:
        total = gain + _synergy_gain(self.synergy, other_odds, self.gamma)
        return self.law.best_depth(total, self.gamma, self.market.min_depth, self.market.max_depth)

    def _log_odds(self, depth: np.ndarray, gain: np.ndarray, quoted: np.ndarray) -> np.ndarray:
        """Log-odds of a fill under the measure tilted by exp(-gamma gain)."""
        fill, no_fill = self._log_chances(depth, quoted)
        return fill - no_fill - self.gamma * np.where(quoted, depth + gain, 0.0)

    def _log_chances(self, depth: np.ndarray, quoted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ln P(fill) and ln P(no fill), sides that are not quoted included."""
        fill, no_fill = self.law.log_chances(depth)
        return np.where(quoted, fill, -np.inf), np.where(quoted, no_fill, 0.0)

    def _close(self, a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
        """Whether depths agree, on the scale 1/k on which fills change."""
        return np.abs(a - b) <= tolerance * (1 / self.law.decay + np.abs(a))

    def _search(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best depths whose ask lies between `low` and `high`, shape (states,).

        Best responses climb from many asks at once towards every mutual best response whose neighbourhood is
        wider than the spacing; the best of them is then followed to its end.
        """
        ask = low + np.linspace(0.0, 1.0, SCAN_POINTS)[:, None] * (high - low)
        for _ in range(SCAN_ROUNDS):
            bid, ask = self._respond(self._log_odds(ask, self.ask_gain, self.can_ask))
        best = np.argmax(self.value(bid, ask), axis=0)[None]
        ask = np.take_along_axis(ask, best, axis=0)[0]
        for _ in range(RESPONSE_ROUNDS):
            last = ask
            bid, ask = self._respond(self._log_odds(ask, self.ask_gain, self.can_ask))
            if self._close(ask, last, RESPONSE_TOLERANCE).all():
                break
        return bid, ask


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


def _certainty_equivalent(outcomes: tuple[tuple[np.ndarray, np.ndarray | float], ...], gamma: float) -> np.ndarray:
    """-(1/gamma) ln sum P exp(-gamma gain), where the outcomes are all the (ln P, gain) of a lottery."""
    tilts = [np.where(log_chance > -np.inf, -gamma * gain, 0.0) for log_chance, gain in outcomes]
    # Where nothing is far from zero, expm1 keeps every digit; elsewhere logarithms keep everything finite.
    far = np.maximum.reduce([np.abs(tilt) for tilt in tilts]) > 1
    near = [
        np.exp(log_chance) * np.expm1(np.minimum(tilt, 1.0))
        for (log_chance, _), tilt in zip(outcomes, tilts, strict=True)
    ]
    small = -np.log1p(np.where(far, 0.0, sum(near))) / gamma
    if not far.any():
        return small
    exponents = np.stack([log_chance + tilt for (log_chance, _), tilt in zip(outcomes, tilts, strict=True)])
    top = exponents.max(axis=0)
    return np.where(far, -(top + np.log(np.exp(exponents - top).sum(axis=0))) / gamma, small)
