"""A trained network as a policy: the network that PPO trains, and the agent made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from agents.checkpoint import LARGEST_LAYER, MOST_LAYERS
from agents.networks import ActorCritic, Perceptron
from mmenv import Problem, QuoteTable, _validate
from mmenv.market import Market
from mmenv.spaces import depth_decay

FAR = 3.0
NETWORKS = ("actor", "critic")


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

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all weights by name, those of the actor first; every second layer is a tanh without any."""
        found: dict[str, tuple[int, ...]] = {}
        for network, outputs in zip(NETWORKS, (self.outputs, 1), strict=True):
            widths = (self.inputs, *self.hidden, outputs)
            for i, (below, width) in enumerate(pairwise(widths)):
                found |= {f"{network}.{2 * i}.weight": (width, below), f"{network}.{2 * i}.bias": (width,)}
        return found


class QuoteNetwork(ActorCritic):
    """Actor and critic, two separate tanh networks, as arrays.

    Args:
        architecture: their shape.
        arrays: their weights, named and shaped as in `architecture.shapes`; kept, not copied.
    """

    def __init__(self, architecture: Architecture, arrays: Mapping[str, np.ndarray]) -> None:
        self.architecture = architecture
        self.arrays = {name: arrays[name] for name in architecture.shapes}
        super().__init__(*(Perceptron(self.weights(network)) for network in NETWORKS))

    def weights(self, network: str) -> list[np.ndarray]:
        """Matrix and bias of every layer of "actor" or "critic", in turn."""
        return [values for name, values in self.arrays.items() if name.startswith(network)]

    def actor_inputs(self, observations: np.ndarray) -> np.ndarray:
        """Observations; folded, inventories without their sign, and bent towards `FAR` natural scales.

        Beyond those, where the actor hardly ever is, the skew goes on as a straight line instead of as chance has it.
        """
        if not self.architecture.fold:
            return observations
        seen = observations.copy()
        seen[:, 0] = FAR * np.tanh(np.abs(observations[:, 0]) / FAR)
        return seen

    def critic_inputs(self, observations: np.ndarray) -> np.ndarray:
        """Observations; folded, inventories without their sign."""
        if not self.architecture.fold:
            return observations
        seen = observations.copy()
        np.abs(seen[:, 0], out=seen[:, 0])
        return seen

    def mixed(self, observations: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Mean actions, bid first.

        Folded, two outputs are the even part of the quotes in q and the odd part per unit of q, as is a hedge.
        """
        outputs = self.architecture.action_scale * outputs
        if not self.architecture.fold:
            return outputs
        outputs[:, 1:] *= observations[:, :1]
        even, odd = outputs[:, 0].copy(), outputs[:, 1].copy()
        outputs[:, 0], outputs[:, 1] = even + odd, even - odd
        return outputs

    def unmixed(self, observations: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """A loss's gradient by the actor's outputs, from its gradient by the mean actions."""
        gradient = self.architecture.action_scale * gradient
        if not self.architecture.fold:
            return gradient
        bid, ask = gradient[:, 0].copy(), gradient[:, 1].copy()
        gradient[:, 0], gradient[:, 1] = bid + ask, bid - ask
        gradient[:, 1:] *= observations[:, :1]
        return gradient


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
        self.network = network
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
        actions = self.network.actions(batch).clip(-1.0, 1.0)
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
