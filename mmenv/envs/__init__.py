"""The shells around the step: Gymnasium, Gymnasium's vector API, Stable-Baselines3.

`MarketMakingVecEnv` is loaded when it is asked for, so that the others work without Stable-Baselines3.
"""

from typing import TYPE_CHECKING, Any

from mmenv.envs.single import MarketMakingEnv
from mmenv.envs.vector import MarketMakingVectorEnv

if TYPE_CHECKING:
    from mmenv.envs.sb3 import MarketMakingVecEnv

# What a star imports: not MarketMakingVecEnv, which needs Stable-Baselines3.
__all__ = ["MarketMakingEnv", "MarketMakingVectorEnv"]


def __getattr__(name: str) -> Any:
    if name == "MarketMakingVecEnv":
        from mmenv.envs.sb3 import MarketMakingVecEnv

        return MarketMakingVecEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
