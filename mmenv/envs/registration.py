"""The registered ids, by string, so that registering imports nothing."""

from __future__ import annotations

from typing import Any

import gymnasium

IDS: dict[str, dict[str, Any]] = {
    "mmenv/AvellanedaStoikov-v0": {},
    "mmenv/ExponentialUtility-v0": {"objective": {"name": "exponential_utility", "risk_aversion": 0.1}},
}


def register() -> None:
    """Register every id with Gymnasium, once."""
    for name, kwargs in IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="mmenv.envs.single:MarketMakingEnv",
                vector_entry_point="mmenv.envs.vector:MarketMakingVectorEnv",
                kwargs=kwargs,
            )
