"""The passes of a policy as arrays: no graph, no modules, and gradients that are one row of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from agents.networks import ActorCritic, Perceptron

LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)


class Evaluated(NamedTuple):
    """What a batch came to: values and log-probabilities (batch,), noise (batch, actions), and all activations."""

    values: np.ndarray
    log_prob: np.ndarray
    noise: np.ndarray
    observations: np.ndarray
    acted: list[np.ndarray]
    valued: list[np.ndarray]


class Passes:
    """An actor, a critic and Gaussian noise, with the gradients of their weights.

    Args:
        network: the passes of a policy, which share its weights.
        actor: torch's names for the weights of the network's actor, in the network's order.
        critic: those of its critic.
        log_std: of the noise, shape (actions,); learned if it requires a gradient.

    Attributes:
        gradient: of all learned weights, in one row; the `grad` of each weight is a part of it.
    """

    def __init__(
        self,
        network: ActorCritic,
        actor: Sequence[nn.Parameter],
        critic: Sequence[nn.Parameter],
        log_std: nn.Parameter,
    ) -> None:
        self.network = network
        self._log_std = log_std
        parameters = [*actor, *critic, *([log_std] if log_std.requires_grad else [])]
        self.gradient = np.zeros(sum(weight.numel() for weight in parameters), dtype=np.float32)
        parts = np.split(self.gradient, np.cumsum([weight.numel() for weight in parameters])[:-1])
        for weight, part in zip(parameters, parts, strict=True):
            weight.grad = torch.from_numpy(part).view_as(weight)
        found = [part.reshape(weight.shape) for weight, part in zip(parameters, parts, strict=True)]
        ends = len(actor), len(actor) + len(critic)
        self._actor, self._critic, self._noise = found[: ends[0]], found[ends[0] : ends[1]], found[ends[1] :]

    @classmethod
    def of_mlp_policy(cls, policy: Any) -> Passes | None:
        """Those of an `MlpPolicy` with tanh units; None if it is made of anything else, frozen, or not on the CPU."""
        if type(policy) is not ActorCriticPolicy or type(policy.action_dist) is not DiagGaussianDistribution:
            return None
        actor, critic = [*policy.mlp_extractor.policy_net], [*policy.mlp_extractor.value_net]
        kinds = [type(layer) for layer in [*actor, *critic]]
        if kinds != [nn.Linear, nn.Tanh] * (len(kinds) // 2) or len(actor) % 2:
            return None
        if type(policy.features_extractor) is not FlattenExtractor or policy.device.type != "cpu":
            return None
        parameters = [
            [weight for layer in layers for weight in layer.parameters()]
            for layers in ([*actor, policy.action_net], [*critic, policy.value_net])
        ]
        if not all(weight.requires_grad for part in parameters for weight in part):
            return None
        network = ActorCritic(*(Perceptron([weight.detach().numpy() for weight in part]) for part in parameters))
        return cls(network, parameters[0], parameters[1], policy.log_std)

    @property
    def log_std(self) -> np.ndarray:
        """Logarithm of the noise's standard deviation, shape (actions,)."""
        return self._log_std.detach().numpy()

    def sample(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Actions, and the noise in them in standard deviations; both of shape (batch, actions)."""
        mean = self.network.actions(observations)
        noise = torch.randn(mean.shape).numpy()
        return mean + np.exp(self.log_std) * noise, noise

    def log_prob(self, noise: np.ndarray) -> np.ndarray:
        """Log-probability of noise given in standard deviations, shape (..., actions), over its last axis."""
        return -0.5 * np.square(noise).sum(axis=-1) - (self.log_std + LOG_ROOT_TWO_PI).sum()

    @property
    def entropy(self) -> float:
        """Of the noise."""
        return float((self.log_std + LOG_ROOT_TWO_PI + 0.5).sum())

    def evaluate(self, observations: np.ndarray, actions: np.ndarray) -> Evaluated:
        """Values and log-probabilities of actions, and what their gradients need."""
        network = self.network
        acted = network.actor.activations(network.actor_inputs(observations))
        valued = network.critic.activations(network.critic_inputs(observations))
        noise = (actions - network.mixed(observations, acted[-1])) * np.exp(-self.log_std)
        return Evaluated(valued[-1][:, 0], self.log_prob(noise), noise, observations, acted, valued)

    def add_gradients(self, evaluated: Evaluated, by_value: np.ndarray, by_log_prob: np.ndarray) -> None:
        """Add a loss's gradient by the weights to `gradient`, from those by values and log-probabilities, (batch,)."""
        network, noise = self.network, evaluated.noise
        by_mean = by_log_prob[:, None] * noise * np.exp(-self.log_std)
        network.actor.add_gradients(self._actor, evaluated.acted, network.unmixed(evaluated.observations, by_mean))
        network.critic.add_gradients(self._critic, evaluated.valued, by_value[:, None])
        for total in self._noise:
            total += by_log_prob @ (noise * noise - 1.0)

    def add_entropy_gradient(self, by_entropy: float) -> None:
        """Add a loss's gradient by the weights to `gradient`, from that by the entropy."""
        for total in self._noise:
            total += by_entropy
