"""Advantages without the luck of the fills: the value after a step, averaged over what the quotes might have done.

The `expected` reward replaces what a step paid by its expectation given state and quotes. The value after the
step can be replaced in the same way, by the market's own fill law: E[V(n+1, q') | q, quotes] instead of
V(n+1, q') at the inventory that came out. V is the critic that is being trained; nothing of the optimum is used,
and the states visited stay sampled. What remains in an advantage is what the quotes did.
"""

from __future__ import annotations

import numpy as np

from mmenv.market import Market


def expected_next_values(
    market: Market, values: np.ndarray, regime: np.ndarray, inventory: np.ndarray, depths: np.ndarray
) -> np.ndarray:
    """E[V(n+1, z', q')] over the joint fills and the next regime, for every step of a rollout.

    Args:
        market: whose fill law and inventory limit hold.
        values: V on the grid, shape (steps + 1, regimes, 2Q+1); the last row is what comes after the end, 0.
        regime: z before each step, shape (steps, sessions).
        inventory: q before the fills, after a hedge, shape (steps, sessions) [units].
        depths: quotes, bid first, shape (steps, sessions, 2) [price].

    Returns:
        Shape (steps, sessions).
    """
    limit = market.max_inventory
    bid = market.bid_law.at(regime).probability(depths[..., 0]) * (inventory < limit)
    ask = market.ask_law.at(regime).probability(depths[..., 1]) * (inventory > -limit)
    values = values if market.regimes == 1 else market.transition @ values
    padded = np.pad(values, ((0, 0), (0, 0), (1, 1)), mode="edge")
    after, at = np.arange(1, market.steps + 1)[:, None], inventory + limit + 1
    stay, up, down = padded[after, regime, at], padded[after, regime, at + 1], padded[after, regime, at - 1]
    return stay + bid * (1 - ask) * (up - stay) + ask * (1 - bid) * (down - stay)


def generalised_advantages(residuals: np.ndarray, gae_lambda: float) -> np.ndarray:
    """GAE without discounting, to the end of the session: A_n = residual_n + lambda A_{n+1} (Schulman et al. 2016).

    Args:
        residuals: reward + next value - value, shape (steps, sessions).
        gae_lambda: in [0, 1].
    """
    advantages = np.empty_like(residuals)
    following = np.zeros(residuals.shape[1])
    for n in reversed(range(len(residuals))):
        advantages[n] = following = residuals[n] + gae_lambda * following
    return advantages


def regime_means(rewards: np.ndarray, regime: np.ndarray) -> np.ndarray:
    """What a step of its regime pays on average, for every step of a rollout.

    Quotes do not sway the regime, so rewards less these means have the same best policy. A critic that does not see
    the regime needs that: a good regime also fills more, so it would take large inventories for a good sign.

    Args:
        rewards: shape (steps, sessions).
        regime: z before each step, same shape.

    Returns:
        The same shape.
    """
    count = np.bincount(regime.ravel())
    total = np.bincount(regime.ravel(), weights=rewards.ravel())
    return (total / np.maximum(count, 1))[regime].astype(rewards.dtype)
