"""A problem: a market, an objective and the form in which rewards are paid. What is trained on and graded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mmenv.market import Market
from mmenv.objectives import ExponentialPenalty, Objective, objective_from_dict
from mmenv.rewards import Rewards
from mmenv.spaces import Codec


@dataclass(frozen=True)
class Problem:
    """A market, an objective and a reward form, checked against one another on creation.

    Attributes:
        market: the market.
        objective: what is maximised.
        reward: "realised", "expected" (additive objectives) or "surrogate" (CARA).
        regime_observation: how observations tell the regime: "one_hot", "values" (of the parameters that differ) or
            "hidden".

    Raises:
        ValueError: a penalty overflows in the market, the objective has no such reward form, or there is no such
            observation.
    """

    market: Market = field(default_factory=Market)
    objective: Objective = field(default_factory=ExponentialPenalty)
    reward: str = "realised"
    regime_observation: str = "one_hot"

    def __post_init__(self) -> None:
        self.objective.check(self.market)
        Rewards(self.market, self.objective, self.reward)
        Codec(self.market, self.objective, self.regime_observation)

    @cached_property
    def rewards(self) -> Rewards:
        """The rewards, tabulated."""
        return Rewards(self.market, self.objective, self.reward)

    @cached_property
    def codec(self) -> Codec:
        """The observation and action boxes, and the map between them and arrays."""
        return Codec(self.market, self.objective, self.regime_observation)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `Problem.from_dict` reads them back."""
        return {
            "market": self.market.to_dict(),
            "objective": self.objective.to_dict(),
            "reward": self.reward,
            "regime_observation": self.regime_observation,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Problem:
        """Build a problem from what `to_dict` returned.

        Raises:
            TypeError, ValueError: as the fields do.
        """
        market, objective = Market.from_dict(values["market"]), objective_from_dict(values["objective"])
        seen = values.get("regime_observation", "one_hot")  # older files do not say
        return cls(market, objective, values["reward"], seen)

    @classmethod
    def from_arguments(
        cls,
        market: Market | Mapping[str, Any] | None = None,
        objective: Objective | Mapping[str, Any] | None = None,
        reward: str = "realised",
        regime_observation: str = "one_hot",
        **parameters: Any,
    ) -> Problem:
        """Build a problem from the keyword arguments of an environment.

        Args:
            market: a Market, or its fields as a mapping; not together with `parameters`.
            objective: an Objective, or a mapping such as {"name": "exponential_penalty", "weight": 1.0}.
            reward: the reward form.
            regime_observation: how observations tell the regime.
            parameters: fields of Market, by name.

        Raises:
            TypeError: an unknown keyword, or a value of the wrong type.
            ValueError: a value out of its range.
        """
        if market is not None and parameters:
            raise TypeError(f"give either market or its parameters, not both: got market and {', '.join(parameters)}")
        if market is not None and not isinstance(market, Market | Mapping):
            raise TypeError(f"market must be a Market or a mapping of its fields, got {market!r}")
        if not isinstance(market, Market):
            market = Market.from_dict(parameters if market is None else market)
        if objective is None:
            objective = ExponentialPenalty()
        elif not isinstance(objective, Objective):
            objective = objective_from_dict(objective)
        return cls(market, objective, reward, regime_observation)
