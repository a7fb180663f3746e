"""The network of `agents.ppo` as a policy of Stable-Baselines3."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from agents.ppo import Architecture, QuoteNetwork

LOG_ROOT_TWO_PI = 0.9189385332046727


class QuotePolicy(ActorCriticPolicy):
    """Gaussian noise around the actions of a `QuoteNetwork`. The noise is set from outside, not learned.

    Args:
        args, kwargs: those of `ActorCriticPolicy`.
        architecture: the shape of the network.
    """

    def __init__(self, *args: Any, architecture: Architecture, **kwargs: Any) -> None:
        self.architecture = architecture
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        self.network = QuoteNetwork(self.architecture)
        self.log_std = nn.Parameter(torch.zeros(self.architecture.outputs), requires_grad=False)
        self.optimizer = self.optimizer_class(
            self.network.parameters(),
            lr=lr_schedule(1),
            **self.optimizer_kwargs,  # type: ignore[call-arg]
        )

    def sample(self, observations: torch.Tensor) -> torch.Tensor:
        """Actions with noise, shape (batch, outputs)."""
        mean = self.network.actions(observations)
        return mean + self.log_std.exp() * torch.randn_like(mean)

    def evaluate_actions(  # type: ignore[override]
        self,
        obs: torch.Tensor,
        actions: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Values (batch, 1), log-probabilities (batch,) and entropies (batch,) of actions."""
        entropy = (self.log_std + LOG_ROOT_TWO_PI + 0.5).sum().expand(len(obs))
        return self.network.values(obs), self.log_prob(obs, actions), entropy

    def log_prob(self, obs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of actions, shape (batch,)."""
        standard = (actions - self.network.actions(obs)) * torch.exp(-self.log_std)
        return -0.5 * standard.square().sum(dim=1) - (self.log_std + LOG_ROOT_TWO_PI).sum()

    def forward(
        self, obs: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Actions, their values and their log-probabilities."""
        actions = self.network.actions(obs) if deterministic else self.sample(obs)
        values, log_prob, _ = self.evaluate_actions(obs, actions)
        return actions, values, log_prob

    def get_distribution(self, obs: torch.Tensor) -> Distribution:  # type: ignore[override]
        """The distribution of actions."""
        assert isinstance(self.action_dist, DiagGaussianDistribution)
        return self.action_dist.proba_distribution(self.network.actions(obs), self.log_std)

    def predict_values(self, obs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The critic's values, shape (batch, 1)."""
        return self.network.values(obs)
