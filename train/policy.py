"""The network of `agents.ppo` as a policy of Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from agents.ppo import Architecture, QuoteNetwork


class QuotePolicy(ActorCriticPolicy):
    """Gaussian noise around the actions of a `QuoteNetwork`. The noise is set from outside, not learned.

    The weights are torch's; the passes are those of `network`, which shares them. They carry no gradients for autograd.

    Args:
        args, kwargs: those of `ActorCriticPolicy`.
        architecture: the shape of the network.
    """

    def __init__(self, *args: Any, architecture: Architecture, **kwargs: Any) -> None:
        self.architecture = architecture
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        shape = self.architecture
        self.actor = _perceptron(shape.inputs, shape.hidden, shape.outputs, gain=0.01)
        self.critic = _perceptron(shape.inputs, shape.hidden, 1, gain=1.0)
        self.weights = dict(self.named_parameters())
        self.log_std = nn.Parameter(torch.zeros(shape.outputs), requires_grad=False)
        self.optimizer = self.optimizer_class(
            self.weights.values(),
            lr=lr_schedule(1),
            **self.optimizer_kwargs,  # type: ignore[call-arg]
        )

    @property
    def network(self) -> QuoteNetwork:
        """The network on the weights that are there now: a copy of a policy has its own."""
        arrays = {name: weight.detach().numpy() for name, weight in self.weights.items()}
        return QuoteNetwork(self.architecture, arrays)

    def get_distribution(self, obs: torch.Tensor) -> Distribution:  # type: ignore[override]
        """The distribution of actions."""
        assert isinstance(self.action_dist, DiagGaussianDistribution)
        mean = torch.from_numpy(self.network.actions(obs.float().numpy()))
        return self.action_dist.proba_distribution(mean, self.log_std)

    def predict_values(self, obs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The critic's values, shape (batch, 1)."""
        return torch.from_numpy(self.network.values(obs.float().numpy()))[:, None]


def _perceptron(inputs: int, hidden: Sequence[int], outputs: int, gain: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [_orthogonal(nn.Linear(inputs, width), 2**0.5), nn.Tanh()]
        inputs = width
    return nn.Sequential(*layers, _orthogonal(nn.Linear(inputs, outputs), gain))


def _orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
