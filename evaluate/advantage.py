"""Where a policy loses against the optimum, state by state, without sampling error.

Quoting d in state s costs the advantage V*(s) - Q*(s, d) >= 0, and the policy pays it as often as it visits s.
By the performance-difference lemma (equation 23 of docs/model.md) the sum of visits times advantage is the gap,
V*(start) - V(start). For the exponential utility the same telescoping holds for exp(-gamma V): visits are then
weighted by the utility still at stake, and the sum S gives the gap ln(1 + gamma S) / gamma.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmenv.backup import Side
from mmenv.market import Market
from mmenv.quotes import QuoteTable
from mmenv.solver import Solution, action_values, state_visits


@dataclass(frozen=True)
class AdvantageMap:
    """What each state costs a policy; arrays of shape (steps, regimes, 2Q+1).

    Attributes:
        visits: probability of the state; for the exponential utility, its weight, the largest scaled to one.
        advantage: V* - Q* of the policy's quotes [price].
        cost: the state's part of the gap [price]; adds up to it.
    """

    visits: np.ndarray
    advantage: np.ndarray
    cost: np.ndarray

    @property
    def gap(self) -> float:
        """The sum of all costs: optimum less the policy's objective [price]."""
        return float(self.cost.sum())

    def costliest(self, count: int = 10) -> list[tuple[int, int, int]]:
        """Indices (n, z, q + Q) of the states that cost most, the worst first."""
        order = np.argsort(-self.cost, axis=None, kind="stable")[:count]
        return [(int(n), int(z), int(i)) for n, z, i in zip(*np.unravel_index(order, self.cost.shape), strict=True)]


def advantage_map(solution: Solution, quotes: QuoteTable) -> AdvantageMap:
    """The exact advantage map of a table of quotes.

    Args:
        solution: the optimum of the market.
        quotes: the policy's quotes, within the market's box.

    Raises:
        ValueError: the table does not fit the market.
    """
    market, gamma = solution.market, solution.objective.risk_aversion
    advantage = solution.value[:-1] - action_values(solution, quotes)
    if gamma == 0:
        visits = state_visits(market, quotes)[:-1]
        return AdvantageMap(visits, advantage, visits * advantage)
    log_visits = log_weighted_visits(solution, quotes)
    largest = float(log_visits.max())
    visits = np.exp(log_visits - largest)
    parts = visits * np.expm1(gamma * advantage) / gamma
    total = float(parts.sum())
    if total <= 0:
        return AdvantageMap(visits, advantage, parts)
    gap = float(np.logaddexp(0.0, largest + np.log(gamma * total))) / gamma
    return AdvantageMap(visits, advantage, parts * (gap / total))


def mean_depth_error(quotes: QuoteTable, best: QuoteTable, visits: np.ndarray) -> float:
    """Mean |depth - best depth| over the quotes of a policy, each state as often as the policy visits it [price].

    Both sides count where they are quoted. On ticks the error is a whole number of ticks in each state. Where the
    policy hedges to another inventory than the best, the two do not quote at the same one: such states are left
    out; what they cost is in the advantage map.

    Args:
        quotes: the policy's.
        best: the optimal ones.
        visits: probability of each state under the policy, shape (steps, regimes, 2Q+1).

    Returns:
        NaN where nothing is quoted or all hedges differ.
    """
    same = quotes.held == best.held
    error = total = 0.0
    for side, quoted in zip(("bid_depth", "ask_depth"), quotes.quoted, strict=True):
        counts = same & quoted
        weight = visits[counts]
        error += float(weight @ np.abs(getattr(quotes, side)[counts] - getattr(best, side)[counts]))
        total += float(weight.sum())
    return error / total if total > 0 else float("nan")


def log_weighted_visits(solution: Solution, quotes: QuoteTable) -> np.ndarray:
    """Logarithm of the visits of a policy, each path weighted by exp(-gamma (made + V*(state) - V*(start))).

    At gamma = 0 these are the probabilities of the states; for the optimal quotes the weights of every step
    add up to one at any gamma. For bad quotes they exceed every float, hence the logarithms.

    Returns:
        Shape (steps, regimes, 2Q+1).
    """
    market, gamma = solution.market, solution.objective.risk_aversion
    q = market.inventories
    risk = gamma * (market.by_regime("volatility") * q) ** 2 / 2
    kept = market.move_mean * q - (solution.objective.running_penalty(q) + risk) * market.dt
    weights, at = _log_weights(market, gamma, quotes), quotes.held
    rows, last = np.arange(market.regimes)[:, None], 2 * market.max_inventory
    with np.errstate(divide="ignore"):
        log_chain, log_visits = np.log(market.transition), np.log(np.zeros(market.grid_shape))
    log_visits[0, market.initial_regime, market.max_inventory] = 0.0
    for n in range(market.steps - 1):
        here = log_visits[n] + gamma * solution.value[n]
        after = np.full_like(here, -np.inf)
        for change, weight in weights.items():
            np.logaddexp.at(after, (rows, np.clip(at[n] + change, 0, last)), here + weight[n])
        after -= gamma * kept
        if market.regimes > 1:
            after = np.logaddexp.reduce(after[:, None] + log_chain[:, :, None], axis=0)
        log_visits[n + 1] = after - gamma * solution.value[n + 1]
    return log_visits


def _log_weights(market: Market, gamma: float, quotes: QuoteTable) -> dict[int, np.ndarray]:
    """ln sum P exp(-gamma earned) over what may happen in a step, by change of inventory after the hedge (equation 41).

    Returns:
        For -1, 0 and 1 an array of shape (steps, regimes, 2Q+1).
    """
    bid_side, ask_side = (side.held(quotes.held) for side in Side.pair(market))
    held = market.inventories[quotes.held]
    cost = market.trade_cost(held - market.inventories) if market.hedges else 0.0
    jump = market.by_regime("informed_jump")
    weights = {change: np.full(market.grid_shape, -np.inf) for change in (-1, 0, 1)}
    for bid in bid_side.outcomes(quotes.bid_depth):
        for ask in ask_side.outcomes(quotes.ask_depth):
            change = bid.fill - ask.fill
            earned = (held + change) * jump * (ask.knows - bid.knows) - cost
            for outcome, depth in ((bid, quotes.bid_depth), (ask, quotes.ask_depth)):
                if outcome.fill:
                    earned = earned + np.where(outcome.log_chance > -np.inf, depth, 0.0) - market.fill_fee
            weight = bid.log_chance + ask.log_chance - gamma * earned
            weights[change] = np.logaddexp(weights[change], weight)
    return weights
