"""The registered ids, by string, so that registering imports nothing."""

from __future__ import annotations

from typing import Any

import gymnasium

from mmenv.envs import markets

IDS: dict[str, dict[str, Any]] = {
    "mmenv/AvellanedaStoikov-v0": markets.avellaneda_stoikov(),
    "mmenv/ExponentialUtility-v0": markets.exponential_utility(),
    "mmenv/ToxicFlow-v0": markets.toxic_flow(),
    "mmenv/ThinMarket-v0": markets.thin_market(),
    "mmenv/DeepMarket-v0": markets.deep_market(),
    "mmenv/Signal-v0": markets.signal(),
    "mmenv/Hedged-v0": markets.hedged(),
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
