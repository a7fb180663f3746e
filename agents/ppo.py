"""A trained network as a policy: the network that PPO trains, and the agent made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from agents.checkpoint import LARGEST_LAYER, MOST_LAYERS
from mmenv import Problem, QuoteTable, _validate
from mmenv._extras import needs
from mmenv.market import Market
from mmenv.spaces import depth_decay

with needs("train"):
    import torch
    from torch import nn

FAR = 3.0


@dataclass(frozen=True)
class Architecture:
    """The shape of a `QuoteNetwork`; plain JSON values.

    Attributes:
        inputs: entries of an observation; entry 0 is the inventory.
        hidden: widths of the hidden tanh layers, the same in actor and critic.
        fold: use the symmetry of the market: quotes are mirrored where q is.
        action_scale: action per unit of the actor's output, (1/k) / half width of the box.
        outputs: numbers in an action: 2, or 3 with a hedge.

    Raises:
        TypeError, ValueError: a field out of its range.
    """

    inputs: int
    hidden: tuple[int, ...] = (64, 64)
    fold: bool = True
    action_scale: float = 1.0
    outputs: int = 2

    def __post_init__(self) -> None:
        _validate.integer("inputs", self.inputs, at_least=1, at_most=LARGEST_LAYER)
        if not isinstance(self.hidden, Sequence) or isinstance(self.hidden, str) or len(self.hidden) > MOST_LAYERS:
            raise ValueError(f"hidden must be a list of at most {MOST_LAYERS} widths, got {self.hidden!r}")
        widths = tuple(_validate.integer("hidden", width, at_least=1, at_most=LARGEST_LAYER) for width in self.hidden)
        object.__setattr__(self, "hidden", widths)
        if not isinstance(self.fold, bool):
            raise TypeError(f"fold must be true or false, got {self.fold!r}")
        _validate.real("action_scale", self.action_scale, above=0)
        _validate.integer("outputs", self.outputs, at_least=2, at_most=3)

    @classmethod
    def for_problem(cls, problem: Problem, hidden: Sequence[int], fold: bool) -> Architecture:
        """The architecture for a problem; one unit of output is a depth of 1/k; only mirrored ones are folded."""
        scale = 1 / (depth_decay(problem.market) * problem.codec.half_width)
        inputs, outputs = problem.codec.observations.shape[-1], problem.codec.components
        return cls(inputs, tuple(hidden), fold and problem.market.mirrored, scale, outputs)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """Build an architecture from what `to_dict` returned.

        Raises:
            TypeError, ValueError: an unknown or missing field, or a value out of its range.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or set(values) != known:
            raise ValueError(f"an architecture must have the fields {', '.join(sorted(known))}, got {values!r}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"hidden": list(self.hidden)}


class QuoteNetwork(nn.Module):
    """Actor and critic, two separate tanh networks.

    Args:
        architecture: their shape.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.actor = _perceptron(architecture.inputs, architecture.hidden, architecture.outputs, gain=0.01)
        self.critic = _perceptron(architecture.inputs, architecture.hidden, 1, gain=1.0)

    @classmethod
    def from_arrays(cls, architecture: Architecture, arrays: Mapping[str, np.ndarray]) -> QuoteNetwork:
        """The network with given weights, by the names and shapes of its `state_dict`."""
        network = cls(architecture)
        network.load_state_dict({name: torch.from_numpy(values) for name, values in arrays.items()})
        return network

    def actions(self, observations: torch.Tensor) -> torch.Tensor:
        """The mean action, bid first, shape (batch, outputs), for observations of shape (batch, inputs).

        Folded, two outputs are the even part of the quotes in q and the odd part per unit of q, as is a hedge. The
        actor sees inventories bend towards `FAR` natural scales, so beyond them, where it hardly ever is, the skew goes
        on as a straight line instead of as chance has it.
        """
        if not self.architecture.fold:
            return self.architecture.action_scale * self.actor(observations)
        inventory, rest = observations[:, :1], observations[:, 1:]
        seen = FAR * torch.tanh(inventory.abs() / FAR)
        output = self.architecture.action_scale * self.actor(torch.cat([seen, rest], dim=1))
        even, odd = output[:, :1], inventory * output[:, 1:2]
        return torch.cat([even + odd, even - odd, inventory * output[:, 2:]], dim=1)

    def values(self, observations: torch.Tensor) -> torch.Tensor:
        """The critic's values, shape (batch, 1), for observations of shape (batch, inputs)."""
        if self.architecture.fold:
            observations = torch.cat([observations[:, :1].abs(), observations[:, 1:]], dim=1)
        return self.critic(observations)


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


class TrainedPolicy:
    """The deterministic policy of a trained network.

    Args:
        name: what tables and legends call it.
        problem: what it was trained on; its observations and its box are those of this problem.
        network: the trained network.
        config: the configuration of its training run.
    """

    def __init__(self, name: str, problem: Problem, network: QuoteNetwork, config: Mapping[str, Any]) -> None:
        self.name = name
        self.problem = problem
        self.network = network.eval()
        self.config = dict(config)

    def predict(self, observations: np.ndarray) -> np.ndarray:
        """Actions for observations, in the box of actions.

        Args:
            observations: shape (inputs,) or (batch, inputs).

        Returns:
            Shape (outputs,) or (batch, outputs), float32, bid first.

        Raises:
            ValueError: the observations have another number of entries.
        """
        batch = np.atleast_2d(np.array(observations, dtype=np.float32))
        inputs = self.network.architecture.inputs
        if batch.ndim != 2 or batch.shape[1] != inputs:
            raise ValueError(
                f"observations must have shape (batch, {inputs}) or ({inputs},), got {np.shape(observations)}"
            )
        with torch.no_grad():
            actions = self.network.actions(torch.from_numpy(batch)).clamp(-1.0, 1.0).numpy()
        return actions[0] if np.ndim(observations) == 1 else actions

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes over the whole grid of the market it was trained in.

        Raises:
            ValueError: `market` is another market.
        """
        if market != self.problem.market:
            raise ValueError(
                f"{self.name} quotes only in the market it was trained in, {self.problem.market}, got {market}"
            )
        codec = self.problem.codec
        observations = codec.observations[:-1]
        actions = self.predict(observations.reshape(-1, observations.shape[-1]))
        return codec.table(actions.reshape(*market.grid_shape, codec.components))
