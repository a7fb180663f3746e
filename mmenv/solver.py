"""The exact optimum of a market as simulated, and the exact value of any table of quotes.

Both are backward induction over (n, z, q) with one backup shared between them (docs/model.md, section 5).
A risk-neutral objective is the case gamma = 0 of the exponential utility, so there is one set of formulas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.special import expit

from mmenv.fills import FillLaw
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import Policy, QuoteTable, as_quote_table, quote_table

RESPONSE_ROUNDS = 200
RESPONSE_TOLERANCE = 1e-13
SCAN_POINTS = 513


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
    """Solve a market exactly by backward induction (equations 12 to 17 of docs/model.md).

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
    """Evaluate quotes exactly: objective, moments of profit, inventory (equations 18 to 22 of docs/model.md).

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


def state_visits(market: Market, quotes: QuoteTable) -> np.ndarray:
    """Probability of each state under `quotes`, from q = 0 in regime 0 (equation 21 of docs/model.md).

    Returns:
        Shape (steps + 1, regimes, 2Q+1); every step sums to one.
    """
    bid, ask = fill_probabilities(market, quotes)
    up, down = bid * (1 - ask), ask * (1 - bid)
    visits = np.zeros((market.steps + 1, market.regimes, 2 * market.max_inventory + 1))
    visits[0, 0, market.max_inventory] = 1.0
    for n in range(market.steps):
        bought, sold = visits[n] * up[n], visits[n] * down[n]
        visits[n + 1] = visits[n] - bought - sold
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
        self.synergy[:, [0, -1]] = 0.0

    def value(self, bid_depth: np.ndarray, ask_depth: np.ndarray) -> np.ndarray:
        """Value before the step of quoting these depths."""
        bid, ask = _quoted(self.law, bid_depth, ask_depth)
        earned_bid = np.where(bid > 0, bid_depth, 0.0)
        earned_ask = np.where(ask > 0, ask_depth, 0.0)
        outcomes = (
            (bid * (1 - ask), earned_bid + self.bid_gain),
            (ask * (1 - bid), earned_ask + self.ask_gain),
            (bid * ask, earned_bid + earned_ask),
        )
        return self.kept + _certainty_equivalent(outcomes, self.gamma)

    def best_depths(self) -> tuple[np.ndarray, np.ndarray]:
        """The depths that maximise `value` over the box, to a certified global maximum (equation 15).

        Each side's best depth given the other's is known. Starting the ask from never and from always
        filling, best responses move monotonically and enclose every mutual best response between them; where
        both starts meet there is one, and it is the maximum. Where they do not, the interval is searched.
        """
        always = np.stack([np.zeros_like(self.kept), np.ones_like(self.kept)])
        always[..., 0] = 0.0  # the ask at q = -Q is not quoted
        ask_fill = always
        for _ in range(RESPONSE_ROUNDS):
            bid = self._best_response(self.bid_gain, ask_fill)
            bid_fill = self._tilted_fill(bid, self.bid_gain)
            bid_fill[..., -1] = 0.0
            ask = self._best_response(self.ask_gain, bid_fill)
            next_fill = self._tilted_fill(ask, self.ask_gain)
            next_fill[..., 0] = 0.0
            settled = np.max(np.abs(next_fill - ask_fill)) <= RESPONSE_TOLERANCE
            ask_fill = next_fill
            if settled:
                break
        apart = np.abs(ask_fill[1] - ask_fill[0]) > 10 * RESPONSE_TOLERANCE
        if apart.any():
            return self._search(bid, ask, apart)
        return bid[0], ask[0]

    def _best_response(self, gain: np.ndarray, other_fill: np.ndarray) -> np.ndarray:
        total = gain + _synergy_gain(self.synergy, other_fill, self.gamma)
        return self.law.best_depth(total, self.gamma, self.market.min_depth, self.market.max_depth)

    def _tilted_fill(self, depth: np.ndarray, gain: np.ndarray) -> np.ndarray:
        """P(fill) under the measure tilted by exp(-gamma gain): p at gamma = 0."""
        p = self.law.probability(depth)
        if self.gamma == 0:
            return p
        with np.errstate(divide="ignore"):
            return expit(np.log(p) - np.log1p(-p) - self.gamma * (depth + gain))

    def _search(self, bid: np.ndarray, ask: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Search the ask depths between the two limits of the best responses, where they differ.

        Args:
            bid, ask: the limits from the two starts, shape (2, regimes, 2Q+1).
            where: states to search, shape (regimes, 2Q+1).
        """
        weights = np.linspace(0.0, 1.0, SCAN_POINTS)[:, None, None]
        candidate = ask[0] + weights * (ask[1] - ask[0])
        for _ in range(RESPONSE_ROUNDS):
            ask_fill = self._tilted_fill(candidate, self.ask_gain)
            ask_fill[..., 0] = 0.0
            response = self._best_response(self.bid_gain, ask_fill)
            bid_fill = self._tilted_fill(response, self.bid_gain)
            bid_fill[..., -1] = 0.0
            values = self.value(response, candidate)
            best = np.argmax(values, axis=0)[None]
            found_bid = np.take_along_axis(response, best, 0)
            found_ask = np.take_along_axis(candidate, best, 0)
            fill = np.take_along_axis(bid_fill, best, 0)
            improved = self._best_response(self.ask_gain, fill)
            if candidate.shape[0] == 1 and np.max(np.abs(improved - candidate)[:, where]) <= RESPONSE_TOLERANCE:
                break
            candidate = improved
        return np.where(where, found_bid[0], bid[0]), np.where(where, found_ask[0], ask[0])


def _synergy_gain(synergy: np.ndarray, other_fill: np.ndarray, gamma: float) -> np.ndarray:
    """What the other side's chance of filling adds to a fill: -(1/gamma) ln(1 - t + t exp(-gamma synergy))."""
    if gamma == 0:
        return other_fill * synergy
    with np.errstate(over="ignore", divide="ignore"):
        small = -np.log1p(other_fill * np.expm1(-gamma * np.clip(synergy, -1 / gamma, 1 / gamma))) / gamma
        large = -np.logaddexp(np.log1p(-other_fill), np.log(other_fill) - gamma * synergy) / gamma
    return np.where(np.abs(gamma * synergy) < 1, small, large)


def _certainty_equivalent(outcomes: tuple[tuple[np.ndarray, np.ndarray], ...], gamma: float) -> np.ndarray:
    """-(1/gamma) ln(1 + sum p (exp(-gamma gain) - 1)), or sum p gain at gamma = 0; outcomes are (p, gain)."""
    if gamma == 0:
        total = outcomes[0][0] * outcomes[0][1]
        for p, gain in outcomes[1:]:
            total = total + p * gain
        return total
    # Factor out the worst exponent so that nothing overflows; near zero, expm1 keeps every digit.
    worst = np.maximum.reduce([np.where(p > 0, -gamma * gain, 0.0) for p, gain in outcomes])
    worst = np.where(worst > 1, worst, 0.0)
    total = np.expm1(-worst)
    for p, gain in outcomes:
        total = total + p * (np.exp(np.where(p > 0, -gamma * gain, 0.0) - worst) - np.exp(-worst))
    return -(worst + np.log1p(total)) / gamma
