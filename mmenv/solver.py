"""The exact optimum of a market as simulated, and the exact value of any table of quotes.

Both are backward induction over (n, z, q) with one backup shared between them (docs/model.md, section 5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mmenv.backup import Backup, Side, shift_inventory
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import Policy, QuoteTable, as_quote_table, quote_table


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
        return float(self.value[0, self.market.initial_regime, self.market.max_inventory])

    @cached_property
    def binding(self) -> float:
        """How often the box of depths binds: the share of quotes made along the way that lie on its edge."""
        visits = state_visits(self.market, self.quotes)[:-1]
        at_edge, quoted = 0.0, 0.0
        low, high = self.market.depth_range
        for depth, states in zip((self.quotes.bid_depth, self.quotes.ask_depth), self.quotes.quoted, strict=True):
            edge = (depth <= low) | (depth >= high)
            at_edge += visits[states][edge[states]].sum()
            quoted += visits[states].sum()
        return float(at_edge / quoted)


@dataclass(frozen=True)
class ExactEvaluation:
    """What a table of quotes is worth in a market, without sampling error.

    Attributes:
        objective: certainty equivalent of the objective at n = 0, in the initial regime, at q = 0 [price].
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
    hedge = np.zeros(market.grid_shape, dtype=np.int64) if market.hedges else None
    for n in reversed(range(market.steps)):
        backup = Backup(market, objective, value[n + 1])
        bid_depth[n], ask_depth[n] = backup.best_depths()
        value[n] = backup.value(bid_depth[n], ask_depth[n])
        if hedge is not None:
            value[n], at = backup.best_hedge(value[n])
            bid_depth[n], ask_depth[n] = (np.take_along_axis(side[n], at, axis=-1) for side in (bid_depth, ask_depth))
            hedge[n] = at - np.arange(at.shape[-1])
    return Solution(value, quote_table(bid_depth, ask_depth, hedge), market, objective)


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
        value[n] = _value_of(Backup(market, objective, value[n + 1]), table, n)

    visits = state_visits(market, table)
    mean, variance = _profit_moments(market, table)
    inventory = market.inventories
    final = visits[-1].sum(axis=0)
    inventory_mean = float(final @ inventory)
    start = (market.initial_regime, market.max_inventory)
    both = np.logical_and(*table.quoted)
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
    backups = (Backup(market, solution.objective, after) for after in solution.value[1:])
    return np.stack([_value_of(backup, table, n) for n, backup in enumerate(backups)])


def _value_of(backup: Backup, table: QuoteTable, n: int) -> np.ndarray:
    """Value of the hedges and quotes of a table at step n, shape (regimes, 2Q+1)."""
    if table.hedge is None:
        return backup.value(table.bid_depth[n], table.ask_depth[n])
    held = table.held[n]
    traded = held - np.arange(held.shape[-1])
    value = backup.hedged(held).value(table.bid_depth[n], table.ask_depth[n])
    return value - backup.market.trade_cost(traded)


def state_visits(market: Market, quotes: QuoteTable) -> np.ndarray:
    """Probability of each state under `quotes`, from q = 0 in the initial regime (equation 21 of docs/model.md).

    Returns:
        Shape (steps + 1, regimes, 2Q+1); every step sums to one.
    """
    bid, ask = fill_probabilities(market, quotes)
    up, down = bid * (1 - ask), ask * (1 - bid)
    stay = bid * ask + (1 - bid) * (1 - ask)
    visits = np.zeros((market.steps + 1, market.regimes, 2 * market.max_inventory + 1))
    visits[0, market.initial_regime, market.max_inventory] = 1.0
    held, rows = quotes.held, np.arange(market.regimes)[:, None]
    for n in range(market.steps):
        bought, sold = visits[n] * up[n], visits[n] * down[n]
        if quotes.hedge is None:
            visits[n + 1] = visits[n] * stay[n]
            visits[n + 1, :, 1:] += bought[:, :-1]
            visits[n + 1, :, :-1] += sold[:, 1:]
        else:
            for mass, by in ((visits[n] * stay[n], 0), (bought, 1), (sold, -1)):
                np.add.at(visits[n + 1], (rows, np.clip(held[n] + by, 0, 2 * market.max_inventory)), mass)
        if market.regimes > 1:
            visits[n + 1] = market.transition.T @ visits[n + 1]
    return visits


def fill_probabilities(market: Market, quotes: QuoteTable) -> tuple[np.ndarray, np.ndarray]:
    """P(bid fills) and P(ask fills) in every state, each of shape (steps, regimes, 2Q+1)."""
    bid, ask = (side.held(quotes.held) for side in Side.pair(market))
    return bid.probability(quotes.bid_depth), ask.probability(quotes.ask_depth)


def _profit_moments(market: Market, quotes: QuoteTable) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of W_N - W_0 from each state at n = 0, shape (regimes, 2Q+1).

    The variance is built by the law of total variance, step by step, so nothing cancels.
    """
    inventory = market.inventories.astype(float)
    mean = np.zeros((market.regimes, 2 * market.max_inventory + 1))
    variance = np.zeros_like(mean)
    move_mean = market.move_mean * inventory
    move_variance = market.by_regime("volatility") ** 2 * market.dt * inventory**2
    outcomes, held = _outcomes(market, quotes), quotes.held

    def after(values: np.ndarray, n: int, by: int) -> np.ndarray:
        if quotes.hedge is None:
            return shift_inventory(values, by)
        return np.take_along_axis(values, np.clip(held[n] + by, 0, values.shape[-1] - 1), axis=-1)

    for n in reversed(range(market.steps)):
        mean, variance = _before_regime(market, mean, variance)
        mean, variance = mean + move_mean, variance + move_variance
        results = [(chance[n], earned[n] + after(mean, n, by)) for chance, earned, by in outcomes]
        expected = sum(chance * result for chance, result in results)
        variance = sum(chance[n] * after(variance, n, by) for chance, _, by in outcomes) + sum(
            chance * (result - expected) ** 2 for chance, result in results
        )
        mean = expected
    return mean, variance


def _outcomes(market: Market, quotes: QuoteTable) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """(probability, profit of depths, fees and jumps, change of inventory) of all that may happen in a step."""
    held = quotes.held
    bid_side, ask_side = (side.held(held) for side in Side.pair(market))
    inventory = market.inventories[held]
    cost = 0.0 if quotes.hedge is None else market.trade_cost(inventory - market.inventories)
    jump = market.by_regime("informed_jump")
    outcomes = []
    for bid in bid_side.outcomes(quotes.bid_depth):
        for ask in ask_side.outcomes(quotes.ask_depth):
            chance = np.exp(bid.log_chance + ask.log_chance)
            move = (inventory + bid.fill - ask.fill) * jump * (ask.knows - bid.knows)
            earned = move - (bid.fill + ask.fill) * market.fill_fee - cost
            for outcome, depth in ((bid, quotes.bid_depth), (ask, quotes.ask_depth)):
                if outcome.fill:
                    earned = earned + np.where(outcome.log_chance > -np.inf, depth, 0.0)
            outcomes.append((chance, np.broadcast_to(earned, chance.shape), bid.fill - ask.fill))
    return outcomes


def _before_regime(market: Market, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance before the next regime is known; shapes (regimes, 2Q+1)."""
    if market.regimes == 1:
        return mean, variance
    transition = market.transition
    expected = transition @ mean
    spread = np.einsum("ij,ijq->iq", transition, (mean - expected[:, None]) ** 2)
    return expected, transition @ variance + spread
