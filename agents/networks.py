"""Networks as arrays: tanh perceptrons, forwards and backwards, alone and as an actor with its critic.

For networks of a few dozen units and batches of a few hundred rows, numpy is done before torch has organised the work,
and its tanh is several times as fast. Trained agents need no more than this.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Perceptron:
    """Layers of tanh units and a linear output.

    Args:
        weights: matrix (outputs, inputs) and bias (outputs,) of every layer in turn. They are kept, not copied: who
            changes them changes the network.
    """

    def __init__(self, weights: Sequence[np.ndarray]) -> None:
        self._layers = list(zip(weights[::2], weights[1::2], strict=True))

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Outputs, shape (batch, outputs), for inputs of shape (batch, inputs)."""
        return self.activations(inputs)[-1]

    def activations(self, inputs: np.ndarray) -> list[np.ndarray]:
        """The inputs, what each hidden layer makes of them, and the outputs, each of shape (batch, width).

        All are numbers of the weights' type, whatever the inputs were.
        """
        found = [inputs.astype(self._layers[0][0].dtype, copy=False)]
        for matrix, bias in self._layers:
            output = found[-1] @ matrix.T
            output += bias
            if len(found) < len(self._layers):
                np.tanh(output, out=output)
            found.append(output)
        return found

    def add_gradients(
        self, totals: Sequence[np.ndarray], activations: Sequence[np.ndarray], gradient: np.ndarray
    ) -> None:
        """Add the gradients of a loss by the weights.

        Args:
            totals: what to add them to: arrays of the shapes, and in the order, of the weights.
            activations: of the batch.
            gradient: of the loss by the outputs, shape (batch, outputs).
        """
        for i in reversed(range(len(self._layers))):
            below = activations[i]
            totals[2 * i] += gradient.T @ below
            totals[2 * i + 1] += gradient.sum(axis=0)
            if i:
                gradient = gradient @ self._layers[i][0]
                slope = below * below
                gradient *= np.subtract(1.0, slope, out=slope)


class ActorCritic:
    """Two perceptrons on the same observations: one for mean actions, one for values.

    A subclass may show either of them something else than the observations, and mix the actor's outputs linearly.

    Args:
        actor: from (batch, inputs) to (batch, outputs).
        critic: from (batch, inputs) to (batch, 1).
    """

    def __init__(self, actor: Perceptron, critic: Perceptron) -> None:
        self.actor, self.critic = actor, critic

    def actor_inputs(self, observations: np.ndarray) -> np.ndarray:
        """What the actor sees, shape (batch, inputs)."""
        return observations

    def critic_inputs(self, observations: np.ndarray) -> np.ndarray:
        """What the critic sees, shape (batch, inputs)."""
        return observations

    def mixed(self, observations: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Mean actions, shape (batch, outputs), from the actor's outputs; linear in them."""
        return outputs

    def unmixed(self, observations: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """A loss's gradient by the actor's outputs, from its gradient by the mean actions; both (batch, outputs)."""
        return gradient

    def actions(self, observations: np.ndarray) -> np.ndarray:
        """Mean actions, shape (batch, outputs), for observations of shape (batch, entries)."""
        return self.mixed(observations, self.actor(self.actor_inputs(observations)))

    def values(self, observations: np.ndarray) -> np.ndarray:
        """The critic's values, shape (batch,), for observations of shape (batch, entries)."""
        return self.critic(self.critic_inputs(observations))[:, 0]
