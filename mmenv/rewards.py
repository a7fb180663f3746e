"""The reward forms: what an environment pays for a step (docs/model.md, section 4, equations 11 to 13).

- `realised`: what the market paid. For CARA, the increment of the utility of wealth.
- `expected`: the expectation of the realised reward over fills and move, given state and quotes; additive
  objectives only. Same objective, same optimum, far less noise.
- `surrogate`: the local mean-variance form for CARA, which has no additive expectation. Its own optimum is
  close to, but not the same as, the true one; agents are graded on the true certainty equivalent.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mmenv import _validate
from mmenv.dynamics import Fills, Quotes, State, hedged_inventory
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.utility import utility

REWARD_FORMS = ("realised", "expected", "surrogate")


class RewardParts(NamedTuple):
    """What a step really paid, part by part; scalars or arrays of shape (paths,) [price].

    Attributes:
        spread_earned: depths of the filled quotes, less fees and the cost of hedging.
        inventory_profit: inventory after the fills times the move of the mid.
        penalty: phi(q') dt, and the terminal penalty with the last step.
    """

    spread_earned: Any
    inventory_profit: Any
    penalty: Any


class Rewards:
    """The rewards of an objective in a market, in one form.

    Args:
        market: the market.
        objective: the objective that the rewards add up to.
        form: "realised", "expected" or "surrogate".

    Raises:
        ValueError: unknown form, or a form that the objective does not have.
    """

    def __init__(self, market: Market, objective: Objective, form: str) -> None:
        _validate.choice("reward", form, REWARD_FORMS)
        cara = objective.risk_aversion > 0
        if form == ("expected" if cara else "surrogate"):
            allowed = "'realised' or 'surrogate'" if cara else "'realised' or 'expected'"
            raise ValueError(f"reward must be {allowed} for the objective {objective.name!r}, got {form!r}")
        self.market = market
        self.objective = objective
        self.form = form
        q = market.inventories
        self.running = objective.running_penalty(q) * market.dt
        self.final = self.running + objective.terminal_penalty(q)
        self._arrays = self.running, self.final
        self._scalars = self.running.tolist(), self.final.tolist()

    def parts(self, after: State, fills: Fills, mid_move: Any) -> RewardParts:
        """What a step paid, for scalars or arrays; `after.step` is a scalar."""
        inventory, market = after.inventory, self.market
        tables = self._scalars if isinstance(inventory, int) else self._arrays
        penalty = tables[after.step == market.steps][inventory + market.max_inventory]
        return RewardParts(fills.earned, inventory * mid_move, penalty)

    def reward(self, before: State, quotes: Quotes, after: State, parts: RewardParts) -> Any:
        """The reward of a step in this form; a float, or an array of shape (paths,) [price]."""
        if self.form != "realised":
            return self.expected(before.step, before.inventory, quotes, before.regime)
        gamma = self.objective.risk_aversion
        if gamma == 0:
            return parts.spread_earned + parts.inventory_profit - parts.penalty
        paid = parts.spread_earned + parts.inventory_profit - parts.penalty
        return -np.exp(-gamma * before.wealth) * np.expm1(-gamma * paid) / gamma

    def expected(self, step: int, inventory: Any, quotes: Quotes, regime: Any = 0) -> Any:
        """The `expected` or `surrogate` reward of quoting in a state (equations 12 and 13 of docs/model.md).

        Args:
            step: n.
            inventory: q, scalar or array [units].
            quotes: depths, scalars or arrays of one shape [price].
            regime: z, scalar or array.

        Returns:
            Same shape as `inventory` [price].
        """
        market, gamma, limit = self.market, self.objective.risk_aversion, self.market.max_inventory
        cost: Any = 0.0
        if market.hedges:
            held = hedged_inventory(market, np.asarray(inventory), quotes.hedge)
            inventory, cost = held, market.trade_cost(held - inventory)
        bid = market.bid_law.at(regime).probability(quotes.bid_depth) * (np.asarray(inventory) < limit)
        ask = market.ask_law.at(regime).probability(quotes.ask_depth) * (np.asarray(inventory) > -limit)
        bid_only, ask_only = bid * (1 - ask), ask * (1 - bid)
        charge = self._charges[int(step == market.steps - 1)]
        at = regime * charge.shape[1] + np.asarray(inventory) + limit + 1
        charge = charge.ravel()
        change = bid_only * (charge[at + 1] - charge[at]) + ask_only * (charge[at - 1] - charge[at])
        fee = market.fill_fee
        earned = bid * utility(quotes.bid_depth - fee, gamma) + ask * utility(quotes.ask_depth - fee, gamma)
        if market.informed:
            earned = earned - self._adverse_selection(bid, ask, regime)
        return earned - charge[at] - change - cost

    def _adverse_selection(self, bid: np.ndarray, ask: np.ndarray, regime: Any) -> np.ndarray:
        """What informed takers cost on average at these fill probabilities (equation 42 of docs/model.md)."""
        jump = self.market.by_regime("informed_share") * self.market.by_regime("informed_jump")
        cost: Any = 0.0
        for law, chance in ((self.market.bid_law, bid), (self.market.ask_law, ask)):
            beyond = law.at(regime).probability(0.0)
            cost = cost + np.where(chance > 0, np.minimum(chance, beyond) - chance * beyond, 0.0)
        return jump[regime, 0] * cost

    @cached_property
    def _charges(self) -> np.ndarray:
        """Charges for ending a step at q = -Q-1 .. Q+1, and the last step, shape (2, regimes, 2Q+3)."""
        market, q = self.market, self.market.inventories
        variance = market.by_regime("volatility") ** 2 * market.dt + market.jump_variance
        move = self.objective.risk_aversion * variance * q**2 / 2 - market.by_regime("drift") * market.dt * q
        charges = np.stack([self.running + move, self.final + move])
        return np.pad(charges, ((0, 0), (0, 0), (1, 1)), mode="edge")
