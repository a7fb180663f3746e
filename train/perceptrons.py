"""Stable-Baselines3's `MlpPolicy` with its passes written out: to float tolerance the same, with less around it.

In minibatches of a few dozen rows, graphs, modules and distribution objects cost more than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

LOG_ROOT_TWO_PI = 0.9189385332046727


class Perceptrons:
    """A tanh network for the actor and one for the critic, and Gaussian noise.

    Args:
        actor: the layers from observations to mean actions.
        critic: the layers from observations to values.
        log_std: of the noise, shape (actions,).
    """

    def __init__(self, actor: Sequence[nn.Module], critic: Sequence[nn.Module], log_std: torch.Tensor) -> None:
        self._actor, self._critic = (
            [weight for layer in net for weight in layer.parameters()] for net in (actor, critic)
        )
        self._log_std = log_std

    @classmethod
    def of(cls, policy: nn.Module) -> Perceptrons | None:
        """Those of a policy, sharing its weights; None if it is made of anything else."""
        if type(policy) is not ActorCriticPolicy or type(policy.action_dist) is not DiagGaussianDistribution:
            return None
        actor, critic = policy.mlp_extractor.policy_net, policy.mlp_extractor.value_net
        layers = [*actor, *critic]
        if [type(layer) for layer in layers] != [nn.Linear, nn.Tanh] * (len(layers) // 2):
            return None
        if not isinstance(policy.features_extractor, FlattenExtractor) or len(actor) % 2:
            return None
        return cls([*actor, policy.action_net], [*critic, policy.value_net], policy.log_std)

    def sample(self, observations: torch.Tensor) -> torch.Tensor:
        """Actions with noise, shape (batch, actions)."""
        mean = _activations(observations, self._actor)[-1]
        return mean + torch.randn_like(mean) * self._log_std.exp()

    def __call__(
        self, observations: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Values (batch, 1), log-probabilities (batch,) and entropies (batch,) of actions."""
        mean = _Network.apply(observations, *self._actor)
        values = _Network.apply(observations, *self._critic)
        noise = (actions - mean) * torch.exp(-self._log_std)
        constant = (self._log_std + LOG_ROOT_TWO_PI).sum()
        log_prob = -0.5 * noise.square().sum(dim=1) - constant
        entropy = constant + 0.5 * len(self._log_std)
        return values, log_prob, entropy.expand(len(observations))


class _Network(torch.autograd.Function):
    """A tanh network with a linear output, from inputs and weights (matrix, bias, matrix, bias, ...) to outputs."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        *hidden, output = _activations(inputs, weights)
        ctx.save_for_backward(*hidden, *weights)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        layers = len(ctx.saved_tensors) // 3
        hidden, weights = ctx.saved_tensors[:layers], ctx.saved_tensors[layers:]
        found: list[torch.Tensor] = []
        for layer in reversed(range(layers)):
            found += [gradient.sum(dim=0), gradient.t() @ hidden[layer]]
            if layer:
                gradient = (gradient @ weights[2 * layer]) * (1 - hidden[layer].square())
        return None, *reversed(found)


def _activations(inputs: torch.Tensor, weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The inputs, the activations of every hidden layer, and the output."""
    found = [inputs]
    for i in range(0, len(weights), 2):
        output = torch.addmm(weights[i + 1], found[-1], weights[i].t())
        found.append(output.tanh_() if i + 2 < len(weights) else output)
    return found
