"""The only codec between arrays and the boxes of observations and actions (docs/model.md, section 7).

Observations are functions of (n, z, q) only, so that any agent can be graded exactly. They are in the
market's own units: inventories are measured by the natural scale on which diffusion and penalty balance,
times by how long the market needs to relax over that scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from mmenv import _validate
from mmenv.market import PER_REGIME, Market
from mmenv.objectives import Objective
from mmenv.quotes import QuoteTable, quote_table

# How an observation tells the regime: an entry for each, the values of the parameters it sets, or not at all.
REGIME_OBSERVATIONS = ("one_hot", "values", "hidden")


def trading_rate(market: Market) -> float:
    """Fills per side and unit time at the depth 1/k that earns most, at most one a step (equation 34) [1 / time]."""
    rate = (market.average("bid_arrival_rate") + market.average("ask_arrival_rate")) / 2
    return min(rate / math.e, 1 / market.dt)


def depth_decay(market: Market) -> float:
    """The depth decay k, averaged over sides and regimes [1 / price]."""
    return (market.average("bid_depth_decay") + market.average("ask_depth_decay")) / 2


def inventory_scale(market: Market, objective: Objective) -> float:
    """The natural scale of inventory, L [units], 1 <= L <= Q.

    Unguided fills spread inventory like a diffusion; the penalty pulls it back. The two balance where
    k psi(L) L^2 = trading rate (equation 35), psi(q) = phi(q) + gamma sigma^2 q^2 / 2. Without a penalty, L is how far
    inventory spreads within the session.
    """
    rate, volatility = trading_rate(market), market.average("volatility")
    spread = min(max(math.sqrt(2 * rate * market.horizon), 1.0), float(market.max_inventory))

    def imbalance(scale: float) -> float:
        risk = objective.risk_aversion * (volatility * scale) ** 2 / 2
        return depth_decay(market) * (float(objective.running_penalty(scale)) + risk) * scale**2 - rate

    from scipy.optimize import brentq  # a fifth of a second, which `import mmenv` need not take

    if imbalance(1.0) >= 0:
        return 1.0
    if imbalance(spread) <= 0:
        return spread
    return float(brentq(imbalance, 1.0, spread))


def relaxation_time(market: Market, objective: Objective) -> float:
    """Time unguided fills need to cross the natural scale, L^2 / (2 trading rate) (equation 35), in [dt, T] [time]."""
    rate = trading_rate(market)
    if rate == 0:
        return market.horizon
    time = inventory_scale(market, objective) ** 2 / (2 * rate)
    return min(max(time, market.dt), market.horizon)


@dataclass(frozen=True)
class Codec:
    """The boxes of a market and objective, and the maps into and out of them.

    Observation (float32), for a state (n, z, q) with time left t = T - n dt:

    | entry | meaning | range |
    |---|---|---|
    | 0 | q / L, inventory in natural scales | [-Q/L, Q/L] |
    | 1 | 2 t/T - 1, time left | [-1, 1] |
    | 2 | 2 exp(-t/tau) - 1, nearness of the end in relaxation times | [-1, 1] |
    | 3 + z | 1 in regime z, else 0; only in a market of several regimes | [0, 1] |

    With `regime_observation` "values", entries 3 and on are the parameters that differ between regimes instead, in the
    order of Market's fields, each from 0 at its least to 1 at its most; with "hidden" there are none of them.

    Natural scales are those of parameters averaged over the regimes by the time spent in each.

    Action (float32): two numbers in [-1, 1], mapped affinely to the box of depths, and to the nearest tick in a
    market that has ticks; bid first. Where there is a hedge venue, a third number a trades the integer nearest to
    a Q at the mid before quoting.
    """

    market: Market
    objective: Objective
    regime_observation: str = "one_hot"

    def __post_init__(self) -> None:
        _validate.choice("regime_observation", self.regime_observation, REGIME_OBSERVATIONS)

    @cached_property
    def regime_entries(self) -> np.ndarray:
        """What observations tell of each regime, shape (regimes, entries), in [0, 1]."""
        if self.market.regimes == 1 or self.regime_observation == "hidden":
            return np.empty((self.market.regimes, 0))
        if self.regime_observation == "one_hot":
            return np.eye(self.market.regimes)
        rows = [self.market.by_regime(name)[:, 0] for name in PER_REGIME if np.ndim(getattr(self.market, name))]
        shown = [(row - row.min()) / np.ptp(row) for row in rows if np.ptp(row) > 0]
        return np.reshape(shown, (len(shown), self.market.regimes)).T

    @cached_property
    def tells_regime(self) -> bool:
        """Whether observations of different regimes always differ."""
        return len(np.unique(self.regime_entries.astype(np.float32), axis=0)) == self.market.regimes

    @cached_property
    def observations(self) -> np.ndarray:
        """The observation of every state, shape (steps + 1, regimes, 2Q+1, entries), float32."""
        market = self.market
        left = market.horizon - np.arange(market.steps + 1) * market.dt
        tau = relaxation_time(market, self.objective)
        shape = (market.steps + 1, market.regimes, 2 * market.max_inventory + 1)
        entries = (
            market.inventories / inventory_scale(market, self.objective),
            (2 * left / market.horizon - 1)[:, None, None],
            (2 * np.exp(-left / tau) - 1)[:, None, None],
            *self.regime_entries.T[:, :, None],
        )
        table = np.stack([np.broadcast_to(entry, shape) for entry in entries], axis=-1).astype(np.float32)
        table.flags.writeable = False
        return table

    @cached_property
    def observation_space(self) -> Box:
        """The box of observations."""
        high = np.ones(self.observations.shape[-1], dtype=np.float32)
        high[0] = self.observations[..., 0].max()
        low = -high
        low[3:] = 0
        return Box(low, high, dtype=np.float32)

    @cached_property
    def action_space(self) -> Box:
        """The box of actions, [-1, 1]^2, or [-1, 1]^3 with a hedge venue."""
        return Box(-1.0, 1.0, (self.components,), dtype=np.float32)

    @cached_property
    def components(self) -> int:
        """How many numbers an action has: bid, ask, and the hedge where there is a venue."""
        return 3 if self.market.hedges else 2

    @cached_property
    def centre(self) -> float:
        """The depth that action 0 quotes [price]."""
        return (self.market.min_depth + self.market.max_depth) / 2

    @cached_property
    def half_width(self) -> float:
        """The depth that one unit of action adds [price]."""
        return (self.market.max_depth - self.market.min_depth) / 2

    def observe(self, step: int, regime: Any, inventory: Any) -> np.ndarray:
        """A fresh observation, shape (..., entries) for inventories of shape (...), float32."""
        rows = self.observations[step]
        at = regime * rows.shape[1] + (inventory + self.market.max_inventory)
        return rows.reshape(-1, rows.shape[-1]).take(at, axis=0)

    def inventory(self, observations: np.ndarray) -> np.ndarray:
        """The inventories that observations of shape (..., entries) show, shape (...), int64 [units]."""
        scale = inventory_scale(self.market, self.objective)
        return np.rint(observations[..., 0].astype(np.float64) * scale).astype(np.int64)

    def regime(self, observations: np.ndarray) -> np.ndarray:
        """The regimes that observations of shape (..., entries) show, shape (...), int64.

        Raises:
            ValueError: observations of two regimes are alike.
        """
        if not self.tells_regime:
            raise ValueError(f"observations do not tell the regime where they are {self.regime_observation!r}")
        if self.market.regimes == 1:
            return np.zeros(observations.shape[:-1], dtype=np.int64)
        away = np.abs(observations[..., None, 3:] - self.regime_entries.astype(np.float32)).sum(axis=-1)
        return away.argmin(axis=-1)

    def depths(self, actions: np.ndarray) -> np.ndarray:
        """Actions to depths [price], same shape, float64; actions beyond the box are clipped to it."""
        depths = np.array(actions, dtype=np.float64, order="C")
        np.maximum(depths, -1.0, out=depths)
        np.minimum(depths, 1.0, out=depths)
        depths *= self.half_width
        depths += self.centre
        return depths if self.market.tick is None else self.market.allowed(depths)

    def hedges(self, actions: np.ndarray) -> np.ndarray:
        """Third components of actions to units traded before quoting, same shape, int64."""
        actions = np.clip(np.asarray(actions, dtype=np.float64), -1.0, 1.0)
        return np.rint(actions * self.market.max_inventory).astype(np.int64)

    def table(self, actions: np.ndarray) -> QuoteTable:
        """The table of quotes of an action in every state, shape (steps, regimes, 2Q+1, components)."""
        depths = self.depths(actions[..., :2])
        hedge = self.hedges(actions[..., 2]) if self.components == 3 else None
        return quote_table(depths[..., 0], depths[..., 1], hedge)

    def actions(self, depths: np.ndarray) -> np.ndarray:
        """Depths [price] to actions, same shape, float64; depths beyond the box are clipped to it."""
        return np.clip((np.asarray(depths, dtype=np.float64) - self.centre) / self.half_width, -1.0, 1.0)
