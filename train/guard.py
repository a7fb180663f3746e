"""Poison: numbers that would ruin a network if they reached it."""

from __future__ import annotations

import math

import numpy as np

# The square of anything larger does not fit a 32-bit float. It is of 64
# bits itself: compared with 16-bit floats, a plain number becomes one, which it does not fit either.
LARGEST = np.float64(1e18)


class Poisoned(RuntimeError):
    """A number that is not finite, or absurdly large, came up in training; the message says where."""


def check(name: str, values: np.ndarray, step: int, transitions: int) -> None:
    """Refuse values that are not finite or exceed 1e18.

    Args:
        name: what the values are.
        values: any shape; the first axis counts environments.
        step: of the rollout.
        transitions: how many had been played.

    Raises:
        Poisoned: the message names cause, environment and step.
    """
    if np.abs(values).max(initial=0.0) <= LARGEST:  # false for NaN
        return
    bad = ~(np.abs(values) <= LARGEST)
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    raise Poisoned(
        f"training stopped: the {name} of environment {where[0]} at step {step} of the rollout, after {transitions} "
        f"transitions, must be finite and at most {LARGEST:g} in size, got {values[where]}; "
        f"what was saved before is intact"
    )


def check_gradient(norm: float, transitions: int) -> None:
    """Refuse a gradient whose norm is not finite.

    Raises:
        Poisoned: the message says when.
    """
    if not math.isfinite(norm):
        raise Poisoned(
            f"training stopped: the gradient of a minibatch, after {transitions} transitions, must be finite, "
            f"got norm {norm}; what was saved before is intact"
        )
