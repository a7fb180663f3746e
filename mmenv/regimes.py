"""Regimes: an observed finite Markov chain that sets the parameters of each step (docs/model.md, section 8).

The regime z_n is seen before quoting at step n and sets everything about that step; z_{n+1} is drawn after
the move from row z_n of the transition matrix, independently of what else happens in the step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmenv import _validate

ROW_TOLERANCE = 1e-9

# A number, or a sequence with one number per regime. Any, so that users of plain markets may count with the number.
PerRegime = Any


def per_regime(name: str, value: Any, *, at_most: float = math.inf, **limits: float) -> float | tuple[float, ...]:
    """Check a parameter that is a number, or a sequence with one number for each of several regimes.

    Returns:
        The number as a float, or the numbers as a tuple.

    Raises:
        TypeError: `value` is neither.
        ValueError: a number is out of its range.
    """
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    many = isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)
    if many and len(value) < 2:
        raise TypeError(f"{name} must be a finite number, or two or more, one for each regime, got {value!r}")
    numbers = tuple(_validate.real(name, number, **limits) for number in (value if many else [value]))
    if max(numbers) > at_most:
        raise ValueError(f"{name} must be at most {at_most:g}, got {max(numbers)!r}")
    return numbers if len(numbers) > 1 else numbers[0]


def square_matrix(name: str, value: Any, row_sum: float) -> tuple[tuple[float, ...], ...]:
    """Check a matrix of transition rates (rows sum to 0) or probabilities (rows sum to 1); returns it as tuples.

    Raises:
        ValueError: the matrix is not square, a row has another sum, or an entry off the diagonal is negative.
    """
    try:
        matrix = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a square matrix of numbers, got {value!r}") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be a square matrix of finite numbers, got {value!r}")
    off_diagonal = matrix[~np.eye(len(matrix), dtype=bool)]
    nonnegative = matrix if row_sum == 1 else off_diagonal
    if (nonnegative < 0).any():
        raise ValueError(f"{name} must have no negative entries, got {float(nonnegative.min())!r}")
    sums = matrix.sum(axis=1)
    if np.max(np.abs(sums - row_sum)) > ROW_TOLERANCE * max(1.0, float(np.abs(matrix).max())):
        raise ValueError(f"{name} must have rows that sum to {row_sum:g}, got sums {sums.tolist()}")
    return tuple(map(tuple, matrix.tolist()))


def count(parameters: Mapping[str, Any], matrices: Mapping[str, Any]) -> int:
    """The number of regimes that parameters and transition matrices agree on.

    Raises:
        ValueError: they disagree, two matrices are given, or several regimes have none.
    """
    lengths = {name: len(value) for name, value in {**parameters, **matrices}.items() if isinstance(value, tuple)}
    if len(matrices) > 1:
        raise ValueError(f"give only one of {' and '.join(matrices)}: each states the whole chain")
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"parameters must agree on the number of regimes: {told}")
    name, regimes = next(iter(lengths.items()), ("", 1))
    if regimes > 1 and not matrices:
        raise ValueError(
            f"{name} must be one number where neither transition_rates nor transition_matrix is given, "
            f"got {regimes} numbers"
        )
    return regimes


def transition_probabilities(rates: Any, matrix: Any, dt: float) -> np.ndarray:
    """P(z, z') of one step, shape (regimes, regimes): the matrix, or expm(rates dt) (equation 36 of docs/model.md)."""
    if rates is None:
        chances = np.array(matrix)
    else:
        from scipy.linalg import expm  # slow to import, and few markets need it

        chances = np.maximum(expm(np.array(rates) * dt), 0.0)
    return chances / chances.sum(axis=1, keepdims=True)


def occupation(transition: np.ndarray, initial: int, steps: int) -> np.ndarray:
    """The average share of the session spent in each regime, shape (regimes,)."""
    if len(transition) == 1:
        return np.ones(1)
    now = np.eye(len(transition))[initial]
    total = np.zeros(len(transition))
    for _ in range(steps):
        total += now
        now = now @ transition
    return total / steps


def rouwenhorst(regimes: int, persistence: float, deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """A chain that stands for x' = persistence x + noise, by the method of Rouwenhorst (1995).

    Its conditional mean, stationary variance and autocorrelation are those of the autoregression, exactly.

    Args:
        regimes: number of values, >= 2.
        persistence: correlation of one step to the next, in (-1, 1); exp(-dt / tau) for an Ornstein-Uhlenbeck signal.
        deviation: stationary standard deviation, > 0.

    Returns:
        The values, evenly spaced and rising, shape (regimes,), and the transition matrix.

    Raises:
        TypeError, ValueError: an argument is out of its range.
    """
    regimes = _validate.integer("regimes", regimes, at_least=2)
    deviation = _validate.real("deviation", deviation, above=0)
    if not -1 < _validate.real("persistence", persistence) < 1:
        raise ValueError(f"persistence must be in (-1, 1), got {persistence!r}")
    stay = (1 + persistence) / 2
    matrix = np.array([[stay, 1 - stay], [1 - stay, stay]])
    for size in range(3, regimes + 1):
        wider = np.zeros((size, size))
        wider[:-1, :-1] += stay * matrix
        wider[:-1, 1:] += (1 - stay) * matrix
        wider[1:, :-1] += (1 - stay) * matrix
        wider[1:, 1:] += stay * matrix
        wider[1:-1] /= 2
        matrix = wider
    return deviation * math.sqrt(regimes - 1) * np.linspace(-1, 1, regimes), matrix
