"""CARA utility, and certainty equivalents to full precision; a risk-neutral maker is the case gamma = 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def utility(profit: Any, risk_aversion: float) -> Any:
    """u(x) = (1 - exp(-gamma x)) / gamma, or x at gamma = 0, same shape as `profit` [price]."""
    if risk_aversion == 0:
        return profit
    with np.errstate(over="ignore"):
        return -np.expm1(-risk_aversion * np.asarray(profit)) / risk_aversion


def certainty_equivalent(outcomes: Sequence[tuple[np.ndarray, Any]], risk_aversion: float) -> np.ndarray:
    """-(1/gamma) ln sum P exp(-gamma gain) [price].

    Args:
        outcomes: all the (ln P, gain) of a lottery; arrays that broadcast.
        risk_aversion: gamma, > 0.
    """
    shape = np.broadcast_shapes(*(np.shape(part) for outcome in outcomes for part in outcome))
    tilts = [
        np.broadcast_to(np.where(log_chance > -np.inf, -risk_aversion * gain, 0.0), shape)
        for log_chance, gain in outcomes
    ]
    # Where nothing is far from zero, expm1 keeps every digit; elsewhere logarithms keep everything finite.
    far = np.maximum.reduce([np.abs(tilt) for tilt in tilts]) > 1
    near = [
        np.exp(log_chance) * np.expm1(np.minimum(tilt, 1.0))
        for (log_chance, _), tilt in zip(outcomes, tilts, strict=True)
    ]
    small = -np.log1p(np.where(far, 0.0, sum(near))) / risk_aversion
    if not far.any():
        return small
    exponents = np.stack([log_chance + tilt for (log_chance, _), tilt in zip(outcomes, tilts, strict=True)])
    top = exponents.max(axis=0)
    return np.where(far, -(top + np.log(np.exp(exponents - top).sum(axis=0))) / risk_aversion, small)
